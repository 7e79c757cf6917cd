"""A forked process, such as a DataLoader's worker: it reads rows, and is told what it can't do."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from storage.errors import StoreError
from tests.storage.store_kit import FACES, make_rows, new_store


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_reads_known_results_and_is_refused_to_look_up_others(
    tmp_path: Path,
) -> None:
    store = new_store(tmp_path / "s", ("a", "b"))
    for clip in ("a", "b"):
        store.publish(clip, FACES, make_rows(FACES, 30))
    known = store.select("faces", "c")
    child = os.fork()
    if child == 0:
        left = 1
        try:
            assert len(store.read_result(known[0]).values) == 30
            store.read("b", "faces")
        except StoreError as error:
            left = 0 if "forkserver" in str(error) and "read_result" in str(error) else 2
        finally:
            os._exit(left)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert len(store.read("b", "faces").values) == 30
