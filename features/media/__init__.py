"""Reading media files: what they are, their frames and their sound."""
