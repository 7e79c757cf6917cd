"""The decoded frames of a short clip, for its later passes: no second decode."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing

from features.media.video import FrameBatch

#: bytes of pixels kept of a clip at most: 14 s of 640x480 at 25 fps, 19 s of 640x360. Of a clip
#: that has more nothing is kept, and a later pass decodes it again
KEPT_BYTES = 320 * 2**20


class KeptFrames:
    """What one pass over a clip's video gave, as long as it isn't more than ``KEPT_BYTES``."""

    def __init__(self) -> None:
        self._batches: list[FrameBatch] = []
        self._bytes = 0
        self._whole = False

    @property
    def whole(self) -> bool:
        """All frames of the clip are here, with their pixels."""
        return self._whole

    def keep(self, batches: Generator[FrameBatch]) -> Generator[FrameBatch]:
        """The same batches, kept on their way as long as all of them have room.

        Closing this generator closes ``batches``.
        """
        self.drop()
        fits = True
        with closing(batches):
            for batch in batches:
                if fits:
                    fits = self._add(batch)
                yield batch
        self._whole = fits

    def _add(self, batch: FrameBatch) -> bool:
        self._bytes += 0 if batch.frames is None else batch.frames.nbytes
        if batch.frames is None or self._bytes > KEPT_BYTES:
            self.drop()
            return False
        self._batches.append(batch)
        return True

    def batches(self) -> Generator[FrameBatch]:
        """The kept frames, in the batches that they came in."""
        yield from self._batches

    def drop(self) -> None:
        """Let go of them."""
        self._batches.clear()
        self._bytes, self._whole = 0, False
