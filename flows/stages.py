"""Stages: what of a clip needs a GPU worker, what runs beside it, and what comes after both."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Literal

from features.registry import declarations
from flows.partition import ALL, ClipWork, Partition
from storage.records import Node

#: the stages of clips that are taken apart, in the order in which they are submitted
GPU, CPU, AFTER = "gpu", "cpu", "after"
STAGES = (GPU, CPU, AFTER)

Place = Literal["cpu", "gpu"]


def place_of(partition: Partition) -> Place:
    """Which kind of worker executes it."""
    return "gpu" if partition.stage == GPU else "cpu"


def by_stage(made: Iterable[Partition]) -> dict[str, list[Partition]]:
    """Stage -> its partitions, in their order; stages without any are left out."""
    found: dict[str, list[Partition]] = {stage: [] for stage in (ALL, *STAGES)}
    for partition in made:
        found[partition.stage].append(partition)
    return {stage: some for stage, some in found.items() if some}


def apart(made: Iterable[Partition]) -> list[Partition]:
    """Each partition as up to three, one per stage, over the same clips.

    ``gpu`` and ``cpu`` run side by side; ``after`` follows what it may read from.
    """
    found: list[Partition] = []
    for whole in made:
        shares = {w.todo: split(whole.nodes, w.todo) for w in whole.clips}
        parts: list[Partition] = []
        for stage in STAGES:
            clips = tuple(
                replace(work, todo=todo)
                for work in whole.clips
                if (todo := shares[work.todo][stage])
            )
            if clips:
                parts.append(_part(whole, stage, clips, [p.id for p in parts]))
        found += parts
    return found


def _part(
    whole: Partition, stage: str, clips: tuple[ClipWork, ...], others: Sequence[str]
) -> Partition:
    return replace(
        whole,
        id=f"{whole.id}-{stage}",
        stage=stage,
        clips=clips,
        device=whole.device if stage == GPU else "cpu",
        follows=tuple(others) if stage == AFTER else (),
    )


def split(nodes: Sequence[Node], todo: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Stage -> the features of one clip that run in it, in topological order.

    ``gpu``: what runs best on a GPU, what that reads, and what shares a pass over the video with
    any of it, so that no video is decoded more often than in one go. ``after``: the rest that
    reads from ``gpu``. ``cpu``: all else.

    Args:
        todo: what is to do of the clip, in topological order.
    """
    open_ = {n.feature: n for n in nodes if n.feature in todo}
    reads = {f: {source for _, source in n.inputs if source in open_} for f, n in open_.items()}
    gpu = _closure(open_, reads)
    after: set[str] = set()
    for feature in todo:
        if feature not in gpu and reads[feature] & (gpu | after):
            after.add(feature)
    return {
        GPU: tuple(f for f in todo if f in gpu),
        CPU: tuple(f for f in todo if f not in gpu | after),
        AFTER: tuple(f for f in todo if f in after),
    }


def _closure(open_: Mapping[str, Node], reads: Mapping[str, set[str]]) -> set[str]:
    """What must run where the GPU is: a fixed point of feeding, sharing a pass and siblings."""
    known = declarations()
    declared = {feature: known[node.extractor] for feature, node in open_.items()}
    gpu = {f for f, d in declared.items() if d.device == "gpu"}
    while True:
        more = gpu.union(*(reads[f] for f in gpu))
        if any(declared[f].in_video_pass for f in more):
            more |= {f for f, d in declared.items() if d.in_video_pass}
        siblings = {declared[f].name for f in more}
        more |= {f for f, d in declared.items() if d.name in siblings}
        if more == gpu:
            return gpu
        gpu = more
