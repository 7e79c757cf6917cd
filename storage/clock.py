"""The time of what is written now."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta


def after(times: Iterable[datetime]) -> datetime:
    """Now, but later than all of these: another clock may be fast, or this one set back."""
    return max([datetime.now(UTC), *(time + timedelta(microseconds=1) for time in times)])
