"""The examples of docs/own_features.md and docs/extractors.md keep the rules, as they stand."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from features.contract import check

DOCS = Path(__file__).parents[2] / "docs"


def examples(page: str) -> list[str]:
    """The indented blocks that declare an extractor."""
    text = (DOCS / page).read_text(encoding="utf-8")
    blocks = re.findall(r"(?:^(?: {4}.*)?\n)+", text, re.MULTILINE)
    return [dedent(block) for block in blocks if "@extractor(" in block]


@pytest.mark.parametrize(
    ("page", "number"), [("extractors.md", 0), *(("own_features.md", i) for i in range(3))]
)
def test_an_example_of_the_docs_keeps_the_rules(page: str, number: int) -> None:
    made: dict[str, Any] = {"__name__": "example"}
    exec(examples(page)[number], made)
    (own,) = (v for v in made.values() if hasattr(v, "declaration"))
    check(own)


def test_there_is_one_of_each_form() -> None:
    assert len(examples("own_features.md")) == 3
