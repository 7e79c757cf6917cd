"""An extractor in a package of its own is listed, planned, extracted and read like ours."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from features.media.media import Media
from features.registry import feature_specs
from storage import FeatureStore
from tests.features.made_clips import frames_of, make_clip
from tests.real_clips import Cli, Facts

PACKAGE = Path(__file__).parents[1] / "thirdparty"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package as pip installs it."""
    source = tmp_path_factory.mktemp("source") / "package"
    shutil.copytree(PACKAGE, source)
    site = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation"]
    done = subprocess.run(
        [*pip, "--target", str(site), str(source)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return site


def test_it_is_found_by_its_entry_point(site: Path, tmp_path: Path, cli: Cli, facts: Facts) -> None:
    path = os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH", "")]))
    make_clip(tmp_path / "media.mp4")
    root = tmp_path / "store"
    cli("ingest", tmp_path / "media.mp4", "--store", root, "--corpus", "c")
    listed = cli("features", "list", PYTHONPATH=path)
    assert "frame_brightness" in listed.stdout
    assert "frame_brightness" not in feature_specs()
    checked = cli("features", "check", "frame_brightness", PYTHONPATH=path)
    assert checked.stdout.strip() == "frame_brightness keeps the rules"
    asked = ("--store", root, "--features", "frame_brightness")
    assert '"clips": 1' in cli("plan", *asked, "--json", PYTHONPATH=path).stdout
    cli("extract", *asked, "--no-prefect", PYTHONPATH=path)
    rows = FeatureStore.open(root).read("media", "frame_brightness", variant=None, stale="allow")
    want = frames_of(Media(str(tmp_path / "media.mp4"))).frames
    assert want is not None
    np.testing.assert_allclose(rows.values, want.mean((1, 2, 3)), rtol=1e-6)
    assert facts("failures", "--store", root) == []


@pytest.mark.long
def test_its_weights_are_added_like_ours(site: Path, tmp_path: Path, cli: Cli) -> None:
    import torch

    path = os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH", "")]))
    env = {"PYTHONPATH": path, "AFFECTSTORE_WEIGHTS": str(tmp_path / "weights")}
    make_clip(tmp_path / "media.mp4")
    root, asked = tmp_path / "store", ("--features", "frame_tint")
    cli("ingest", tmp_path / "media.mp4", "--store", root, "--corpus", "c")
    missing = cli("extract", "--store", root, *asked, code=2, **env)
    assert "affectstore weights add affect-tint FILE" in missing.stderr
    layer = {"weight": torch.tensor([[1.0, 0, -1], [0, 1, 0]]), "bias": torch.zeros(2)}
    torch.save(layer, tmp_path / "tint.pth")
    added = cli("weights", "add", "affect-tint", tmp_path / "tint.pth", **env)
    assert "licence: CC0" in added.stdout
    cli("extract", "--store", root, *asked, **env)
    rows = FeatureStore.open(root).read("media", "frame_tint", variant=None, stale="allow")
    frames = frames_of(Media(str(tmp_path / "media.mp4"))).frames
    assert frames is not None
    red, green, blue = np.moveaxis(frames.mean((1, 2)) / 255, -1, 0)
    np.testing.assert_allclose(rows.values, np.stack([red - blue, green], 1), atol=1e-5)
