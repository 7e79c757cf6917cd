"""Partitions in several processes of this machine, some of them with a GPU each."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnContext
from multiprocessing.synchronize import Event
from queue import SimpleQueue
from threading import Thread
from typing import TypeAlias

from flows import execute as execution
from flows.device import card_names
from flows.execute import Results, Told, execute
from flows.partition import Partition
from flows.runners import WorkerDied
from flows.stages import place_of

#: the event that stops work, and the workers' end of what ends them
Ties: TypeAlias = tuple[Event, Connection]


class ProcessRunner(AbstractContextManager["ProcessRunner"]):
    """Several processes on this machine; one that dies takes no other with it.

    Args:
        workers: processes; cards: further ones, each of which sees one GPU, for the stage that
            needs it.
    """

    def __init__(self, workers: int, cards: int = 0) -> None:
        self.slots, self.gpu_slots = workers, cards
        self.told: Told | None = None
        context = multiprocessing.get_context("spawn")
        self._stop: Event = context.Event()
        # the workers' end of it tells them when ours is closed, be it by our death
        end, self._leash = context.Pipe(duplex=False)
        self._pools = {"cpu": _Pool(context, (self._stop, end), [None] * workers)}
        if cards:
            self._pools["gpu"] = _Pool(context, (self._stop, end), card_names(cards))

    def submit(self, partition: Partition) -> Future[Results]:
        """Queue a partition."""
        return self._pools[place_of(partition)].submit(partition)

    def stop(self) -> None:
        """Workers return at their next batch of frames."""
        self._stop.set()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            # whoever presses Ctrl-C twice waits for no batch
            self._leash.close()
        for pool in self._pools.values():
            pool.close()
        self._leash.close()


class _Pool:
    """Workers of one kind, each a process of its own that takes one partition after the other.

    Args:
        ties: what ends the work, see ``_starts``.
        cards: the GPU that each process sees; None leaves its environment alone.
    """

    def __init__(self, context: SpawnContext, ties: Ties, cards: Sequence[str | None]) -> None:
        self._idle: SimpleQueue[_Worker] = SimpleQueue()
        for card in cards:
            self._idle.put(_Worker(context, ties, card))
        self._workers = len(cards)
        self._threads = ThreadPoolExecutor(self._workers)

    def submit(self, partition: Partition) -> Future[Results]:
        return self._threads.submit(self._execute, partition)

    def _execute(self, partition: Partition) -> Results:
        worker = self._idle.get()
        try:
            return worker.execute(partition)
        finally:
            self._idle.put(worker)

    def close(self) -> None:
        self._threads.shutdown(wait=True, cancel_futures=True)
        for _ in range(self._workers):
            self._idle.get().close()


class _Worker:
    """A process, started when it is needed and again after its death, which hits no other."""

    def __init__(self, context: SpawnContext, ties: Ties, card: str | None) -> None:
        self._context, self._start = context, (*ties, card)
        self._process: ProcessPoolExecutor | None = None

    def execute(self, partition: Partition) -> Results:
        try:
            return self._submit(partition).result()
        except BrokenProcessPool as error:
            self.close()
            raise WorkerDied("its worker process died (out of memory?)") from error

    def _submit(self, partition: Partition) -> Future[Results]:
        if self._process is not None:
            try:
                return self._process.submit(execute, partition)
            except BrokenProcessPool:
                # it died idle, which is no partition's fault
                self.close()
        self._process = ProcessPoolExecutor(
            1, self._context, initializer=_starts, initargs=self._start
        )
        return self._process.submit(execute, partition)

    def close(self) -> None:
        if self._process is not None:
            self._process.shutdown(wait=True)
            self._process = None


def _starts(stop: Event, leash: Connection, card: str | None) -> None:
    """In a worker process: end at once when the coordinator's end of ``leash`` is closed.

    One that was killed can't end its workers, and nobody would commit what they make.
    """
    Thread(target=_end_with, args=(leash,), daemon=True).start()
    _obeys(stop, card)


def _obeys(stop: Event, card: str | None) -> None:
    """Ctrl-C is the coordinator's affair; its event ends work at the next batch of frames."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    execution.stop_requested = stop  # type: ignore[assignment]
    if card is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = card


def _end_with(leash: Connection) -> None:
    wait([leash])
    os._exit(1)
