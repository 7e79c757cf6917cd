"""The slow way to the 168 numbers: librosa, one segment after the other."""

from __future__ import annotations

import warnings

import librosa
import numpy as np
from numpy.typing import NDArray

from features.segments import Segments

RATE = 22_050


def loop_features(sound: NDArray[np.float32], segments: Segments) -> NDArray[np.float64]:
    """Time means of librosa's MFCC and mel spectrum of each segment."""
    whole = np.concatenate([sound, np.zeros(segments.length, np.float32)])
    rows = []
    with warnings.catch_warnings():
        # librosa remarks that n_fft is longer than the segment, which is meant.
        warnings.simplefilter("ignore", UserWarning)
        for start in segments.starts:
            piece = whole[start : start + segments.length]
            mfcc = librosa.feature.mfcc(y=piece, sr=RATE, n_mfcc=40)
            mel = librosa.feature.melspectrogram(y=piece, sr=RATE)
            rows.append(np.concatenate([mfcc.mean(axis=1), mel.mean(axis=1)]))
    return np.array(rows, np.float64)
