"""The face mesh: squares of frames, the two networks that read them, and what their points mean."""
