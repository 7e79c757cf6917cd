"""OpenFace 2.x: its CSV files, the program in its container, and what of both becomes rows."""
