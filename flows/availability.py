"""What can't be computed on this installation, and for which clips that doesn't matter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from features.canonical import canonical_json
from features.errors import Unavailable
from flows.assets import MISSING
from flows.assets import PREFIX as ASSET
from flows.pipeline import own_lack
from storage.records import Configuration

if TYPE_CHECKING:
    from flows.plan import Plan


@dataclass(frozen=True, eq=False)
class Lack:
    """Why a feature can't be computed here.

    Attributes:
        why: one line with the remedy.
        own: it is the feature's own lack, not one of what it reads.
        able: per clip, bool ``(clips,)``: a file of the clip's makes up for it.
    """

    why: str
    own: bool
    able: NDArray[np.bool_]


def lacks(configuration: Configuration, clips: pa.Table) -> dict[str, Lack]:
    """Feature -> what it lacks, where it lacks something.

    Args:
        clips: those that there are, with ``attrs``.
    """
    found: dict[str, Lack] = {}
    for node in configuration.nodes:
        broken = [feature for _, feature in node.inputs if feature in found]
        able = np.ones(len(clips), bool)
        for feature in broken:
            able &= found[feature].able
        if own := own_lack(node):
            why, roles = own
            found[node.feature] = Lack(why, True, able & _have(clips, roles))
        elif broken:
            found[node.feature] = Lack(f"it reads {broken[0]}: {found[broken[0]].why}", False, able)
    return found


def _have(clips: pa.Table, roles: Sequence[str]) -> NDArray[np.bool_]:
    """Which of the clips have a file of one of the roles, bool ``(clips,)``."""
    have = np.zeros(len(clips), bool)
    for role in roles:
        # in canonical JSON a name is spelt in one way, which can't occur within a text
        name = canonical_json(ASSET + role) + ":"
        for spelt, there in ((name, True), (name + canonical_json(MISSING), False)):
            found = pc.fill_null(pc.match_substring(clips["attrs"], spelt), False).to_numpy()
            have = np.where(found, there, have)
    return have


def hopeless(lacking: Mapping[str, Lack]) -> dict[str, str]:
    """Feature -> why no clip at all can have it computed here."""
    return {name: lack.why for name, lack in lacking.items() if not lack.able.any()}


def check_available(plan: Plan, lacking: Mapping[str, Lack]) -> dict[str, str]:
    """Feature -> for how many clips it is left out, and why.

    What is published may be asked for anywhere; what is to be computed must be computable, for
    some clips at least.

    Raises:
        Unavailable: a feature that was asked for, or one that it reads, can't be computed here.
    """
    said: dict[str, str] = {}
    for feature, work in plan.by_feature.items():
        if not work.blocked:
            continue
        lack = lacking.get(feature)
        if lack is not None and lack.own and not lack.able.any():
            raise Unavailable(f"{feature} can't be computed here: {lack.why}")
        why = lack.why if lack is not None else "what it reads can't be computed here"
        clips = "1 clip" if work.blocked == 1 else f"{work.blocked} clips"
        said[feature] = f"{clips} of {plan.clips}: {why}"
    return said
