"""Start the processes of a training, receive their reports, and end them all when one fails.

The caller stays outside: it waits for messages only, so that it can report a process that failed, or be
interrupted, whatever the others are waiting for. None of them outlives it.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import torch

from pcip_core.errors import PcipError, TrainingError
from pcip_core.training.processes import enter
from pcip_core.training.tracker import Preview, Tracker

_GRACE_S = 1.0  # for the other processes to report their failures


def run_in_processes(job: Callable[..., Any], count: int, *, backend: str, tracker: Tracker) -> Any:
    """Call a function in several new processes that have joined; the result of the first.

    Args:
        job: called with `tracker`; it and its result go through pickle.
        count: how many processes.
        backend: what they talk by: `nccl` or `gloo`.
        tracker: receives what the first process reports; an error in it ends all processes.

    Raises:
        PcipError: the one that a process raised.
        TrainingError: a process failed otherwise, or was killed.
    """
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        workers = []
        try:
            for rank in range(count):
                ours, theirs = context.Pipe()
                arguments = (job, rank, count, f"file://{Path(folder) / 'rendezvous'}", backend, theirs)
                process = context.Process(target=_work, args=arguments, daemon=True)
                process.start()
                theirs.close()
                workers.append(_Worker(rank, process, ours))
            return _results(workers, tracker)[0]
        finally:
            for worker in workers:
                worker.process.kill()
                worker.process.join()


@dataclass(frozen=True)
class _Worker:
    """One process, as its starter sees it."""

    rank: int
    process: Any
    pipe: Connection

    def receive(self) -> tuple[Any, ...]:
        """Its next message: `report`, `trained` or `failed`; `killed` when the process is gone."""
        try:
            return self.pipe.recv()
        except (EOFError, ConnectionError):
            self.process.join()
            return ("killed", self.process.exitcode)


def _results(workers: list[_Worker], tracker: Tracker) -> list[Any]:
    """What each process gave, once all are done."""
    results: dict[int, Any] = {}
    while len(results) < len(workers):
        working = {worker.pipe: worker for worker in workers if worker.rank not in results}
        for pipe in wait(list(working)):
            worker = working[pipe]  # type: ignore[index]
            kind, *content = worker.receive()
            if kind == "trained":
                results[worker.rank] = pickle.loads(content[0])
            elif kind == "report":
                name, arguments, answered = content
                getattr(tracker, name)(*arguments)
                if answered:
                    worker.pipe.send(None)
            else:
                raise _failure(worker, (kind, *content), list(working.values()))
    return [results[worker.rank] for worker in workers]


def _failure(first: _Worker, message: tuple[Any, ...], working: list[_Worker]) -> PcipError:
    """The failure that made the others fail, which lose their connection to it: a kill, or the earliest."""
    messages = {first.rank: message}
    until = time.monotonic() + _GRACE_S
    for worker in working:
        while worker.rank not in messages and worker.pipe.poll(max(0, until - time.monotonic())):
            later = worker.receive()
            if later[0] in ("failed", "killed"):
                messages[worker.rank] = later
    killed = [rank for rank, (kind, *_) in messages.items() if kind == "killed"]
    failed = {rank: content for rank, (kind, *content) in messages.items() if kind == "failed"}
    explained = [rank for rank, (_, error, _) in failed.items() if error is not None]
    earliest = sorted(failed, key=lambda rank: failed[rank][0])
    rank = (killed or explained or earliest)[0]
    if rank in explained:
        return failed[rank][1]
    text = failed[rank][2] if rank in failed else ""
    error = TrainingError(
        f"process {rank} of {len(working)}",
        found=text.strip().splitlines()[-1] if text else f"its end with exit status {messages[rank][1]}",
        required="all processes to train to the end",
        remedy="Mend the cause (-9: killed, often for want of memory) or lower encoder.processes, and start "
        "again: training is resumed after the last whole epoch.",
    )
    if text:
        error.add_note(f"In process {rank}:\n{text}")
    return error


def _work(
    job: Callable[..., Any], rank: int, count: int, rendezvous: str, backend: str, pipe: Connection
) -> None:
    """What each process does."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        os.environ |= {"LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": str(count)}
        torch.set_num_threads(max(1, torch.get_num_threads() // count))
        enter(backend, rank=rank, size=count, at=rendezvous)
        result = job(tracker=_Piped(pipe))
        pipe.send(("trained", pickle.dumps(result if rank == 0 else None)))
    except BaseException as error:
        explained = error if isinstance(error, PcipError) else None
        pipe.send(("failed", time.monotonic(), explained, traceback.format_exc()))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


class _Piped:
    """A tracker that passes reports on to the caller; all but a batch wait for its answer."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def start(self, params: Mapping[str, Any]) -> None:
        self._report("start", params)

    def batch(self, epoch: int, done: int, total: int) -> None:
        self._pipe.send(("report", "batch", (epoch, done, total), False))

    def epoch(self, number: int, metrics: Mapping[str, float]) -> None:
        self._report("epoch", number, metrics)

    def preview(self, number: int, preview: Preview) -> None:
        self._report("preview", number, preview)

    def _report(self, name: str, *arguments: Any) -> None:
        self._pipe.send(("report", name, arguments, True))
        self._pipe.recv()
