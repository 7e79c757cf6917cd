"""A clip's further files: their hashes, and how they come to the store."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from shlex import quote
from typing import Any

import pyarrow as pa

from corpora.tree import hidden
from features.canonical import canonical_json
from features.errors import MediaReplaced, RequestError
from features.media.probe import sha256_file
from storage import FeatureStore
from storage.schemas import CLIPS

#: attribute under which an asset's hash stands beside a clip's own attributes, where an extractor
#: that declares the role finds it for its fingerprint
PREFIX = "asset."
#: in the place of a hash, where the file isn't there
MISSING = "missing"
TYPE = CLIPS.field("assets").type

Asset = dict[str, str]


class Assets(Mapping[str, str]):
    """Role -> path; a file is looked at once, when it is first asked for, whether it changed.

    Args:
        files: role -> path; attrs: a clip row's ``attrs``, with the hashes as ingested.

    Raises:
        MediaReplaced: on access, where the content is another one now.
    """

    def __init__(self, files: Mapping[str, str], attrs: str | None) -> None:
        self._files, self._hashes = files, json.loads(attrs or "{}")
        self._checked = set[str]()

    def __getitem__(self, role: str) -> str:
        path = self._files[role]
        if role not in self._checked and asset_hash(path) != self._hashes.get(PREFIX + role):
            raise MediaReplaced(
                f"{path} has changed since it was ingested as the clip's {role}; run affectstore "
                "ingest (or import) again"
            )
        self._checked.add(role)
        return path

    def __contains__(self, role: object) -> bool:
        return role in self._files

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


def asset_hash(uri: str) -> str:
    """Hex sha256 of a file, or of a folder's relative names and contents; ``missing`` if none.

    What systems put into folders that somebody looks at, such as ``.DS_Store``, doesn't count.
    """
    path = Path(uri)
    if path.is_dir():
        every = (p for p in path.rglob("*") if not any(map(hidden, p.relative_to(path).parts)))
        files = sorted(p for p in every if p.is_file())
        lines = [f"{p.relative_to(path).as_posix()}\0{sha256_file(str(p))}\n" for p in files]
        return hashlib.sha256("".join(lines).encode()).hexdigest()
    return sha256_file(uri) if path.is_file() else MISSING


def with_assets(row: dict[str, Any], given: Sequence[Asset], known: Sequence[Asset]) -> None:
    """Set a clip row's ``assets``, and their hashes among its ``attrs``.

    Args:
        given: role and uri of each; they replace what is known of their roles.
        known: the clip's assets so far; other roles stay.
    """
    replaced = {a["role"] for a in given}
    kept = [a for a in known if a["role"] not in replaced]
    fresh = [{**a, "sha256": asset_hash(a["uri"])} for a in given]
    row["assets"] = sorted([*kept, *fresh], key=lambda a: a["role"])
    attrs: dict[str, str] = json.loads(row.get("attrs") or "{}")
    attrs = {name: v for name, v in attrs.items() if not name.startswith(PREFIX)}
    attrs |= {PREFIX + a["role"]: a["sha256"] for a in row["assets"]}
    row["attrs"] = canonical_json(dict(attrs)) if attrs else None


def add_assets(store: FeatureStore, corpus: str, files: Mapping[str, Sequence[Asset]]) -> int:
    """Give clips that are in the store further files, in one atomic commit.

    What reads a file of that role is planned again, for these clips alone.

    Args:
        files: clip -> role and uri of each file; a role that the clip has is replaced.

    Returns:
        The number of clips whose files changed.

    Raises:
        RequestError: a clip isn't there.
    """
    rows = {r["clip"]: r for r in store.clips(corpus).to_pylist()}
    unknown = sorted(files.keys() - rows.keys())
    if unknown:
        raise RequestError(
            f"{corpus} has no clip {unknown[0]!r}; "
            f"affectstore status --store {quote(store.location.url)} shows what there is"
        )
    changed = []
    for clip, given in files.items():
        row = rows[clip]
        known = list(row["assets"] or [])
        absolute = [{"role": a["role"], "uri": os.path.abspath(a["uri"])} for a in given]
        with_assets(row, absolute, known)
        if row["assets"] != sorted(known, key=lambda a: a["role"]):
            changed.append(row)
    if changed:
        # nothing of its medium, which another ingest may have changed meanwhile
        names = ("clip", "attrs", "state")
        table = pa.table(
            {name: pa.array([r[name] for r in changed], pa.string()) for name in names}
            | {"assets": pa.array([r["assets"] for r in changed], TYPE)}
        )
        store.upsert_clips(corpus, table)
    return len(changed)


def attributes(attrs: str | None) -> dict[str, str]:
    """A clip's own attributes, from a clip row's JSON: without the hashes of its files."""
    every: dict[str, str] = json.loads(attrs) if attrs else {}
    return {name: value for name, value in every.items() if not name.startswith(PREFIX)}


def paths(assets: Sequence[Asset] | None) -> dict[str, str]:
    """Role -> path."""
    return {a["role"]: a["uri"] for a in assets or []}
