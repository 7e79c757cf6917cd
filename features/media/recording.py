"""What the cuts of one recording share: decoders that go on where the last cut stopped."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Sequence
from typing import Any

from features.errors import MediaError
from features.media.audio import Cut, SoundStream, Waveform
from features.media.decoder import Decoder
from features.media.probe import Probe, probe
from features.media.truncation import missing_bytes

#: seconds of video that are decoded and dropped rather than looking for a new place: less than
#: what a new decoder would have to decode before a cut
MOST_GAP = 10.0
#: video decoders that wait for the next cut: one per pass over a clip, and times alone
MOST_WAITING = 3


class Recording:
    """Decoders of one file, open between its cuts.

    Cuts that come in the order of their starts are read as the whole is, once per pass, rate and
    kind of sample; their numbers are the same, since none depends on where decoding stops. One
    that comes out of order starts a decoder anew; one where reading on fails is read by itself.

    Args:
        version: of the file, such as path, size and time.
    """

    def __init__(self, version: Hashable) -> None:
        self.version = version
        self._cuts: list[tuple[float, float]] = []
        self._sounds: dict[Hashable, SoundStream[Any] | None] = {}
        self._waiting: list[tuple[Decoder, float]] = []
        self._lock = threading.Lock()
        self._facts: dict[str, tuple[Probe, int]] = {}

    def facts(self, path: str) -> tuple[Probe, int]:
        """The file's headers, and how many bytes are missing at its stop (see ``truncation``).

        Raises:
            MediaError: see ``features.media.probe.probe``.
        """
        with self._lock:
            if path not in self._facts:
                self._facts[path] = probe(path), missing_bytes(path)
            return self._facts[path]

    def expect(self, cuts: Sequence[tuple[float | None, float | None]]) -> None:
        """Say which cuts will be read."""
        self._cuts = [(a or 0.0, float("inf") if b is None else b) for a, b in cuts]

    def sound(
        self, key: Hashable, start: Callable[[], SoundStream[Any]], name: str, cut: Cut
    ) -> Waveform[Any] | None:
        """A cut's samples out of the one decode of that kind; None: decode it by itself."""
        with self._lock:
            stream = self._sounds[key] if key in self._sounds else start()
            if stream is None:
                return None
            if not stream.holds(cut):
                stream.close()
                stream = start()
            self._sounds[key] = stream
            try:
                return stream.read(name, cut)
            except MediaError:
                stream.close()
                self._sounds[key] = None
                return None

    def goes_on(self, stop: float | None, seekable: bool) -> bool:
        """Another cut starts so soon after ``stop`` that its decoder is worth keeping."""
        most = MOST_GAP if seekable else float("inf")
        return stop is not None and any(0 <= start - stop <= most for start, _ in self._cuts)

    def take(
        self, name: str, shape: tuple[int, int, int] | None, start: float, seekable: bool
    ) -> Decoder | None:
        """A waiting decoder, at the cut's first frame; None: start one."""
        most = MOST_GAP if seekable else float("inf")
        with self._lock:
            fitting = [
                d for d in self._waiting if d[0].shape == shape and 0 <= start - d[1] <= most
            ]
            if not fitting:
                return None
            chosen = max(fitting, key=lambda d: d[1])
            self._waiting.remove(chosen)
        decoder = chosen[0]
        decoder.name = name
        try:
            if decoder.skip_to(start):
                return decoder
        except MediaError:
            pass
        decoder.close()
        return None

    def keep(self, decoder: Decoder, stop: float) -> None:
        """Let a decoder wait that has given all frames before ``stop``."""
        with self._lock:
            self._waiting.append((decoder, stop))
            while len(self._waiting) > MOST_WAITING:
                self._waiting.pop(0)[0].close()

    def close(self) -> None:
        """End all decoders."""
        with self._lock:
            for stream in self._sounds.values():
                if stream is not None:
                    stream.close()
            for decoder, _ in self._waiting:
                decoder.close()
            self._sounds.clear()
            self._waiting.clear()
