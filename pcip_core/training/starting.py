"""Start the processes of a training, receive their reports, and end all of them when one fails.

The caller does not train. It only waits for messages, so that it can report a failed process or be interrupted
whatever the processes are waiting for. No process outlives the caller.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

import torch

from pcip_core.errors import PcipError, TrainingError
from pcip_core.locks import temporary_folder
from pcip_core.training.processes import enter
from pcip_core.training.tracker import Preview, Tracker

_LOOPBACK = {"linux": "lo", "darwin": "lo0"}.get(sys.platform)
_GRACE_S = 1.0  # for the other processes to report their failures


def run_in_processes(job: Callable[..., Any], count: int, *, backend: str, tracker: Tracker) -> Any:
    """Call a function in several new, connected processes, and return the result of the first.

    Args:
        job: called with `tracker`; the function and its result must be picklable.
        count: number of processes.
        backend: the backend of torch.distributed, `nccl` or `gloo`.
        tracker: receives the reports of the first process; an error in the tracker ends all processes.

    Raises:
        PcipError: the error that a process raised.
        TrainingError: a process failed with any other error, or was killed.
    """
    context = multiprocessing.get_context("spawn")
    with temporary_folder() as folder:
        workers = []
        try:
            for rank in range(count):
                ours, theirs = context.Pipe()
                arguments = (job, rank, count, f"file://{folder / 'rendezvous'}", backend, theirs)
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
    """One process, from the perspective of the caller."""

    rank: int
    process: Any
    pipe: Connection

    def receive(self) -> tuple[Any, ...]:
        """Wait for the next message: `report`, `trained` or `failed`; `killed` if the process has ended."""
        try:
            return self.pipe.recv()
        except (EOFError, ConnectionError):
            self.process.join()
            return ("killed", self.process.exitcode)


def _results(workers: list[_Worker], tracker: Tracker) -> list[Any]:
    """Receive messages until all processes are done, and return their results."""
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
    """Determine the original failure: a kill, otherwise the earliest. Other processes fail when they lose it."""
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
        found=text.strip().splitlines()[-1] if text else f"exit status {messages[rank][1]}",
        required="all processes to complete the training",
        remedy="Correct the cause (-9: killed, often due to lack of memory) or lower encoder.processes, and start "
        "again: the training is resumed after the last complete epoch.",
    )
    if text:
        error.add_note(f"In process {rank}:\n{text}")
    return error


def _work(
    job: Callable[..., Any], rank: int, count: int, rendezvous: str, backend: str, pipe: Connection
) -> None:
    """Run the job in one of the processes and send its result."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        os.environ |= {"LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": str(count)}
        if _LOOPBACK is not None:  # gloo and NCCL would listen where the name of the machine leads
            os.environ |= {"GLOO_SOCKET_IFNAME": _LOOPBACK, "NCCL_SOCKET_IFNAME": _LOOPBACK}
        torch.set_num_threads(max(1, torch.get_num_threads() // count))
        enter(backend, rank=rank, size=count, at=rendezvous)
        result = job(tracker=_Piped(pipe))
        pipe.send(("trained", pickle.dumps(result if rank == 0 else None)))
    except BaseException as error:
        explained = error if isinstance(error, PcipError) else None
        pipe.send(("failed", time.monotonic(), explained, traceback.format_exc()))


def _end_with_parent() -> None:
    """End this process when the caller ends."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


class _Piped:
    """A tracker that sends reports to the caller. All reports except batches wait for its answer."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def start(self, params: Mapping[str, Any]) -> None:
        self._report("start", params)

    def resumed(self, epoch: int, epochs: int) -> None:
        self._report("resumed", epoch, epochs)

    def batch(self, epoch: int, done: int, total: int) -> None:
        self._pipe.send(("report", "batch", (epoch, done, total), False))

    def epoch(self, number: int, metrics: Mapping[str, float]) -> None:
        self._report("epoch", number, metrics)

    def preview(self, number: int, preview: Preview) -> None:
        self._report("preview", number, preview)

    def _report(self, name: str, *arguments: Any) -> None:
        self._pipe.send(("report", name, arguments, True))
        self._pipe.recv()
