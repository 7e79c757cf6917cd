"""docs/features.md says what the declarations say."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pytest

from features.spec import FeatureSpec, Rows
from flows.feature_docs import DOCS, PICTURES, built_in, document
from flows.feature_pictures import draw, drawable

PAGE = (DOCS / "features.md").read_text()


def test_the_page_is_what_the_declarations_give() -> None:
    assert document(built_in()) == PAGE, "run: python -m flows.feature_docs"


def test_looking_at_every_declaration_imports_nothing_heavy() -> None:
    code = (
        "import sys; from flows.pipeline import configure\n"
        "from flows.availability import unavailable\n"
        "unavailable(configure({}))\n"
        "heavy = {'torch', 'librosa', 'scipy', 'opensmile', 'dlib', 'ai_edge_litert'}\n"
        "print(*sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_every_visual_feature_that_can_be_made_here_has_a_picture() -> None:
    shown = set(re.findall(rf"\({PICTURES}/(\w+)\.png\)", PAGE))
    assert {*drawable(built_in())} <= shown, "run: python -m flows.feature_docs --pictures"


@pytest.mark.parametrize(
    "spec",
    [
        FeatureSpec("image", "frame", (8, 8, 3), "uint8"),
        FeatureSpec("points", "frame", (5, 2), "float32", units="px"),
        FeatureSpec("boxes", "frame", (4,), "float32", columns=("x0", "y0", "x1", "y1")),
    ],
)
def test_a_picture_shows_something(spec: FeatureSpec) -> None:
    values = np.random.default_rng(0).integers(1, 60, (6, *spec.dims)).astype(spec.dtype)
    rows = Rows(values, np.ones(6, bool))
    figure = draw(spec, rows, np.zeros((6, 64, 64, 3), np.uint8))
    assert len(figure.axes) == 4
    assert all(a.images or a.lines for a in figure.axes)
