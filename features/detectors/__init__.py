"""The detectors that stand in for MTCNN: dlib's, RetinaFace, and boxes that a corpus brings."""
