"""kill -9 while `pcip ui` serves and its sensor is on: of runs that it launched, of runs beside it, of itself."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests

from benchmarks.common.harness import Row
from benchmarks.faults import small_screen
from benchmarks.faults import tally as outcomes
from benchmarks.faults.judging import faults
from benchmarks.faults.kills import PLATES, Reference, judge_finished, look
from benchmarks.faults.processes import DONE, HUNG, KILLED, TRACED, UNCLEAR, Place, Program, run_pcip
from benchmarks.faults.tally import Tally

ROUNDS = 10  # of two kills each: of a run that the pages launched, and of `pcip run` beside them
STOPPING_S = 5.0
_STARTING_S, _RUN_S, _ENDED_S = 180.0, 240.0, 90.0  # on a machine that does much else
_REPOSITORY = {"repositoryName": "__repository__", "repositoryLocationName": "pcip"}
_LAUNCH = """mutation($p: ExecutionParams!) { launchRun(executionParams: $p) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
_SENSOR = "mutation($s: SensorSelector!) { startSensor(sensorSelector: $s) { __typename } }"
_RUN = "query($id: ID!) { runOrError(runId: $id) { ... on Run { status tags { key value } } } }"
_OUTCOMES = (
    *(outcomes.LOST, outcomes.TORN, outcomes.SILENT, outcomes.UNFINISHED, TRACED, UNCLEAR, HUNG),
    outcomes.NO_START,
)  # fmt: skip


class Pages:
    """`pcip ui` of one workspace, in a process group of its own."""

    def __init__(self, place: Place) -> None:
        self._port = _free_port()
        ports = ["--dagster-port", str(self._port), "--mlflow-port", str(_free_port())]
        self.program = Program(place, ["ui", *ports])

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """The answer to a GraphQL query."""
        body = {"query": query, "variables": variables}
        answer = requests.post(f"http://127.0.0.1:{self._port}/graphql", json=body, timeout=120)
        answer.raise_for_status()
        data: dict[str, Any] = answer.json()["data"]
        return data

    def is_up(self) -> bool:
        """Wait until the pages answer."""
        end = time.monotonic() + _STARTING_S
        while time.monotonic() < end and self.program.process.is_alive():
            with contextlib.suppress(requests.RequestException):
                self.ask("{ version }")
                return True
            time.sleep(0.5)
        return False

    def launch(self, job: str) -> str:
        """Launch a run of a job; return its id."""
        params = {"selector": {**_REPOSITORY, "jobName": job}, "runConfigData": "{}", "mode": "default"}
        launched: str = self.ask(_LAUNCH, p=params)["launchRun"]["run"]["runId"]
        return launched

    def status(self, run_id: str) -> tuple[str, dict[str, str]]:
        """Status and tags of a run."""
        run = self.ask(_RUN, id=run_id)["runOrError"]
        return run["status"], {tag["key"]: tag["value"] for tag in run["tags"]}

    def wait_for(self, run_id: str, *statuses: str, limit_s: float) -> str:
        """Wait until a run has one of these statuses; return its last status."""
        end = time.monotonic() + limit_s
        while (status := self.status(run_id)[0]) not in statuses and time.monotonic() < end:
            time.sleep(0.2)
        return status

    def stop(self) -> float:
        """Press Ctrl-C; return the seconds until the end."""
        begin = time.monotonic()
        os.kill(self.program.process.pid or 0, signal.SIGINT)
        self.program.process.join(12 * STOPPING_S)
        return time.monotonic() - begin


def trial(folder: Path, reference: Reference, share: float, seed: int) -> Iterator[Row]:
    """All kills in one workspace, then a run that must get its turn; then the pages themselves are killed."""
    place, rng = Place(folder), random.Random(seed)
    place.folder.mkdir(parents=True)
    tally, rounds = Tally("kills beside pcip ui and its sensor", *_OUTCOMES), max(1, round(ROUNDS * share))
    spec = small_screen.write_screen(place.folder, plates=PLATES)
    tally.judge("first run", run_pcip(place, "run", spec), DONE)
    before = look(place, "first run", tally)
    pages = Pages(place)
    if not pages.is_up():
        tally.add(outcomes.NO_START, "pcip ui", outcomes.last_lines(pages.program.wait(1).output))
        yield from tally.rows(0)
        return
    pages.ask(_SENSOR, s={**_REPOSITORY, "sensorName": "small_watch"})
    killed = sum(_kill_launched(pages, rng, tally) + _kill_beside(place, spec, reference, rng, tally)
                 for _ in range(rounds))  # fmt: skip
    status = pages.wait_for(pages.launch("small_training"), "SUCCESS", "FAILURE", "CANCELED", limit_s=_RUN_S)
    if status != "SUCCESS":
        tally.add(outcomes.UNFINISHED, "a run after the kills", f"it is {status} after {_RUN_S:g} s")
    pages.program.kill()
    seconds = _serve_again(place, tally)
    tally.judge("last run", run_pcip(place, "run", spec), DONE)
    state = look(place, "last run", tally)
    if state is not None and before is not None:
        judge_finished(state, reference.finished[PLATES], "last run", tally)
        for outcome, found in faults(state, before.stored, reference.allowed, reference.together).items():
            for each in found:
                tally.add(outcome, "last run", each)
    yield from tally.rows(killed + 1)
    yield Row("pcip ui: from Ctrl-C to its end", seconds, "s", n=1, aim=f"<= {STOPPING_S:g} s",
              held=seconds <= STOPPING_S)  # fmt: skip


def _kill_launched(pages: Pages, rng: random.Random, tally: Tally) -> int:
    """Launch a training on the pages and kill its process; the daemon must end the run. Returns the kills."""
    run_id, end = pages.launch("small_training"), time.monotonic() + _RUN_S
    tags: dict[str, str] = {}
    while "pcip/process" not in tags and time.monotonic() < end:
        time.sleep(0.1)
        tags = pages.status(run_id)[1]
    if "pcip/process" not in tags:
        tally.add(outcomes.UNFINISHED, "a launched run", f"it did not start within {_RUN_S:g} s")
        return 0
    time.sleep(rng.uniform(0, 1.5))
    with contextlib.suppress(ProcessLookupError):
        os.kill(json.loads(tags["pcip/process"])["pid"], signal.SIGKILL)
    status = pages.wait_for(run_id, "SUCCESS", "FAILURE", "CANCELED", limit_s=_ENDED_S)
    if status not in ("SUCCESS", "FAILURE"):
        tally.add(outcomes.UNFINISHED, "a launched run", f"it is {status} {_ENDED_S:g} s after the kill")
    return 1


def _kill_beside(place: Place, spec: Path, reference: Reference, rng: random.Random, tally: Tally) -> int:
    """Kill `pcip run` while the pages are open. Returns the kills."""
    ending = run_pcip(place, "run", spec, point=reference.point(rng, PLATES, fresh=False))
    tally.judge("pcip run beside pcip ui", ending, KILLED, DONE)
    return int(ending.kind == KILLED)


def _serve_again(place: Place, tally: Tally) -> float:
    """Start the pages after they were killed, and stop them; seconds of the stop."""
    pages = Pages(place)
    if not pages.is_up():
        tally.add(outcomes.NO_START, "pcip ui", outcomes.last_lines(pages.program.wait(1).output))
        return float("inf")
    seconds = pages.stop()
    ending = pages.program.wait(1)
    if TRACED in ending.kind:
        tally.add(TRACED, "pcip ui", outcomes.last_lines(ending.output))
    return seconds


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
