"""A slot takes features of the form that it needs; others are refused before anything runs."""

from __future__ import annotations

import pytest

from features.errors import UnknownParameter
from flows.pipeline import configure


@pytest.mark.parametrize(
    ("slot", "feature", "said"),
    [
        ("face_track.faces", "mfcc_mel", "any number of items a frame is needed"),
        ("face_112.points", "audio_16k", "rows by sample, rows by frame are needed"),
        ("expnet.face", "face_track", r"\(112, 112, 3\) is needed"),
        ("facemesh_714.pose", "gaze", r"shape \(8,\), \(9,\) is needed"),
        ("face_224.box", "landmarks_68", r"\(15,\) is needed"),
        ("shortterm_34.audio", "opensmile_is10", "rows by clip, rows by sample"),
        ("face_eyes_224.points", "face_track", r"\(68, 2\) is needed"),
        ("sphereface.face", "face_112", r"\(112, 96, 3\) is needed"),
        ("vggface.face", "face_mask", r"\(224, 224, 3\) is needed"),
    ],
)
def test_a_feature_of_another_form_is_refused(slot: str, feature: str, said: str) -> None:
    extractor, _, name = slot.partition(".")
    with pytest.raises(UnknownParameter, match=f"{slot} can't be {feature}: .*{said}"):
        configure({extractor: {name: feature}})


@pytest.mark.parametrize(
    ("slot", "feature"),
    [
        ("face_112.points", "landmarks_68"),
        ("face_mask.points", "face_track"),
        ("expnet.face", "openface_face_112"),
        ("expnet.face", "faces_provided"),
        ("expnet.face", "face_224"),
        ("vggface.face", "faces_provided"),
    ],
)
def test_one_of_a_form_that_it_takes_is_bound(slot: str, feature: str) -> None:
    extractor, _, name = slot.partition(".")
    nodes = {node.extractor: node for node in configure({extractor: {name: feature}}).nodes}
    assert dict(nodes[extractor].inputs)[name] == feature
