"""Calls of one function on a Ray cluster, one for each item: their results, messages and errors, and their end.

A call whose worker is lost is made again. An error of one call does not stop the others. Messages of the function
arrive here while it runs. No call outlives the loop over its results.
"""

import contextlib
import os
import pickle
import socket
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from pcip_assets.compute.cluster import options, require_room
from pcip_assets.compute.interface import CPUS
from pcip_assets.compute.settings import Needs
from pcip_core.errors import ComputeError, PcipError

_POLL_S = 0.2
_LONGEST = 1000  # characters of what was found
_PATIENCE_S = 60.0  # until a node that fits must be there again, after one was lost

Tell = Callable[[Any], None]
"""Sends a message to the process of the run."""


@dataclass(frozen=True)
class Calls:
    """Calls of one function.

    Attributes:
        what: the calls together, for messages.
        function: called on a worker with an item and a `Tell`. It and its results must be picklable.
        needs: of one call.
        attempts: how often a call is begun whose worker is lost.
        hear: called in this process with an item and a message.
        nodes: item -> the node that it should run on, if it is there.
    """

    what: str
    function: Callable[[Any, Tell], Any]
    needs: Needs
    attempts: int
    hear: Callable[[Any, Any], None]
    nodes: Mapping[Any, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Ended:
    """How a call ended: with a value; or with an error, whose traceback is empty if it explains itself."""

    node: str
    value: Any = None
    error: Exception | None = None
    traceback: str = ""


def results_of(calls: Calls, items: Sequence[Any]) -> Iterator[tuple[Any, Ended]]:
    """Call the function for each item; yield each item with its result when it is there.

    Raises:
        PcipError: calls have failed, or have lost their worker too often; all others have ended before.
    """
    import ray

    require_room(calls.what, calls.needs)
    pending = _Pending(calls)
    failed: dict[Any, Ended] = {}
    try:
        for item in items:
            pending.begin(item)
        while pending.items:
            ended = pending.ended()
            for item, message in pending.messages():
                calls.hear(item, message)
            for item, result in ended:
                if result.error is None:
                    yield item, result
                else:
                    failed[item] = result
    finally:
        with contextlib.suppress(ray.exceptions.RayError):  # of a cluster that is gone: its tasks are too
            for reference in pending.items:
                ray.cancel(reference, force=True)
            ray.kill(pending.box)
    if failed:
        raise _failure(calls, failed)


class _Pending:
    """The calls that have begun and not ended."""

    def __init__(self, calls: Calls) -> None:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        self._ray: Any = ray
        self._calls = calls
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        box = self._ray.remote(_Box).options(num_cpus=0, max_restarts=-1, scheduling_strategy=here)
        self.box: Any = box.remote()
        self._call = self._ray.remote(_call)
        self._function = self._ray.put(calls.function)
        self._lost: Counter[Any] = Counter()
        self.items: dict[Any, Any] = {}  # reference -> item

    def begin(self, item: Any) -> None:
        """Begin the call of an item."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        node = self._calls.nodes.get(item)
        where = "DEFAULT" if node is None else NodeAffinitySchedulingStrategy(node, soft=True)
        # lost workers are counted here: Ray would repeat a call without end that takes too much memory
        remote = self._call.options(**options(self._calls.needs), max_retries=0, scheduling_strategy=where)
        cpus = max(1, int(self._calls.needs.cpus or 1))
        self.items[remote.remote(self._function, item, self.box, cpus)] = item

    def ended(self) -> list[tuple[Any, Ended]]:
        """Wait a moment for calls to end; a call whose worker was lost begins again."""
        waiting = list(self.items)
        first, waiting = self._ray.wait(waiting, timeout=_POLL_S)
        others = self._ray.wait(waiting, num_returns=len(waiting), timeout=0)[0] if first and waiting else []
        ended: list[tuple[Any, Ended]] = []
        for reference in (*first, *others):
            item = self.items.pop(reference)
            try:
                ended.append((item, self._ray.get(reference)))
            except (
                self._ray.exceptions.RayTaskError
            ) as error:  # before the function: no pcip on the node, ...
                ended.append((item, Ended("", error=_unexplained(self._calls.what, item, str(error)))))
            except self._ray.exceptions.RayError as error:
                if (given_up := self._repeat(item, error)) is not None:
                    ended.append((item, Ended("", error=given_up)))
        return ended

    def _repeat(self, item: Any, reason: Exception) -> ComputeError | None:
        """Begin a call again whose worker was lost; the error if that has happened too often."""
        self._lost[item] += 1
        text = " ".join(str(reason).split())
        if self._lost[item] >= self._calls.attempts:
            return ComputeError(
                f"{self._calls.what} {item}",
                found=f"a worker lost in each of {self._lost[item]} attempts ({type(reason).__name__}: {text[:300]})",
                required="a worker that lives until the result is stored",
                remedy="Often it has too little memory: raise memory_gb in data/compute.yaml, or make smaller shards. "
                "Otherwise see Ray's logs on the node. The same command goes on from what is stored.",
            )
        self._calls.hear(
            item, ("warning", f"{self._calls.what} {item}: worker lost, begun again ({text[:120]})")
        )
        _wait_for_room(self._calls)
        self.begin(item)
        return None

    def messages(self) -> list[tuple[Any, Any]]:
        """The messages since the last time."""
        with contextlib.suppress(self._ray.exceptions.RayActorError):  # it starts again, empty
            taken: list[tuple[Any, Any]] = self._ray.get(self.box.take.remote())
            return taken
        return []


class _Box:
    """An actor beside the process of the run: it holds the messages of calls until that process takes them."""

    def __init__(self) -> None:
        self._messages: list[tuple[Any, Any]] = []

    def put(self, item: Any, message: Any) -> None:
        """Add a message."""
        self._messages.append((item, message))

    def take(self) -> list[tuple[Any, Any]]:
        """Remove all messages and return them."""
        taken, self._messages = self._messages, []
        return taken


def _call(function: Callable[[Any, Tell], Any], item: Any, box: Any, cpus: int) -> Ended:
    """On a worker: one call."""
    import ray

    def tell(message: Any) -> None:
        with contextlib.suppress(ray.exceptions.RayActorError):
            ray.get(box.put.remote(item, message))

    os.environ[CPUS] = str(cpus)
    ended = partial(Ended, ray.get_runtime_context().get_node_id())
    try:
        return ended(value=function(item, tell))
    except PcipError as error:
        return ended(error=error)
    except Exception as error:
        text = f"on {socket.gethostname()}:\n{traceback.format_exc()}"
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:
            error = RuntimeError(f"{type(error).__name__}: {error}")
        return ended(error=error, traceback=text)


def _wait_for_room(calls: Calls) -> None:
    until = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return require_room(calls.what, calls.needs)
        except ComputeError:
            if time.monotonic() > until:
                raise
            time.sleep(1)


def _failure(calls: Calls, failed: Mapping[Any, Ended]) -> PcipError:
    """The first error, with its item; the others are notes of it."""
    errors = [_named(calls.what, item, ended) for item, ended in failed.items()]
    for error in errors[1:]:
        errors[0].add_note(f"also {error}")
    return errors[0]


def _named(what: str, item: Any, ended: Ended) -> PcipError:
    error = ended.error
    if isinstance(error, ComputeError):
        return error  # it names the item
    if isinstance(error, PcipError):
        where = f"{what} {item}: {error.where}"
        return type(error)(where, found=error.found, required=error.required, remedy=error.remedy)
    return _unexplained(what, item, f"{ended.traceback}\n{type(error).__name__}: {error}")


def _unexplained(what: str, item: Any, text: str) -> ComputeError:
    error = ComputeError(
        f"{what} {item}",
        found=text.strip().splitlines()[-1][:_LONGEST],
        required="a result without an error",
        remedy="See the traceback. The other shards are stored; the same command goes on from there.",
    )
    error.add_note(
        text if len(text) < 20 * _LONGEST else f"{text[: 10 * _LONGEST]}\n...\n{text[-10 * _LONGEST :]}"
    )
    return error
