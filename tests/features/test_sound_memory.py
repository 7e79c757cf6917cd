"""Features of a whole clip's sound need little more memory than the sound and the result."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from features.logmel_64 import logmel
from features.spectrogram_192x120 import log_spectrogram
from features.stft_map import stft_maps
from tests.features.made_sounds import made_sound

#: bytes beside sound and result: one block's windows and spectra
ROOM = 8 << 20


@pytest.mark.parametrize("make", [logmel, log_spectrogram, stft_maps], ids=lambda f: f.__name__)
def test_a_long_sound_is_padded_as_it_is_and_scaled_block_by_block(
    make: Callable[[NDArray[np.int16]], NDArray[np.float32]],
) -> None:
    sound = made_sound("noise", 120 * 16_000)
    make(sound[:50_000])
    tracemalloc.start()
    try:
        made = make(sound)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak - made.nbytes < sound.nbytes + ROOM, f"{(peak - made.nbytes) >> 20} MiB"
