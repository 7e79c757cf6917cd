"""Side-by-side measurements, runnable by anyone: ``python -m benchmarks.NAME``."""

#: what measurements of the whole run extract; others are measured with their extractors
BASIC = "timeline,audio_16k,mfcc_mel,faces,face_track,face_112,face_112x96"
