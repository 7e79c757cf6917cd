"""docs/features.md, from the declarations: ``python -m flows.feature_docs`` writes it anew."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flows.describe import describe, shape

DOCS = Path(__file__).parents[1] / "docs"
PICTURES = "pictures"
HEAD = """# Features

Made from the extractors' declarations by `python -m flows.feature_docs`;
`affectstore features show NAME` prints the same. "Rate" is what one row stands for: a decoded video
frame, a segment of fixed step, the clip, or an audio sample. A frame-rate feature has one row per
decoded frame; rows that mean nothing are invalid (NaN, or 0 for integers), never missing.
Whatever reads the medium follows `--set media.truncated=quarantine|keep` too: a file that stops in
the middle is put into quarantine (the default), or what is there of it is kept.
Pictures are of the demo corpus.
"""


def document(names: list[str], docs: Path = DOCS) -> str:
    """The page: a table of all features, then one section each."""
    facts = [describe(name) for name in names]
    table = [
        "| feature | rate | row | type | runs on | licence | weights |",
        "|---|---|---|---|---|---|---|",
        *(_line(f) for f in facts),
    ]
    sections = ["\n".join(_section(f, docs)) for f in facts]
    return "\n".join([HEAD, *table, "", "\n\n".join(sections), ""])


def built_in() -> list[str]:
    """The features of our own extractors, in their order."""
    from features.registry import BUILT_IN, declarations

    return [
        spec.name
        for declaration in declarations().values()
        if declaration.cls.__module__ in BUILT_IN
        for spec in declaration.outputs
    ]


def _line(facts: dict[str, Any]) -> str:
    name = facts["feature"]
    weights = ", ".join(w["name"] for w in facts["weights"]) or "-"
    cells = (
        f"[{name}](#{name})",
        facts["rate"],
        shape(facts),
        facts["dtype"],
        facts["device"],
        facts["licence"],
        weights,
    )
    return "| " + " | ".join(cells) + " |"


def _section(facts: dict[str, Any], docs: Path) -> Iterator[str]:
    name = facts["feature"]
    yield f"## {name}\n"
    yield _plain(facts["doc"]) + "\n"
    picture = Path(PICTURES) / f"{name}.png"
    if (docs / picture).is_file():
        yield f"![{facts['description']}]({picture.as_posix()})\n"
    made = f"{facts['rate']} rate, row {shape(facts)} {facts['dtype']}"
    units = f", {facts['units']}" if facts["units"] else ""
    yield f"- {made}{units}; extractor `{facts['extractor']}` version {facts['version']}"
    for slot, feature in facts["inputs"].items():
        yield f"- `{facts['extractor']}.{slot}` = [{feature}](#{feature})"
    for key, param in facts["params"].items():
        said = f": {param['description']}" if param["description"] else ""
        yield f"- `--set {facts['extractor']}.{key}={_value(param['default'])}`{said}"
    for w in facts["weights"]:
        use = "commercial use allowed" if w["commercial"] else "non-commercial use only"
        yield f"- weights `{w['name']}`: {w['licence']}, {use}"


def _plain(text: str) -> str:
    """A docstring without its indentation, with Markdown's single backticks."""
    lines = [line.strip() for line in text.splitlines()]
    return "\n".join(lines).replace("``", "`")


def _value(value: object) -> str:
    return str(value).replace(" ", "") if isinstance(value, list) else str(value)


def main() -> None:
    """Write the page, with pictures where ``--pictures`` is given."""
    names = built_in()
    if "--pictures" in sys.argv[1:]:
        from flows.feature_pictures import make_pictures

        for path in make_pictures(names, DOCS / PICTURES):
            print(path)
    (DOCS / "features.md").write_text(document(names))
    print(DOCS / "features.md")


if __name__ == "__main__":
    main()
