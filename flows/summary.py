"""What came of a run, and what it tells whoever watches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from flows.absent import told
from flows.clip_host import Reason
from flows.execute import Results
from flows.partition import ClipWork, Partition
from storage.catalogue import counted
from storage.records import Published


@dataclass
class Summary:
    """What came of a run.

    Attributes:
        published, failed, cut_off: results; ``adopted`` were found under another clip's name.
        quarantined: failures of earlier runs that still stand in the way of what was asked.
        absent: ``corpus/clip`` of clips whose file isn't there and that lack what was asked.
        done, broken: (corpus, clip) of clips that were executed, and of those that failed; a
            clip counts once, however many stages it has.
        configuration: the name under which the store keeps what was asked.
        lost: partitions that failed as a whole, with why.
    """

    run: str
    configuration: str = "default"
    published: int = 0
    failed: int = 0
    cut_off: int = 0
    adopted: int = 0
    quarantined: int = 0
    computed_rows: int = 0
    reused_rows: int = 0
    seconds: float = 0.0
    interrupted: bool = False
    done: set[tuple[str, str]] = field(default_factory=set)
    broken: set[tuple[str, str]] = field(default_factory=set)
    by_feature: Counter[str] = field(default_factory=Counter)
    reasons: dict[str, dict[str, Reason]] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
    failures: list[dict[str, str]] = field(default_factory=list)
    skipped: Mapping[str, str] = field(default_factory=dict)
    absent: Sequence[str] = ()

    @property
    def complete(self) -> bool:
        """All asked work is published."""
        lacking = self.failed or self.quarantined or self.absent or self.lost
        return not (lacking or self.interrupted)

    @property
    def clips(self) -> int:
        """How many clips were executed."""
        return len(self.done)

    @property
    def failed_clips(self) -> int:
        """How many of them have a failure."""
        return len(self.broken)

    def count(self, partition: Partition, results: Results) -> None:
        """Add what a partition gave."""
        own = [r for r in results.published if _name(r) not in results.adopted]
        self.published += len(own)
        self.adopted += len(results.published) - len(own)
        self.failed += len(results.failures)
        self.cut_off += results.cut_off
        self.quarantined += results.quarantined
        self.done |= {work.key for work in partition.clips[: results.clips]}
        self.broken |= {(f.corpus, f.clip) for f in results.failures}
        for row in own:
            self.by_feature[row.feature] += 1
            self.computed_rows += row.computed
            self.reused_rows += row.reused
        self.note(results.reasons)
        self.failures += [
            {name: getattr(f, name) for name in ("corpus", "clip", "feature", "code", "message")}
            for f in results.failures
        ]

    def note(self, found: Iterable[tuple[str, str, Reason]]) -> None:
        """Add (feature, why, counts) to the reasons."""
        for feature, why, counts in found:
            known = self.reasons.setdefault(feature, {})
            known[why] = known[why] + counts if why in known else counts

    def sentence(self) -> str:
        """One line: what came of it and, if not all, what to do."""
        if self.interrupted and self.lost:
            return f"{self.lost[0]}; {self.published} published"
        if self.interrupted:
            return f"stopped: {self.published} published; run it again to go on"
        if self.lost:
            return f"{counted(len(self.lost), 'partition')} failed, run it again: {self.lost[0]}"
        standing = self.failed + self.quarantined
        done = f"{self.published} published" if self.published else "nothing to do"
        if standing:
            other = "" if self.configuration == "default" else f" --variant {self.configuration}"
            done = (
                f"{self.published} published, {standing} in quarantine: "
                f"affectstore failures shows why, retry{other} tries again"
            )
        return f"{done}; {told(self.absent)}" if self.absent else done

    def to_json(self) -> dict[str, object]:
        """The facts, for ``extract --json``."""
        return {
            "run": self.run,
            "configuration": self.configuration,
            "complete": self.complete,
            "published": self.published,
            "failed": self.failed,
            "quarantined": self.quarantined,
            "cut_off": self.cut_off,
            "adopted": self.adopted,
            "rows": {"computed": self.computed_rows, "reused": self.reused_rows},
            "by_feature": dict(self.by_feature),
            "reasons": {
                feature: {why: vars(counts) for why, counts in found.items()}
                for feature, found in self.reasons.items()
            },
            "seconds": round(self.seconds, 3),
            "interrupted": self.interrupted,
            "lost": self.lost,
            "failures": self.failures,
            "skipped": dict(self.skipped),
            "absent": list(self.absent),
        }


def _name(result: Published) -> tuple[str, str, str]:
    return result.corpus, result.clip, result.feature


class Progress:
    """What a run tells whoever watches; this one is silent."""

    def stage(self, stage: str, clips: int, seconds: float) -> None:
        """The work of a stage that is about to start: clips and media seconds."""

    def clip(self, work: ClipWork, share: float) -> None:
        """So much of a clip, 0..1, was executed in this process; nothing is committed yet."""

    def stopping(self) -> None:
        """The run was asked to stop and ends at its next batch of frames."""

    def partition(self, partition: Partition, results: Results) -> None:
        """A partition was committed."""

    def lost(self, partition: Partition, reason: str) -> None:
        """A partition failed as a whole."""
