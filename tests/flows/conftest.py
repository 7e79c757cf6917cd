"""Fixtures that the tests of flows share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.flows import chain_kit


@pytest.fixture
def chain(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The small extractors of ``chain_kit`` are declared beside ours."""
    with chain_kit.installed(monkeypatch, chain_kit.ALL):
        yield
