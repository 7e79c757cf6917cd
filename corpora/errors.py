"""What can go wrong while a corpus is read; each error has a short stable code."""

from __future__ import annotations


class CorpusError(ValueError):
    """Base: ``str(error)`` is one line that says what is wrong, where, and what to do."""

    code = "corpus_error"


class UnknownAdapter(CorpusError):
    """No adapter has that name."""

    code = "unknown_adapter"


class SourceMissing(CorpusError):
    """The folder or table isn't there, or may not be read."""

    code = "source_missing"


class EmptyCorpus(CorpusError):
    """The source holds no clip."""

    code = "empty_corpus"


class BadTable(CorpusError):
    """A table can't be understood; the message names file and line."""

    code = "bad_table"


class BadClip(CorpusError):
    """A clip's id or cut can't be used."""

    code = "bad_clip"


class DuplicateClip(CorpusError):
    """Two clips have one id."""

    code = "duplicate_clip"


class BadLabels(CorpusError):
    """Labels contradict the clips or themselves."""

    code = "bad_labels"


class ForeignFolder(CorpusError):
    """A folder that should be written to holds something else."""

    code = "foreign_folder"
