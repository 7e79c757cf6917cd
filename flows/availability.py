"""What can't be computed on this installation, and for which clips that doesn't matter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from features.canonical import canonical_json
from features.errors import MissingWeights, Unavailable, WeightsDamaged
from features.registry import declarations
from features.weights import resolve
from flows.assets import MISSING
from flows.assets import PREFIX as ASSET
from flows.pipeline import params_of
from storage.records import Configuration, Node

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


def unavailable(configuration: Configuration) -> dict[str, str]:
    """Feature -> why it can't be computed here of a clip without further files, and the remedy."""
    none = pa.table({"attrs": pa.array([], pa.string())})
    return {feature: lack.why for feature, lack in lacks(configuration, none).items()}


def own_lack(node: Node) -> tuple[str, tuple[str, ...]] | None:
    """Why a feature can't be computed here even where all that it reads is there, and the roles
    of further files that make up for it; None if it can."""
    declaration = declarations().get(node.extractor)
    if declaration is None:
        return f"its extractor, {node.extractor}, isn't installed here; install what brings it", ()
    params = declaration.cls.Params(**node.params)
    if lacking := _lack(declaration.weights_for(params)):
        return lacking, ()
    if reason := declaration.unavailable(params):
        return reason, declaration.suffices_for(params)
    return None


def check_computable(nodes: Iterable[Node]) -> None:
    """Look whether this machine can compute what another one has planned.

    Raises:
        RequestError: an extractor, a parameter of it, its weights or a package isn't here, or is
            of another version.
    """
    known = declarations()
    for node in nodes:
        if node.extractor in known:
            params_of(known[node.extractor], node.params)  # type: ignore[arg-type]
        lack = own_lack(node)
        if lack is not None and not lack[1]:
            raise Unavailable(f"{node.feature} can't be computed here: {lack[0]}")


def _lack(weights: Iterable[str]) -> str | None:
    """Which of these weights isn't there, and how to get it."""
    try:
        for name in weights:
            resolve(name)
    except (MissingWeights, WeightsDamaged) as error:
        return str(error)
    return None


def _have(clips: pa.Table, roles: Sequence[str]) -> NDArray[np.bool_]:
    """Which of the clips have a file of one of the roles, bool ``(clips,)``."""
    have = np.zeros(len(clips), bool)
    for role in roles:
        have |= _named(clips, role) & ~_named(clips, role, canonical_json(MISSING))
    return have


def _named(clips: pa.Table, role: str, value: str = "") -> NDArray[np.bool_]:
    """For which clips a file of the role is listed, there or not; bool ``(clips,)``."""
    # in canonical JSON a name is spelt in one way, which can't occur within a text
    spelt = canonical_json(ASSET + role) + ":" + value
    found = pc.fill_null(pc.match_substring(clips["attrs"], spelt), False)
    return np.asarray(found.to_numpy(), bool)


def empty(configuration: Configuration, clips: pa.Table) -> dict[str, str]:
    """Feature -> why all of its rows would be invalid: no clip has the file that it is made of.

    Args:
        clips: those that there are, with ``attrs``.
    """
    found: dict[str, str] = {}
    known = declarations()
    for node in (n for n in configuration.nodes if n.extractor in known):
        declaration = known[node.extractor]
        roles = declaration.empty_without(declaration.cls.Params(**node.params))
        if roles and not any(_named(clips, role).any() for role in roles):
            files = " or ".join(f"asset.{role}" for role in roles)
            found[node.feature] = f"no clip has what it is made of ({files}, see docs/corpora.md)"
    return found


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
