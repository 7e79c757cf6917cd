"""The networks of guo2018: sizes, what starts where, and what an output depends on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from storage.statistics import compute
from trainers.models.inception_lstm import InceptionLstm, MapClassifier
from trainers.models.lstm_head import LstmHead
from trainers.models.scaling import ZScore
from trainers.models.shortterm_lstm import ShorttermLstm
from trainers.models.vgg_lstm import FaceClassifier, VggLstm

CLASSES = 7


def scaling() -> ZScore:
    rows = np.random.default_rng(0).normal(3, 2, (50, 34))
    return ZScore((34,), compute([(rows, np.ones(50, bool))]))


#: network at full size, parameters (a torch LSTM has two biases, added)
SIZES: list[tuple[str, Callable[[], nn.Module], int]] = [
    ("one face", lambda: FaceClassifier(CLASSES), 134_289_223),
    ("VGG-LSTM", lambda: VggLstm(FaceClassifier(CLASSES), CLASSES), 119_643_847),
    ("short-term LSTM", lambda: ShorttermLstm(ZScore((34,)), CLASSES), 1_125_895),
    ("one map", lambda: MapClassifier(ZScore((34,)), CLASSES), 10_277_415),
    ("Inception-LSTM", lambda: InceptionLstm(MapClassifier(ZScore((34,)), CLASSES), CLASSES),
     10_861_991),
]  # fmt: skip


@pytest.mark.parametrize(("name", "make", "parameters"), SIZES)
def test_sizes_are_those_of_the_table(
    name: str, make: Callable[[], nn.Module], parameters: int
) -> None:
    with torch.device("meta"):
        net = make()
    assert sum(p.numel() for p in net.parameters()) == parameters, name


def test_outputs_at_full_size_have_a_logit_per_class() -> None:
    with torch.device("meta"):
        faces = VggLstm(FaceClassifier(CLASSES), CLASSES)
        maps = InceptionLstm(MapClassifier(ZScore((34,)), CLASSES), CLASSES)
        pixels = torch.zeros(2, 16, 112, 112, 3, dtype=torch.uint8)
        with torch.no_grad():
            assert faces({"x": pixels}).shape == (2, CLASSES)
            assert maps({"x": torch.zeros(2, 8, 34, 34)}).shape == (2, CLASSES)


def test_lstm_weights_start_small_and_uniform_biases_at_zero_and_classes_at_variance_1e_4() -> None:
    torch.manual_seed(0)
    head = LstmHead(200, 128, CLASSES)
    for name, weight in head.lstm.named_parameters():
        if name.startswith("bias"):
            assert (weight == 0).all()
        else:
            assert 0.0099 < weight.max().item() <= 0.01
            assert weight.std().item() == pytest.approx(0.01 / 3**0.5, rel=0.05)
    assert head.classes.weight.std().item() == pytest.approx(0.01, rel=0.1)
    assert (head.classes.bias == 0).all()


def test_rows_after_the_steps_that_count_change_nothing() -> None:
    torch.manual_seed(0)
    net = ShorttermLstm(scaling(), CLASSES, 0.1, 0.3)
    rows, count = torch.randn(1, 20, 34), torch.tensor([17])
    other = rows.clone()
    other[:, 17:] = 5
    found = net({"x": rows, "steps": count})
    torch.testing.assert_close(net({"x": other, "steps": count}), found, rtol=0, atol=0)
    torch.testing.assert_close(net({"x": rows[:, :17], "steps": count}), found)
    assert not torch.equal(net({"x": rows, "steps": count - 1}), found)
    longer = {"x": torch.cat([rows, other]), "steps": torch.tensor([17, 20])}
    torch.testing.assert_close(net(longer)[:1], found)


def test_stage_two_keeps_what_stage_one_learned_up_to_fc6_and_up_to_the_pool() -> None:
    torch.manual_seed(0)
    face = FaceClassifier(CLASSES, 0.05, 32).eval()
    pixels = torch.randint(0, 256, (2, 3, 48, 48, 3), dtype=torch.uint8)
    before = face.fc6(pixels[:, 1])
    lstm = VggLstm(face, CLASSES).eval()
    torch.testing.assert_close(lstm.faces.fc6(pixels[:, 1]), before)
    assert lstm({"x": pixels}).shape == (2, CLASSES)
    assert not [k for k in lstm.state_dict() if "fc7" in k or "fc8" in k]
    maps = MapClassifier(scaling(), CLASSES, 0.05, 64).eval()
    given = torch.randn(2, 34, 34)
    pool = maps.pooled(given)
    joined = InceptionLstm(maps, CLASSES, 0.05).eval()
    torch.testing.assert_close(joined.maps.pooled(given), pool)
    assert not [k for k in joined.state_dict() if "last_linear" in k]


def test_without_gradients_pictures_go_through_in_pieces_with_the_same_result() -> None:
    torch.manual_seed(0)
    net = VggLstm(FaceClassifier(CLASSES, 0.05, 32), CLASSES).eval()
    faces = {"x": torch.randint(0, 256, (5, 16, 8, 8, 3), dtype=torch.uint8)}
    whole = net(faces).detach()
    with torch.inference_mode():
        torch.testing.assert_close(net(faces), whole, rtol=1e-4, atol=1e-6)


def test_a_map_becomes_a_picture_of_0_to_255_with_time_from_left_to_right() -> None:
    net = MapClassifier(scaling(), CLASSES, 0.05, 34)
    rows = torch.full((1, 34, 34), 3.0)
    rows[0, 5, 9] = 100.0
    picture = net.pictures(rows) + net.mean
    assert float(picture.max()) == 255
    assert picture[0, :, 9, 5].tolist() == [255, 255, 255]
    np.testing.assert_allclose(float(picture[0, 0, 20, 20]), 127.5, atol=20)
