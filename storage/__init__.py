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
    UnknownClip,
    UnknownCorpus,
    UnknownVariant,
    WrongClips,
    WrongFormat,
)
from storage.records import Configuration, Failure, Node, Piece, Published, Run
from storage.store import FeatureStore

__all__ = [
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
    "UnknownClip",
    "UnknownCorpus",
    "UnknownVariant",
    "WrongClips",
    "WrongFormat",
]
