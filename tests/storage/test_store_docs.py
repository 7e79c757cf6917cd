"""The script in docs/reading-without-affectstore.md reads what the store reads."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from store_kit import make_rows, new_store

from features.spec import FeatureSpec

DOC = Path(__file__).parents[2] / "docs" / "reading-without-affectstore.md"


def script() -> str:
    """The doc's first block of Python."""
    found = re.search(r"```python\n(.*?)```", DOC.read_text(), re.DOTALL)
    assert found is not None
    return found[1]


def test_the_documented_script_gives_the_same_array(tmp_path: Path) -> None:
    store = new_store(tmp_path / "s", ("clip_0000", "clip_0001"))
    spec = FeatureSpec("mfcc_mel", "frame", (168,), "float32")
    store.publish("clip_0001", spec, make_rows(spec, 5, seed=9))
    for i in range(2):
        store.publish(f"clip_000{i}", spec, make_rows(spec, 45, seed=i))
    code = script()
    assert "affectstore" not in code
    assert code.count('Path("my-store")') == 1
    names: dict[str, Any] = {}
    exec(code.replace('Path("my-store")', f"Path({str(tmp_path / 's')!r})"), names)
    want = store.read("clip_0001", "mfcc_mel")
    np.testing.assert_array_equal(names["values"], want.values)
    np.testing.assert_array_equal(names["valid"], want.valid)


def test_the_script_is_as_short_as_promised() -> None:
    lines = [line for line in script().splitlines() if line and "import" not in line]
    assert len(lines) <= 10
