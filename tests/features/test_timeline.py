"""The timeline: the clip's clock as a feature."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from features.extractor import Batch, Declaration
from features.media.media import Media
from features.media.tools import DECODE_VERSION
from features.spec import Rows
from features.timeline import Timeline
from tests.features.made_clips import make_clip, times_of


def timeline_of(media: Media, batch: int = 32) -> Rows:
    extractor = Timeline(Timeline.Params())
    extractor.setup("cpu")
    return Rows.concat(
        [
            extractor.extract(Batch(media, b.start, b.times))
            for b in media.video(batch, pixels=False)
        ]
    )


def test_it_reads_times_and_no_pixels() -> None:
    declaration: Declaration = Timeline.declaration  # type: ignore[attr-defined]
    assert (declaration.reads, declaration.pixels, declaration.scope) == ("video", False, "frames")
    assert dict(declaration.tools) == {"decode": DECODE_VERSION}
    (spec,) = Timeline.outputs
    assert (spec.name, spec.rate, spec.dims, spec.dtype, spec.units) == (
        "timeline",
        "frame",
        (),
        "float64",
        "s",
    )


def test_each_frame_has_a_valid_row_that_holds_its_time(tmp_path: Path) -> None:
    media = Media(str(make_clip(tmp_path / "clip.mp4", seconds=2.0)))
    rows = timeline_of(media)
    assert rows.values.dtype == np.float64
    assert rows.values == pytest.approx(np.arange(20) / 10)
    assert rows.valid.all()
    assert rows.step is None


def test_the_batch_size_changes_nothing(tmp_path: Path) -> None:
    media = Media(str(make_clip(tmp_path / "clip.mp4", seconds=2.0)))
    whole = timeline_of(media, 32)
    for batch in (1, 7):
        assert timeline_of(media, batch).values.tobytes() == whole.values.tobytes()
        assert (timeline_of(media, batch).digest == whole.digest).all()


@pytest.mark.media
def test_a_late_start_stays_late(media: Path) -> None:
    clip = Media(str(media / "a06_stage_dark_profile_many_faces.mp4"))
    rows = timeline_of(clip)
    assert rows.rows == 275
    assert rows.values[0] == pytest.approx(0.852, abs=5e-4)
    assert np.array_equal(rows.values, times_of(clip))
