"""``store.json``: what makes a folder a store, and the format that it is written in."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from storage.errors import NotAStore, StoreExists, WrongFormat
from storage.local import STAGING_PREFIX
from storage.location import Location
from storage.schemas import SCHEMAS

#: version of the layout on disk; a store of another one is refused
FORMAT = 1
STORE_FILE = "store.json"


def write(location: Location) -> bool:
    """Turn the tables that lie there into a store; False if another process was faster."""
    text = json.dumps({"format": FORMAT, "created": datetime.now(UTC).isoformat()})
    try:
        location.write_bytes(STORE_FILE, text.encode() + b"\n", if_absent=True)
    except FileExistsError:
        return False
    return True


def check(location: Location) -> None:
    """Look whether a store of our format lies there.

    Raises:
        NotAStore: there is none. WrongFormat: it was written in another format.
    """
    try:
        held = json.loads(location.read_bytes(STORE_FILE))
    except (FileNotFoundError, NotADirectoryError):
        raise NotAStore(
            f"{location.url} is no store ({STORE_FILE} is missing); "
            "affectstore ingest MEDIA --store PATH creates one"
        ) from None
    except ValueError as error:
        raise NotAStore(f"{location.url}: {STORE_FILE} is damaged ({error})") from error
    found = held.get("format") if isinstance(held, dict) else None
    if found != FORMAT:
        raise WrongFormat(
            f"{location.url} has store format {found}, this affectstore reads and writes "
            f"format {FORMAT}: use the affectstore version that wrote it"
        )


def refuse_foreign(location: Location) -> None:
    """Raises StoreExists if anything but a store's beginnings lies there; NotAStore for a file."""
    if location.is_local:
        there = next(p for p in (location.path, *location.path.parents) if p.exists())
        if not there.is_dir():
            raise NotAStore(f"{there} is a file; name a folder for the store")
    ours = {*SCHEMAS, "parts", STORE_FILE}
    for key, _, _ in location.list():
        top = key.split("/")[0]
        # what a broken-off ``write`` of store.json left is a beginning too
        if top not in ours and not top.startswith(STAGING_PREFIX):
            raise StoreExists(
                f"{location.url} holds other things ({key}); "
                "name a new or an empty folder for the store"
            )
