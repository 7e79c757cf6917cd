"""Which corpus a clip belongs to, and which clips stand beside it."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from features.spelling import nearest
from storage.errors import UnknownClip, UnknownCorpus
from storage.predicates import Where
from storage.snapshot import Snapshot

#: clips in order of id that are looked up together
BLOCK = 256


class Places:
    """Answers for one version of the clips; not safe for several threads at once.

    One clip is found by its id alone; all ids of a corpus are read only for its neighbours, or to
    name the nearest one, and used from then on.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._corpora: list[str] | None = None
        self._found: dict[tuple[str | None, str], str] = {}
        self._names: dict[str, pa.ChunkedArray] = {}

    def corpora(self) -> list[str]:
        """Names of the corpora, in order."""
        if self._corpora is None:
            rows = self._snapshot["clips"].read(columns=["corpus"])
            self._corpora = sorted(pc.unique(rows["corpus"]).to_pylist())
        return self._corpora

    def check_corpus(self, corpus: str) -> None:
        """Raises UnknownCorpus, with the nearest name, if the store has no such corpus."""
        known = self.corpora()
        if corpus not in known:
            raise UnknownCorpus(
                f"there is no corpus {corpus!r}{nearest(corpus, known)} "
                f"(here: {', '.join(known) or 'none yet'})"
            )

    def corpus_of(self, clip: str, corpus: str | None = None) -> str:
        """The clip's corpus.

        Raises:
            UnknownCorpus, UnknownClip: with the nearest name, or with all corpora that have it.
        """
        key = (corpus, clip)
        if key not in self._found:
            self._found[key] = self._search(clip, corpus)
        return self._found[key]

    def beside(self, clip: str, corpus: str) -> list[str]:
        """The clip and those that are looked up with it: always the same ones."""
        if corpus not in self._names:
            rows = self._snapshot["clips"].read({"corpus": corpus}, ["clip"])
            self._names[corpus] = rows.sort_by("clip")["clip"]
        names = self._names[corpus]
        number = pc.index(names, clip).as_py()
        found: list[str] = names.slice(number // BLOCK * BLOCK, BLOCK).to_pylist()
        return found

    def _search(self, clip: str, corpus: str | None) -> str:
        if corpus in self._names and pc.index(self._names[corpus], clip).as_py() >= 0:
            return str(corpus)
        where: Where = {"clip": clip} if corpus is None else {"corpus": corpus, "clip": clip}
        found = sorted(self._snapshot["clips"].read(where, ["corpus"])["corpus"].to_pylist())
        if len(found) == 1:
            return str(found[0])
        if found:
            raise UnknownClip(
                f"clip {clip!r} is in {' and '.join(found)}; say which: --corpus {found[0]} "
                f"(in Python corpus={found[0]!r})"
            )
        if corpus is not None:
            self.check_corpus(corpus)
        every = self._snapshot["clips"].read({} if corpus is None else {"corpus": corpus}, ["clip"])
        hint = nearest(clip, every["clip"].to_pylist())
        raise UnknownClip(f"there is no clip {clip!r}{f' in {corpus}' if corpus else ''}{hint}")
