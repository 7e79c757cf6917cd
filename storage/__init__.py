"""The store: parts of rows, the catalogue that publishes them, and ways to read them."""

from storage.errors import (
    Conflict,
    DamagedPart,
    NotAStore,
    NotPublished,
    ReadOnlyStore,
    StaleResult,
    StoreError,
    StoreExists,
    StoreFull,
    TagExists,
    UnknownClip,
    UnknownCorpus,
    UnknownGroup,
    UnknownLabel,
    UnknownVariant,
    UnknownVersion,
    WrongClips,
    WrongFormat,
    WrongTag,
)
from storage.history import Change
from storage.records import Configuration, Failure, Node, Piece, Published, Run
from storage.store import FeatureStore
from storage.tags import Tag

__all__ = [
    "Change",
    "Configuration",
    "Conflict",
    "DamagedPart",
    "Failure",
    "FeatureStore",
    "Node",
    "NotAStore",
    "NotPublished",
    "Piece",
    "Published",
    "ReadOnlyStore",
    "Run",
    "StaleResult",
    "StoreError",
    "StoreExists",
    "StoreFull",
    "Tag",
    "TagExists",
    "UnknownClip",
    "UnknownCorpus",
    "UnknownGroup",
    "UnknownLabel",
    "UnknownVariant",
    "UnknownVersion",
    "WrongClips",
    "WrongFormat",
    "WrongTag",
]
