"""What the two streams see of one frame: eight faces before it, and ten seconds of sound round it.

Rows are read for a batch at a time, those of its frames alone: the crops of a corpus like Aff-Wild2
are a hundred times what fits into memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from storage.audio_windows import LOGMEL_BANDS, LOGMEL_ROWS, Border, logmel_input, logmel_span
from storage.resample import rows_at
from storage.selection import SelectedClip, Selection
from storage.windows import FeatureWindows
from trainers.errors import WrongSetting

SOUND = "logmel_64"

Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class View:
    """What is read of a frame.

    Attributes:
        face, mask, sound: features; None isn't read.
        frames: faces up to the frame itself; dilation: frames between two of them.
        fps: of the clock that frames are counted by; None counts decoded frames.
    """

    face: str | None
    mask: str | None
    sound: str | None
    frames: int = 8
    dilation: int = 6
    fps: float | None = None
    border: Border = "centred"


@dataclass(frozen=True, eq=False)
class Seen:
    """A batch of frames; what isn't read is None.

    Attributes:
        faces: uint8 ``(n, frames, 112, 112, 3)`` RGB, oldest first, black where there is none.
        masks: uint8 ``(n, frames, 112, 112)``.
        maps: float32 ``(n, 1001, 64)``.
    """

    faces: Bytes | None
    masks: Bytes | None
    maps: NDArray[np.float32] | None


class Samples:
    """Reads frames of clips.

    Args:
        selection: clips with the view's features and ``timeline``; only ``clips`` of them are
            read, and named by their position in it.

    Attributes:
        rows: int64 ``(clips,)``, frames of each clip.

    Raises:
        WrongSetting: a feature has rows of another kind than the view needs.
    """

    def __init__(self, selection: Selection, clips: Sequence[SelectedClip], view: View) -> None:
        self.view, self.clips = view, tuple(clips)
        pieces = {
            name: [clip.results[name].pieces for clip in clips]
            for name in (view.face, view.mask, view.sound)
            if name is not None
        }
        where = selection.store.location
        self._windows = {n: FeatureWindows(where, n, p) for n, p in pieces.items()}
        self._check()
        self._times = [selection.times(clip) for clip in clips]
        per_frame = [name for name in (view.face, view.mask) if name is not None]
        counts = [np.array([len(times) for times in self._times], np.int64)]
        counts += [self._windows[name].rows for name in per_frame]
        self.rows: Ints = np.min(counts, axis=0)
        self._t0 = np.array([c.results[view.sound].t0 if view.sound else 0.0 for c in clips])

    def read(self, clips: Ints, rows: Ints) -> Seen:
        """The frames ``rows`` of the clips at those positions."""
        view = self.view
        maps = None if view.sound is None else self._maps(view.sound, clips, rows)
        if view.face is None:
            return Seen(None, None, maps)
        index = self._index(clips, rows)
        faces = self._pictures(view.face, clips, index)
        masks = None if view.mask is None else self._pictures(view.mask, clips, index)
        return Seen(faces, masks, maps)

    def _index(self, clips: Ints, rows: Ints) -> Ints:
        """``(n, frames)`` rows of the clip, oldest first; -1 before its start."""
        view = self.view
        back = np.arange(view.frames - 1, -1, -1) * view.dilation
        if view.fps is None:
            counted: Ints = np.maximum(rows[:, None] - back, -1)
            return counted
        found = np.empty((len(rows), view.frames), np.int64)
        for i, (clip, row) in enumerate(zip(clips.tolist(), rows.tolist(), strict=True)):
            times = self._times[clip]
            wanted = times[row] - back / view.fps
            # the first frame is shown for as long as one of that clock: half of it is rounding
            early = wanted < times[0] - 0.5 / view.fps
            found[i] = np.where(early, -1, rows_at(times, wanted))
        return found

    def _pictures(self, feature: str, clips: Ints, index: Ints) -> Bytes:
        """``(n, frames, *dims)``; invalid rows are black as they are stored."""
        windows = self._windows[feature]
        there = index >= 0
        which = np.repeat(clips, index.shape[1])
        flat = windows.read(which, np.maximum(index, 0).reshape(-1), 1)
        made: Bytes = flat.reshape(*index.shape, *windows.spec.dims)
        made[~there] = 0
        return made

    def _maps(self, feature: str, clips: Ints, rows: Ints) -> NDArray[np.float32]:
        """Windows of sound; those of equal length are read together."""
        windows = self._windows[feature]
        total = windows.rows[clips]
        spans = np.array(
            [
                logmel_span(n, t0, self._times[clip][row], self.view.border, self._times[clip][0])
                for clip, row, n, t0 in zip(
                    clips.tolist(), rows.tolist(), total.tolist(), self._t0[clips], strict=True
                )
            ],
            np.int64,
        ).reshape(-1, 3)
        # what is read may begin before what is used, so that most windows have one length
        count = np.minimum(total, LOGMEL_ROWS)
        first = np.minimum(spans[:, 0], total - count)
        made = np.empty((len(rows), LOGMEL_ROWS, LOGMEL_BANDS), np.float32)
        for length in np.unique(count).tolist():
            some = np.flatnonzero(count == length)
            read = windows.read(clips[some], first[some], length)
            for values, i in zip(read, some.tolist(), strict=True):
                start, stop, at = (spans[i] - [first[i], first[i], 0]).tolist()
                made[i] = logmel_input(values[start:stop], at)
        return made

    def _check(self) -> None:
        view = self.view
        wanted = {view.face: (3, "uint8"), view.mask: (2, "uint8"), view.sound: (1, "float32")}
        for name, windows in self._windows.items():
            axes, dtype = wanted[name]
            if (len(windows.spec.dims), windows.spec.dtype) != (axes, dtype):
                raise WrongSetting(
                    f"{name} has rows of {windows.spec.dtype} and shape {windows.spec.dims}; "
                    f"{dtype} with {axes} axes is needed"
                )
