"""openSMILE's sets: what the package gives, on the clip's clock."""

from __future__ import annotations

import hashlib
import importlib.util
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from features.audio_16k import Audio16k
from features.errors import RequestError
from features.extractor import Batch, Declaration
from features.media.media import Media
from features.opensmile_conf import config_digest
from features.registry import declaration_of
from features.spec import SAMPLES_PER_BLOCK, Rows
from tests.features.made_sounds import made_sound, write_wave

opensmile = pytest.importorskip("opensmile", reason="pip install affectstore[opensmile]")

SETS = {
    "opensmile_is10": ("IS10", 1582, 38),
    "opensmile_egemaps": ("eGeMAPSv02", 88, 25),
    "opensmile_compare": ("ComParE_2016", 6373, 65),
}
EVERY = [(name + level, *SETS[name]) for name in SETS for level in ("", "_lld")]

#: of the values of a made sound, for version 1 and opensmile 2.6.0: sums over the columns, which
#: are of very different sizes, of sign(x) log(1 + |x|)
GOLDEN = {
    "opensmile_is10": 1443.079,
    "opensmile_is10_lld": 529.2464,
    "opensmile_egemaps": 94.19504,
    "opensmile_egemaps_lld": 6866.152,
    "opensmile_compare": 4282.813,
    "opensmile_compare_lld": 10557.33,
}


def waveform(samples: NDArray[np.int16], t0: float = 0.0, valid: bool = True) -> Rows:
    flags = np.full(-(-len(samples) // SAMPLES_PER_BLOCK), valid)
    return Rows(samples, flags, t0, 1 / 16_000, block=SAMPLES_PER_BLOCK)


def made_by(feature: str, audio: Rows, **params: Any) -> Rows:
    declaration = declaration_of(feature)
    extractor = declaration.cls(declaration.cls.Params(**params))
    extractor.setup("cpu")
    made = extractor.extract(Batch(Media("unread.wav"), inputs={"audio": audio}))
    assert isinstance(made, Rows)
    return made


def package(member: str, lld: bool, path: str) -> Any:
    """The table that the package makes of a file, read by its own means."""
    level = "LowLevelDescriptors" if lld else "Functionals"
    smile = opensmile.Smile(opensmile.FeatureSet[member], opensmile.FeatureLevel[level])
    return smile.process_file(path)


@pytest.mark.parametrize(("feature", "member", "functionals", "descriptors"), EVERY)
@pytest.mark.parametrize("kind", ["sweep", "silence"])
def test_rows_are_the_packages_own_for_the_file(
    feature: str, member: str, functionals: int, descriptors: int, kind: str, tmp_path: Path
) -> None:
    samples = made_sound(kind, 20_123)
    lld = feature.endswith("_lld")
    table = package(member, lld, write_wave(tmp_path / "x.wav", samples, 16_000))
    rows = made_by(feature, waveform(samples, t0=2.5))
    assert np.array_equal(rows.values, table.to_numpy())
    assert rows.values.shape[1] == (descriptors if lld else functionals)
    assert rows.values.dtype == np.float32
    assert rows.valid.all()
    assert rows.t0 == 2.5
    if lld:
        # of the last rows openSMILE repeats a time: they are made when the sound has stopped
        starts = table.index.get_level_values("start").total_seconds()[:-2]
        np.testing.assert_allclose(starts, np.arange(rows.rows - 2) * rows.step, atol=1e-9)
        assert rows.step == 0.01


@pytest.mark.media
def test_a_real_clip_gives_the_same(media: Path, tmp_path: Path) -> None:
    clip = Media(str(media / "crema_d" / "1001_DFA_HAP_XX.flv"))
    audio = Audio16k(Audio16k.Params()).extract(Batch(clip))
    path = write_wave(tmp_path / "x.wav", np.asarray(audio.values, np.int16), 16_000)
    for feature, member, *_ in EVERY:
        table = package(member, feature.endswith("_lld"), path)
        assert np.array_equal(made_by(feature, audio).values, table.to_numpy()), feature


@pytest.mark.parametrize(("feature", "member", "functionals", "descriptors"), EVERY)
def test_columns_are_named_by_the_package(
    feature: str, member: str, functionals: int, descriptors: int
) -> None:
    declaration = declaration_of(feature)
    told, declared = declaration.outputs_for(declaration.cls.Params())[0], declaration.outputs[0]
    assert told.dims == declared.dims
    assert len(set(told.columns)) == told.dims[0]
    assert (told.name, told.rate, told.dtype) == (feature, declared.rate, "float32")


@pytest.mark.parametrize(("feature", "member", "functionals", "descriptors"), EVERY)
def test_less_than_a_tenth_of_a_second_is_filled_with_zeros(
    feature: str, member: str, functionals: int, descriptors: int, tmp_path: Path
) -> None:
    samples = made_sound("noise", 300)
    filled = np.pad(samples, (0, 1300))
    path = write_wave(tmp_path / "x.wav", filled, 16_000)
    rows = made_by(feature, waveform(samples))
    table = package(member, feature.endswith("_lld"), path)
    assert np.array_equal(rows.values, table.to_numpy())
    assert rows.valid.all()


@pytest.mark.parametrize("feature", ["opensmile_egemaps", "opensmile_egemaps_lld"])
def test_without_sound_rows_are_invalid(feature: str) -> None:
    rows = made_by(feature, waveform(np.zeros(16_000, np.int16), t0=1.0, valid=False))
    assert rows.rows == (100 if feature.endswith("_lld") else 1)
    assert not rows.valid.any()
    assert np.isnan(rows.values).all()
    assert rows.t0 == 1.0
    assert made_by(feature, waveform(np.zeros(0, np.int16))).valid.tolist() == [False]


@pytest.fixture
def own_config(tmp_path: Path) -> Path:
    """A user's .conf with 3 descriptors and 2 functionals each, in two files."""
    (tmp_path / "framer.conf.inc").write_text(FRAMER)
    path = tmp_path / "own.conf"
    path.write_text(OWN)
    return path


def test_a_users_own_conf_gives_the_columns(own_config: Path) -> None:
    samples = made_sound("sweep", 16_000)
    params = {"config": str(own_config)}
    functionals = made_by("opensmile_custom", waveform(samples), **params)
    described = made_by("opensmile_custom_lld", waveform(samples), **params)
    expected = opensmile.Smile(str(own_config), "func").process_signal(samples / 32_768, 16_000)
    assert np.array_equal(functionals.values, expected.to_numpy())
    assert functionals.rows == 1
    assert described.values.shape == (49, 2)
    assert described.step == 0.02
    declaration = declaration_of("opensmile_custom")
    spec = declaration.outputs_for(declaration.cls.Params(**params))[0]
    assert spec.columns == tuple(expected.columns)
    assert spec.dims == functionals.values.shape[1:]


def test_a_conf_of_the_older_kind_gives_what_its_own_sink_reads(tmp_path: Path) -> None:
    sets = Path(opensmile.__file__).parent / "core" / "config"
    text = (sets / "is09-13" / "IS10_paraling_compat.conf").read_text("latin-1")
    # as openSMILE 2 had it: a wave file in, a table of three levels out
    text = re.sub(r"^.*cm\[source.*$", WAVE_SOURCE, text, flags=re.MULTILINE)
    text = re.sub(r"^.*cm\[sink.*$", TABLE_SINK, text, flags=re.MULTILINE)
    (tmp_path / "targets.conf").write_text("class[0].name = class\nclass[0].type = numeric\n")
    old = tmp_path / "old.conf"
    old.write_text(text, "latin-1")
    audio = waveform(made_sound("sweep", 16_000))
    rows = made_by("opensmile_custom", audio, config=str(old))
    assert np.array_equal(rows.values, made_by("opensmile_is10", audio).values)
    assert old.read_text("latin-1") == text
    described = made_by("opensmile_custom_lld", audio, config=str(old))
    assert np.array_equal(described.values, made_by("opensmile_is10_lld", audio).values)


def test_an_include_after_the_wave_source_stays(own_config: Path) -> None:
    text = own_config.read_text()
    text = re.sub(r"^.*cm\[source.*$", WAVE_SOURCE, text, flags=re.MULTILINE)
    own_config.with_name("old.conf").write_text(text)
    audio = waveform(made_sound("sweep", 16_000))
    old = made_by("opensmile_custom_lld", audio, config=str(own_config.with_name("old.conf")))
    new = made_by("opensmile_custom_lld", audio, config=str(own_config))
    assert np.array_equal(old.values, new.values)


def test_the_confs_content_and_what_it_includes_are_in_the_key(own_config: Path) -> None:
    declaration = declaration_of("opensmile_custom")
    params = declaration.cls.Params(config=str(own_config))
    first = declaration.tools_for(params)
    assert first["config"] == config_digest(own_config)
    assert first["opensmile"] == opensmile.__version__
    inner = own_config.parent / "framer.conf.inc"
    inner.write_text(inner.read_text().replace("0.02", "0.03"))
    second = declaration.tools_for(params)
    assert first != second
    assert hashlib.sha256(own_config.read_bytes()).hexdigest() != second["config"]


def test_an_include_that_an_option_may_replace_is_in_the_key(own_config: Path) -> None:
    own = own_config.with_name("mine.conf.inc")
    own.write_text("one")
    own_config.write_text(own_config.read_text() + "\n\\{\\cm[mine{mine.conf.inc}:what is mine]}\n")
    before = config_digest(own_config)
    own.write_text("two")
    assert config_digest(own_config) != before


def test_a_conf_that_is_none_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "no.conf"
    path.write_text("hello")
    with pytest.raises(RequestError, match=r"openSMILE can't use no\.conf"):
        made_by("opensmile_custom", waveform(made_sound("noise", 9000)), config=str(path))


def test_functionals_that_give_many_rows_are_refused(own_config: Path) -> None:
    with pytest.raises(RequestError, match="where one is needed"):
        made_by(
            "opensmile_custom",
            waveform(made_sound("noise", 9000)),
            config=str(own_config),
            level="lld",
        )


def test_a_conf_that_is_edited_is_read_anew(own_config: Path) -> None:
    audio, params = waveform(made_sound("sweep", 16_000)), {"config": str(own_config)}
    before = made_by("opensmile_custom", audio, **params)
    own_config.write_text(own_config.read_text().replace("mcr = 0", "mcr = 1"))
    after = made_by("opensmile_custom", audio, **params)
    declaration = declaration_of("opensmile_custom")
    (spec,) = declaration.outputs_for(declaration.cls.Params(**params))
    assert after.values.shape[1] == len(spec.columns) == before.values.shape[1] + 2
    assert [name for name in spec.columns if "mcr" in name] == ["pcm_mcr_amean", "pcm_mcr_stddev"]


def test_a_folder_may_have_any_letters_and_a_file_only_those_of_ascii(
    own_config: Path,
) -> None:
    folder = own_config.parent / "Mühle 研究"
    folder.mkdir()
    audio = waveform(made_sound("sweep", 16_000))
    plain = made_by("opensmile_custom", audio, config=str(own_config))
    for name in ("framer.conf.inc", "own.conf"):
        own_config.with_name(name).rename(folder / name)
    moved = made_by("opensmile_custom", audio, config=str(folder / "own.conf"))
    assert np.array_equal(moved.values, plain.values)
    (folder / "own.conf").rename(folder / "Mühle.conf")
    with pytest.raises(RequestError, match="rename it"):
        made_by("opensmile_custom", audio, config=str(folder / "Mühle.conf"))


def test_levels_of_unequal_rows_are_refused_and_not_run(own_config: Path) -> None:
    audio = waveform(made_sound("noise", 9000))
    with pytest.raises(RequestError, match=r"lld 49, func 1\); name one"):
        made_by("opensmile_custom", audio, config=str(own_config), level="lld;func")
    both = made_by("opensmile_custom_lld", audio, config=str(own_config), level="energy;zero")
    assert both.values.shape[1] == 2


def test_what_is_missing_is_said_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    custom: Declaration = declaration_of("opensmile_custom")
    assert custom.unavailable(custom.cls.Params(config=str(tmp_path))) is not None
    assert "--set opensmile_custom.config" in str(custom.unavailable(custom.cls.Params()))
    is10 = declaration_of("opensmile_is10")
    assert is10.unavailable(is10.cls.Params()) is None
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "pip install 'affectstore[opensmile]'" in str(is10.unavailable(is10.cls.Params()))
    assert is10.tools_for(is10.cls.Params()) == {"opensmile": "2.6.0"}
    assert "research" in is10.licence


@pytest.mark.parametrize("feature", [name for name, *_ in EVERY])
def test_numbers_are_the_golden_ones_of_this_version(feature: str) -> None:
    values = made_by(feature, waveform(made_sound("sweep", 20_123))).values.astype(np.float64)
    found = float(np.sum(np.sign(values) * np.log1p(np.abs(values))))
    changed = f"{feature}'s numbers have changed: with the same package, bump its version"
    assert declaration_of(feature).version == 1, changed
    assert found == pytest.approx(GOLDEN[feature], rel=1e-4), changed


WAVE_SOURCE = r"""
[componentInstances:cComponentManager]
instance[waveIn].type=cWaveSource
[waveIn:cWaveSource]
writer.dmLevel = wave
filename = \\cm[inputfile(I){test.wav}:name of input file]
monoMixdown = 1
"""

TABLE_SINK = r"""
[componentInstances:cComponentManager]
instance[table].type = cArffSink
[table:cArffSink]
reader.dmLevel = funct;functNz;functOnsets
filename = \\cm[arffout(O){output.arff}:name of the table]
\\{targets.conf}
append = 1
"""

FRAMER = r"""
[frame:cFramer]
reader.dmLevel = wave
writer.dmLevel = frames
frameMode = fixed
frameSize = 0.04
frameStep = 0.02
frameCenterSpecial = left
noPostEOIprocessing = 1
"""

OWN = r"""
[componentInstances:cComponentManager]
instance[dataMemory].type=cDataMemory
instance[frame].type=cFramer
instance[energy].type=cEnergy
instance[zero].type=cMZcr
instance[lld].type=cVectorConcat
instance[functionals].type=cFunctionals

\{\cm[source{?}:source include config]}
\{framer.conf.inc}

[energy:cEnergy]
reader.dmLevel = frames
writer.dmLevel = energy
rms = 1
log = 0

[zero:cMZcr]
reader.dmLevel = frames
writer.dmLevel = zero
zcr = 1
mcr = 0
amax = 0
maxmin = 0
dc = 0

[lld:cVectorConcat]
reader.dmLevel = energy;zero
writer.dmLevel = lld
includeSingleElementFields = 1

[functionals:cFunctionals]
reader.dmLevel = lld
writer.dmLevel = func
frameMode = full
functionalsEnabled = Means;Moments
Means.amean = 1
Means.absmean = 0
Means.qmean = 0
Means.nzamean = 0
Means.nzabsmean = 0
Means.nzqmean = 0
Means.nzgmean = 0
Means.nnz = 0
Moments.variance = 0
Moments.stddev = 1
Moments.skewness = 0
Moments.kurtosis = 0

\{\cm[sink{?}:include external sink]}
"""
