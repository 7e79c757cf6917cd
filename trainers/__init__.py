"""Training and evaluation on stored features; so far the metrics, in trainers/metrics.py."""
