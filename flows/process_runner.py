"""Partitions in several processes of this machine, some of them with a GPU each."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager
from multiprocessing.context import SpawnContext
from multiprocessing.synchronize import Event
from threading import Lock
from typing import Any

from flows import execute as execution
from flows.device import card_names
from flows.execute import Results, execute
from flows.partition import ClipWork, Partition
from flows.runners import WorkerDied
from flows.stages import place_of


class ProcessRunner(AbstractContextManager["ProcessRunner"]):
    """Several processes on this machine; one that dies takes no other with it.

    Args:
        workers: processes; cards: further ones, each of which sees one GPU, for the stage that
            needs it.
    """

    def __init__(self, workers: int, cards: int = 0) -> None:
        self.slots, self.gpu_slots = workers, cards
        self.told: Callable[[ClipWork], None] | None = None
        context = multiprocessing.get_context("spawn")
        self._stop: Event = context.Event()
        self._pools = {"cpu": _Pool(context, self._stop, [None] * workers)}
        if cards:
            self._pools["gpu"] = _Pool(context, self._stop, card_names(cards))

    def submit(self, partition: Partition) -> Future[Results]:
        """Queue a partition."""
        return self._pools[place_of(partition)].submit(partition)

    def stop(self) -> None:
        """Workers return at their next batch of frames."""
        self._stop.set()

    def __exit__(self, *_: object) -> None:
        for pool in self._pools.values():
            pool.close()


class _Pool:
    """Processes of one kind; a pool that a dying worker broke is replaced.

    Args:
        cards: the GPU that each process sees; None leaves its environment alone.
    """

    def __init__(self, context: SpawnContext, stop: Event, cards: Sequence[str | None]) -> None:
        self._context, self._stop, self._cards = context, stop, cards
        self._lock = Lock()
        self._pool = self._start()

    def _start(self) -> ProcessPoolExecutor:
        cards: Any = self._context.Queue()
        for card in self._cards:
            cards.put(card)
        return ProcessPoolExecutor(
            len(self._cards), self._context, initializer=_starts, initargs=(self._stop, cards)
        )

    def submit(self, partition: Partition) -> Future[Results]:
        with self._lock:
            try:
                inner = self._pool.submit(execute, partition)
            except BrokenProcessPool:
                self._pool.shutdown(wait=False)
                self._pool = self._start()
                inner = self._pool.submit(execute, partition)
        outer: Future[Results] = Future()
        inner.add_done_callback(lambda done: _pass_on(done, outer))
        return outer

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)


def _starts(stop: Event, cards: Any) -> None:
    """In a worker process: Ctrl-C is the coordinator's affair; obey its stop event."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    execution.stop_requested = stop  # type: ignore[assignment]
    card = cards.get()
    if card is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = card


def _pass_on(inner: Future[Results], outer: Future[Results]) -> None:
    try:
        outer.set_result(inner.result())
    except BrokenProcessPool:
        outer.set_exception(WorkerDied("its worker process died (out of memory?)"))
    except CancelledError:
        outer.cancel()
    except BaseException as error:
        outer.set_exception(error)
