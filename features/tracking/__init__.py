"""From detections to people: links from frame to frame, then joins by identity."""
