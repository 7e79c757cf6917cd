"""Tags: names for the versions of all tables at one moment, and what a point in time means."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa

from features.spelling import nearest
from storage.clock import after
from storage.errors import Conflict, TagExists, UnknownVersion, WrongTag
from storage.location import Location
from storage.schemas import TAGS
from storage.tables import COMMIT_ATTEMPTS, Table, pause

#: the newest versions, as a point to read at; no tag may be called so
NOW = "now"
#: a letter first, so that no name can be taken for a version or a time
NAME = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,99}")
#: how a row of the tags table says whether the name stood for these versions from then on
SET, DELETED = "set", "deleted"


@dataclass(frozen=True)
class Tag:
    """A name for one version of every table.

    Attributes:
        versions: table -> version.
        time: when the tag was set or moved.
    """

    name: str
    versions: dict[str, int]
    message: str
    time: datetime


def tags_of(location: Location) -> list[Tag]:
    """The tags of a store as they are now, in order of time."""
    return sorted(_standing(Table(location, "tags").read()).values(), key=lambda t: t.time)


def find_tag(location: Location, name: str) -> Tag:
    """The tag of that name.

    Raises:
        UnknownVersion: with the nearest name.
    """
    known = {tag.name: tag for tag in tags_of(location)}
    if name not in known:
        raise UnknownVersion(
            f"there is no tag {name!r}{nearest(name, known)} "
            f"(here: {', '.join(known) or 'none yet'})"
        )
    return known[name]


def set_tag(
    location: Location,
    name: str,
    versions: Mapping[str, int],
    message: str = "",
    *,
    move: bool = False,
) -> Tag:
    """Give the versions a name; of several that try the same name at once, one does.

    Args:
        move: let an existing tag stand for these versions from now on.

    Raises:
        WrongTag: that can't be a name. TagExists: the name is taken, and ``move`` is false.
    """
    check_name(name)
    tried: Tag | None = None
    for attempt in range(COMMIT_ATTEMPTS):
        table = Table(location, "tags")
        based_on = table.version
        known = table.read({"tag": name})
        held = _standing(known).get(name)
        if held is not None and held == tried:
            # the answer to the last attempt's commit was lost, not the commit
            return held
        if held is not None and not move:
            raise TagExists(
                f"tag {name!r} stands for catalogue version {held.versions['catalogue']} since "
                f"{held.time:%Y-%m-%d %H:%M} UTC; choose another name, or move it with "
                "affectstore tag --move (move=True)"
            )
        tag = tried = Tag(name, dict(versions), message, after(known["time"].to_pylist()))
        said = f"tag {name} {'moved' if held else 'set'}"
        if _committed(table, known, tag, SET, based_on, said, attempt):
            return tag
    raise AssertionError("unreachable")


def delete_tag(location: Location, name: str) -> Tag:
    """Take a name back; what it stood for stays until gc finds that nothing else keeps it.

    Raises:
        UnknownVersion: there is no such tag.
    """
    for attempt in range(COMMIT_ATTEMPTS):
        table = Table(location, "tags")
        based_on = table.version
        tag = find_tag(location, name)
        known = table.read({"tag": name})
        if _committed(table, known, tag, DELETED, based_on, f"tag {name} deleted", attempt):
            return tag
    raise AssertionError("unreachable")


def check_name(name: str) -> None:
    """Raises WrongTag if that can't be a tag's name."""
    if not NAME.fullmatch(name) or name.lower() == NOW:
        raise WrongTag(
            f"{name!r} can't be a tag's name: it begins with a letter, goes on with letters, "
            f"digits, '.', '_' and '-', has 100 at most, and isn't {NOW!r}"
        )


def point(text: str, location: Location) -> int | datetime | dict[str, int]:
    """What a word given as ``at`` means: a catalogue version, a moment, or a tag's versions.

    Digits are a version, what begins with a letter is a tag, and anything else a time in ISO
    8601, in UTC unless it says otherwise (as ``log`` prints it).

    Raises:
        UnknownVersion: there is no such tag. WrongTag: it is none of these.
    """
    if text.isascii() and text.isdigit():
        return int(text)
    if NAME.fullmatch(text):
        return find_tag(location, text).versions
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise WrongTag(
            f"{text!r} is no tag, no version and no time: give a name that affectstore tags "
            "shows, a number that affectstore log shows, or a time such as 2026-11-20T18:00:00Z"
        ) from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _committed(
    table: Table, known: pa.Table, tag: Tag, state: str, based_on: int, said: str, attempt: int
) -> bool:
    """Add a row to what is known of the tag; False, after a while, if another was faster.

    Raises:
        Conflict: this was the last attempt.
    """
    row = {
        "tag": tag.name,
        "versions": json.dumps(tag.versions),
        "message": tag.message,
        "state": state,
        "time": after(known["time"].to_pylist()) if state == DELETED else tag.time,
    }
    rows = pa.concat_tables([known.select(TAGS.names), pa.Table.from_pylist([row], schema=TAGS)])
    try:
        table.replace(rows, {"tag": tag.name}, based_on, {"what": said})
    except Conflict:
        if attempt == COMMIT_ATTEMPTS - 1:
            raise
        pause(attempt)
        return False
    return True


def _standing(rows: pa.Table) -> dict[str, Tag]:
    """The tags whose last row sets them."""
    found: dict[str, Tag] = {}
    for row in sorted(rows.to_pylist(), key=lambda r: r["time"]):
        name = row["tag"]
        if row["state"] == SET:
            found[name] = Tag(name, json.loads(row["versions"]), row["message"], row["time"])
        else:
            found.pop(name, None)
    return found
