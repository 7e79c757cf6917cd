"""What can be set of how media are read, whichever extractor asks: ``--set media.PARAM=VALUE``.

A value other than the default is part of the key of every extractor that reads the medium, beside
the tools that change its numbers.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from features.extractor import Params

if TYPE_CHECKING:
    from storage.records import Node

#: what stands before the dot; no extractor has the name
MEDIA = "media"

_TRUNCATED = f"{MEDIA}.truncated"


class MediaSettings(Params):
    """How media are read."""

    truncated: Literal["quarantine", "keep"] = Field(
        "quarantine",
        description="a file that stops in the middle is put into quarantine, or what is there of "
        "it is kept (ours)",
    )


def is_media_setting(tool: str) -> bool:
    """True for those entries of a node's tools that are settings of the medium."""
    return tool.startswith(f"{MEDIA}.")


def keeps_truncated(nodes: Iterable[Node]) -> bool:
    """The nodes are of a configuration that reads what is there of a truncated file."""
    return any(node.tools.get(_TRUNCATED) == "keep" for node in nodes)
