"""Networks whose weights the user brings, through a real store with random ones: keyed, shown."""

from __future__ import annotations

import json

import numpy as np
import pytest

from corpora.adapters import load
from features.faces import DETECTION_COLUMNS
from flows.ingest import ingest_manifest
from flows.pipeline import Settings
from flows.request import Request
from flows.run import extract_plain, plan_request
from storage import FeatureStore
from tests.features.made_clips import make_clip
from tests.real_clips import Cli

NETWORKS = ("expnet", "expnet_coeffs", "sphereface", "vggface")
RANDOM = {"weights": "random"}
#: the clip brings its box, so that no detector has to see a face in the test picture
SETTINGS: Settings = {
    "faces": {"backend": "provided"},
    "face_track": {"use_identity": False},
    **dict.fromkeys(("expnet", "sphereface", "vggface"), RANDOM),
}
#: box and score, then eyes, nose and mouth as in a face
FACE = (12, 4, 52, 44, 1, 22, 18, 42, 18, 32, 27, 24, 36, 40, 36)
RETINA: Settings = {"faces": {"backend": "retinaface", **RANDOM}}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    """One clip of 3 frames, a face in the first two, with all networks and RetinaFace."""
    folder = tmp_path_factory.mktemp("random")
    make_clip(folder / "clip.mp4", seconds=0.3)
    rows = [("frame", *DETECTION_COLUMNS), (0, *FACE), (1, *FACE)]
    (folder / "boxes.csv").write_text("\n".join(",".join(map(str, r)) for r in rows))
    table = folder / "clips.csv"
    table.write_text("clip_id,path,asset.boxes\nclip,clip.mp4,boxes.csv\n")
    store = FeatureStore.create(folder / "store")
    ingest_manifest(store, load("table", str(table), "made"))
    for features, settings in ((",".join(NETWORKS), SETTINGS), ("faces", RETINA)):
        summary = extract_plain(Request(store.root, features, settings=settings))
        assert summary.complete, summary.sentence()
    return FeatureStore.open(store.root)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_has_numbers_where_there_is_a_face(store: FeatureStore, name: str) -> None:
    rows = store.read_result(store.published(features=[name])[0])
    assert rows.valid.tolist() == [True, True, False]
    assert np.isfinite(rows.values[:2]).all()
    assert np.isnan(rows.values[2]).all()
    assert rows.values[:2].std() > 0


def test_retinaface_has_a_row_for_every_frame(store: FeatureStore) -> None:
    # the clip's own two boxes are the other result
    found = [store.read_result(p) for p in store.published(features=["faces"])]
    assert [rows.rows for rows in found] == [3, 3]
    assert all(rows.valid.all() for rows in found)


@pytest.mark.parametrize("name", [*NETWORKS, "faces"])
def test_what_was_made_with_random_weights_says_so(store: FeatureStore, name: str) -> None:
    nodes = store.earlier_nodes()
    made = [nodes[result.extractor_key] for result in store.published(features=[name])]
    assert "random" in [node.params.get("weights") for node in made]


def test_it_never_counts_as_what_published_weights_make(store: FeatureStore) -> None:
    plan = plan_request(store, Request(store.root, "all"))
    assert {"expnet", "sphereface", "vggface"} <= plan.skipped.keys()
    random = plan_request(store, Request(store.root, ",".join(NETWORKS), settings=SETTINGS))
    assert random.todo.num_rows == 0


def test_a_person_sees_it(store: FeatureStore, cli: Cli) -> None:
    shown = json.loads(cli("inspect", "clip", "--store", store.root, "--json").stdout)
    assert "random" in json.dumps(shown)
