"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("AFFECTSTORE_SHARED", Path(__file__).parents[1] / ".." / "shared"))
MEDIA = (SHARED / "media").resolve()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what reads the real clips where they are missing, and say so."""
    if MEDIA.is_dir():
        return
    skip = pytest.mark.skip(reason="the real clips (../shared/media) are not here")
    for item in items:
        if "media" in item.keywords:
            item.add_marker(skip)


@pytest.fixture(scope="session")
def media() -> Path:
    """The folder with the real clips."""
    return MEDIA


@pytest.fixture(scope="session", autouse=True)
def _fixed_threads() -> None:
    """The thread count of every runner, so that numbers are those of a run."""
    import torch

    torch.set_num_threads(1)
