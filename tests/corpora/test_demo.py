"""The made clips: the same every time, labelled per frame, seen and heard as labelled."""

from __future__ import annotations

import hashlib
from pathlib import Path

import av
import numpy as np
import pytest

from corpora.adapters import load
from corpora.demo import TABLE, make_demo
from corpora.demo.face import _express
from corpora.demo.script import script
from corpora.demo.voice import FORMANT_OCTAVES, HIGHER, RATE, STILL, VOWELS, _resonate, voice
from corpora.errors import BadLabels, CorpusError, ForeignFolder
from corpora.manifest import Manifest


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_demo(tmp_path_factory.mktemp("made") / "demo", seconds=1.0)


@pytest.fixture(scope="module")
def manifest(demo: Path) -> Manifest:
    return load("demo", demo, "c")


def hashes(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


def frame_times(path: str) -> list[float]:
    with av.open(path) as container:
        return [float(frame.time or 0.0) for frame in container.decode(video=0)]


def test_the_same_arguments_give_the_same_bytes(tmp_path: Path) -> None:
    one = make_demo(tmp_path / "one", clips=2, seconds=0.5)
    two = make_demo(tmp_path / "two", clips=2, seconds=0.5)

    assert hashes(one) == hashes(two)
    assert set(hashes(one)) == {
        TABLE,
        *("demo_1.mp4", "demo_1.labels.csv", "demo_2.mp4", "demo_2.labels.csv"),
    }


def test_another_seed_gives_other_clips(tmp_path: Path) -> None:
    one = hashes(make_demo(tmp_path / "one", clips=1, seconds=0.5))
    two = hashes(make_demo(tmp_path / "two", clips=1, seconds=0.5, seed=1))

    assert one["demo_1.mp4"] != two["demo_1.mp4"]
    assert one["demo_1.labels.csv"] != two["demo_1.labels.csv"]


def test_every_decoded_frame_has_one_label_row_at_its_time(demo: Path, manifest: Manifest) -> None:
    for clip in manifest.clips:
        times = frame_times(clip.uri)
        labelled = np.loadtxt(
            demo / f"{clip.clip}.labels.csv", delimiter=",", skiprows=1, usecols=1
        )

        assert labelled == pytest.approx(times, abs=1e-4)
        assert {x.name: len(x.values) for x in manifest.frame_labels[clip.clip]} == {
            "arousal": len(times),
            "valence": len(times),
        }


def test_one_clip_has_a_variable_frame_rate(manifest: Manifest) -> None:
    steps = [set(np.diff(frame_times(c.uri)).round(3).tolist()) for c in manifest.clips]

    assert [s for s in steps if s != {0.04}] == [{0.04, 0.08}]


def test_one_clip_has_late_sound(manifest: Manifest) -> None:
    starts = []
    for clip in manifest.clips:
        with av.open(clip.uri) as container:
            stream = container.streams.audio[0]
            starts.append(float((stream.start_time or 0) * (stream.time_base or 0)))

    assert sum(start > 0.3 for start in starts) == 1
    assert sum(start == 0 for start in starts) == 5


def test_frame_labels_stay_in_their_range_and_are_all_valid(manifest: Manifest) -> None:
    for labels in manifest.frame_labels.values():
        for label in labels:
            assert np.abs(label.values).max() <= 1
            assert label.valid.all()


def test_clip_labels_are_the_mean_of_the_frame_labels(manifest: Manifest) -> None:
    for clip in manifest.clips:
        for label in manifest.frame_labels[clip.clip]:
            assert clip.labels[label.name] == pytest.approx(label.values.mean(), abs=1e-5)


def test_no_subject_is_in_two_splits_and_both_splits_have_some(manifest: Manifest) -> None:
    pairs = {(c.subject, c.split) for c in manifest.clips}

    assert len(pairs) == 3
    assert {split for _, split in pairs} == {"train", "val"}


def test_subjects_share_every_pair_of_neighbouring_emotions() -> None:
    pairs = set()
    for subject in range(8):
        pairs.add(tuple(script(2 * subject + i, 16, 1.0, 0).emotion for i in range(2)))
    emotions = [script(i, 16, 1.0, 0).emotion for i in range(16)]

    assert pairs == {("happy", "sad"), ("angry", "calm"), ("sad", "angry"), ("calm", "happy")}
    assert {emotions.count(name) for name in emotions} == {4}


def test_the_voice_is_louder_and_higher_when_aroused() -> None:
    calm, aroused = (voice(script(i, 6, 3.0, 0)).astype(float) for i in (1, 0))

    assert np.sqrt((aroused**2).mean()) > 1.5 * np.sqrt((calm**2).mean())
    assert _pitch(aroused) > 1.2 * _pitch(calm)


def test_the_formants_rise_with_valence() -> None:
    sound = np.random.default_rng(0).standard_normal(RATE)

    def first(valence: float) -> float:
        raised = np.full(round(1 / STILL), 2 ** (FORMANT_OCTAVES * valence))
        power = np.abs(np.fft.rfft(_resonate(sound, VOWELS[2] + HIGHER, raised))) ** 2
        return float(np.convolve(power, np.ones(60) / 60, "same")[:1000].argmax())

    formants = [first(valence) for valence in (-1.0, 0.0, 1.0)]

    assert formants[1] == pytest.approx(VOWELS[2][0], rel=0.08)
    assert formants[2] / formants[0] == pytest.approx(2 ** (2 * FORMANT_OCTAVES), rel=0.1)


def test_formants_that_move_leave_no_clicks() -> None:
    sound = np.sin(2 * np.pi * 150 * np.arange(RATE) / RATE)
    still = _resonate(sound, VOWELS[2] + HIGHER, np.ones(round(1 / STILL)))
    moving = _resonate(
        sound, VOWELS[2] + HIGHER, 1 + 0.1 * np.sin(np.arange(round(1 / STILL)) / 20)
    )

    # what a jump would leave is broad: above 3 kHz a moving resonator has no more than the tone
    def high(values: np.ndarray) -> float:
        return float((np.abs(np.fft.rfft(values * np.hanning(RATE)))[3000:] ** 2).sum())

    whole = float((np.abs(np.fft.rfft(still * np.hanning(RATE))) ** 2).sum())
    assert high(moving) < 1e-5 * whole


def _pitch(samples: np.ndarray) -> float:
    """Hz of the strongest period between 70 and 400 Hz over the whole clip."""
    power = np.abs(np.fft.rfft(samples, 2 * len(samples))) ** 2
    correlation = np.fft.irfft(power)
    first, last = RATE // 400, RATE // 70
    return RATE / (first + int(correlation[first:last].argmax()))


def test_the_corners_of_the_mouth_fall_with_valence() -> None:
    """The dark corner of the mouth is looked for in its part of the enlarged portrait."""

    def corner(valence: float) -> float:
        part = _express(valence, 0.0, 0.0, 0.0)[262:330, 392:428].mean(2)
        return float((part.ravel().argsort()[:15] // part.shape[1]).mean())

    rows = [corner(valence) for valence in (1.0, 0.5, 0.0, -0.5, -1.0)]

    assert rows == sorted(rows)
    assert rows[-1] > rows[0] + 10


def test_the_adapter_makes_the_clips_where_there_are_none(tmp_path: Path) -> None:
    made = load("demo", tmp_path / "new", "c")

    assert len(made.clips) == 6
    assert all(Path(c.uri).is_file() for c in made.clips)


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "demo_1.mp4").write_bytes(b"mine")

    with pytest.raises(ForeignFolder, match="no demo"):
        load("demo", tmp_path, "c")

    assert hashes(tmp_path) == {"demo_1.mp4": hashlib.sha256(b"mine").hexdigest()}


HEADER = "clip_id,path,subject,split,arousal,valence,emotion\n"


@pytest.mark.parametrize("text", ["my own table\n", "", HEADER + "mine,a.mp4,,,,,\n", "\xff"])
def test_a_table_of_ones_own_that_is_called_demo_is_left_alone(tmp_path: Path, text: str) -> None:
    (tmp_path / TABLE).write_text(text, encoding="latin-1")
    (tmp_path / "a.mp4").touch()
    before = hashes(tmp_path)

    with pytest.raises(ForeignFolder, match="no demo"):
        make_demo(tmp_path, clips=1, seconds=0.5)

    assert hashes(tmp_path) == before
    assert [c.clip for c in load(None, tmp_path, "c").clips] == ["a"]


def test_making_a_demo_again_replaces_it_and_leaves_nothing_behind(tmp_path: Path) -> None:
    folder = make_demo(tmp_path / "d", clips=1, seconds=0.5)
    before = hashes(folder)

    make_demo(folder, clips=1, seconds=0.5)

    assert hashes(folder) == before
    assert [p.name for p in tmp_path.iterdir()] == ["d"]


def test_lost_labels_are_an_error_that_names_the_file(tmp_path: Path) -> None:
    folder = make_demo(tmp_path / "d", clips=1, seconds=0.5)
    (folder / "demo_1.labels.csv").unlink()

    with pytest.raises(BadLabels, match=r"demo_1\.labels\.csv: missing"):
        load("demo", folder, "c")


@pytest.mark.parametrize(("clips", "seconds"), [(0, 3.0), (6, 0.1), (6, float("nan"))])
def test_a_demo_of_nothing_is_refused(tmp_path: Path, clips: int, seconds: float) -> None:
    with pytest.raises(CorpusError, match="can't be made"):
        make_demo(tmp_path / "d", clips=clips, seconds=seconds)

    assert not (tmp_path / "d").exists()
