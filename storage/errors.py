"""What can go wrong with a store, grouped by what one would do about it."""

from __future__ import annotations

import re

#: arrows and colours in what other libraries say
_DRAWN = re.compile("\u21b3|\x1b\\[[0-9;]*m")


class StoreError(Exception):
    """Base; ``code`` is short and stable, ``str(error)`` one line with the remedy."""

    code = "store_error"


def first_line(error: BaseException) -> str:
    """What an error says, without what follows it: other libraries add traces of their own."""
    return next(iter(str(error).splitlines()), type(error).__name__)


def one_line(error: BaseException) -> str:
    """All that an error says: delta-rs tells the cause in lines further down."""
    return " ".join(_DRAWN.sub(" ", str(error)).split()) or type(error).__name__


class NotAStore(StoreError):
    """There is no store at that path or URL."""

    code = "not_a_store"


class StoreExists(StoreError):
    """A store, or something else, is already there."""

    code = "store_exists"


class WrongFormat(StoreError):
    """The store was written in another format version."""

    code = "wrong_format"


class ReadOnlyStore(StoreError):
    """The store can't be written to."""

    code = "read_only"


class StoreUnreachable(StoreError):
    """An object store doesn't answer, or not as it should; it may be over by itself."""

    code = "store_unreachable"


class StoreFull(StoreError):
    """No space is left where the store lies."""

    code = "store_full"


class UnknownClip(StoreError, KeyError):
    """The store has no such clip (or more than one: name the corpus)."""

    code = "unknown_clip"

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else self.code


class UnknownCorpus(UnknownClip):
    """The store has no such corpus."""

    code = "unknown_corpus"


class NotPublished(StoreError, KeyError):
    """Nothing was ever published for this clip and feature."""

    code = "not_published"

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else self.code


class StaleResult(StoreError):
    """Only results of another version, parameter or input are published."""

    code = "stale_result"


class DamagedPart(StoreError):
    """A part is missing, or doesn't hold what the catalogue says."""

    code = "damaged_part"


class UnknownVariant(StoreError, KeyError):
    """The store has no configuration of that name."""

    code = "unknown_variant"

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else self.code


class UnknownGroup(StoreError, KeyError):
    """The feature has no group of columns of that name."""

    code = "unknown_group"

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else self.code


class UnknownVersion(StoreError, KeyError):
    """The store has no such tag or version, or didn't exist at that time."""

    code = "unknown_version"

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else self.code


class TagExists(StoreError):
    """A tag of that name stands for something already."""

    code = "tag_exists"


class WrongTag(StoreError, ValueError):
    """That can't be a tag's name, or a point in the store's history."""

    code = "wrong_tag"


class WrongClips(StoreError, ValueError):
    """The table given is no table of clips."""

    code = "wrong_clips"


class Conflict(StoreError):
    """Another process changed a table in the meantime; what was read must be read again."""

    code = "conflict"


class UnknownLabel(StoreError, KeyError):
    """The corpus has no label of that name."""

    code = "unknown_label"

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else self.code
