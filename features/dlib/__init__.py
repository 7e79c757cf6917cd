"""Dlib's networks and geometry, written out: faces are told apart without dlib itself."""
