"""MTCNN: face boxes with five points, by three small networks in a cascade (Zhang et al. 2016)."""
