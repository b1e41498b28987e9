"""The connection of this process to a Ray cluster, and what the nodes of the cluster offer."""

import contextlib
import importlib
import logging
import os
import socket
from pathlib import Path
from typing import Any

from pcip_assets.compute.settings import Compute, Needs
from pcip_core.errors import ComputeError

_OBJECTS_BYTES = 200 * 2**20  # results of tasks are small: pixels and tables stay in the shared folder
_ANSWERS_WITHIN_S = 10.0
_ATTEMPTS, _WORKER_WITHIN_S = 3, "300"  # to start a cluster, and for one of its workers to start
HOW_TO = "docs/how-to/run-on-a-cluster.md"
_SETTINGS = b"\x04"  # the type of a frame of HTTP/2
_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + _SETTINGS + bytes(5)


def ray(*, loopback: bool = False) -> Any:
    """The package, which reports nothing about its use to its makers.

    Args:
        loopback: clusters of this process listen on the loopback alone.

    Raises:
        ComputeError: it is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if loopback:  # whatever its name says, Ray reads it on every system: nodes have the address 127.0.0.1
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    try:
        import ray as package
    except ModuleNotFoundError as error:
        raise ComputeError(
            "engine: ray (data/compute.yaml)",
            found="no package ray",
            required="Ray, on this machine and on every node of the cluster",
            remedy="pip install 'pcip[ray]', or write `engine: local`.",
        ) from error
    return package


def connect(settings: Compute) -> Any:
    """Connect this process, if it is not connected; return the package `ray`.

    A cluster that pcip starts itself (`address: local`) has no dashboard and ends with this process.

    Raises:
        ComputeError: Ray is not installed, or the cluster cannot be reached.
    """
    own = settings.address == "local"
    package = ray(loopback=own or settings.address.startswith("127."))
    if package.is_initialized():
        return package
    quiet = {"log_to_driver": False, "configure_logging": False, "logging_level": logging.ERROR}
    try:
        if own:
            _start(package, **quiet)
            _hide_token()
        else:
            _require_listener(settings.address)
            package.init(settings.address, **quiet)
    except Exception as error:  # Ray raises errors of any kind
        raise _unreachable(settings.address, error) from error
    return package


def _start(package: Any, **quiet: Any) -> None:
    """Start a cluster of this machine. Ray gives its processes 30 s, which no setting extends; so it is tried again."""
    os.environ.setdefault("RAY_worker_register_timeout_seconds", _WORKER_WITHIN_S)
    for attempt in range(_ATTEMPTS):
        try:
            package.init("local", include_dashboard=False, object_store_memory=_OBJECTS_BYTES, **quiet)
            return
        except Exception:  # Ray raises errors of any kind
            package.shutdown()
            if attempt == _ATTEMPTS - 1:
                raise


def _unreachable(address: str, error: Exception) -> ComputeError:
    own, text = address == "local", str(error).strip() or type(error).__name__
    required = f"a machine that has time to start Ray within 30 s, in one of {_ATTEMPTS} attempts"
    remedy = "Try again, or write `engine: local`."
    if not own:
        required = "the address of a running Ray cluster, with the same versions of Ray and Python"
        remedy = (
            f"Start one with `ray start --head` ({HOW_TO}), correct the address, or write `engine: local`."
        )
    found = f"no cluster that answers ({text.splitlines()[0]})"
    return ComputeError(
        f"address: {address} (data/compute.yaml)", found=found, required=required, remedy=remedy
    )


def _hide_token() -> None:
    """Ray writes the token of clusters of this account with the usual permissions of new files."""
    with contextlib.suppress(OSError):
        (Path.home() / ".ray" / "auth_token").chmod(0o600)


def _require_listener(address: str) -> None:
    """Fail at once where no cluster answers: Ray would try for minutes.

    With `auto`, Ray also takes the address of a cluster that was killed, which it has left in a file. A cluster speaks
    HTTP/2: it answers the first lines of a client by its settings.
    """
    if address == "auto":
        address = _address_by_itself()
    host, _, port = address.rpartition(":")
    with socket.create_connection((host.strip("[]"), int(port)), timeout=_ANSWERS_WITHIN_S) as connection:
        if os.environ.get("RAY_USE_TLS", "").lower() in ("1", "true"):
            return
        connection.sendall(_HELLO)
        with connection.makefile("rb") as answer:
            if answer.read(4)[3:] != _SETTINGS:
                raise ConnectionError(f"{address} is another server")


def _address_by_itself() -> str:
    """The address that Ray would take by itself; no public function of Ray gives it."""
    if "://" in os.environ.get("RAY_ADDRESS", ""):
        raise ValueError("RAY_ADDRESS is not of the form HOST:PORT")
    services = importlib.import_module("ray._private.services")
    return str(services.canonicalize_bootstrap_address("auto"))


def require_room(what: str, needs: Needs, count: int = 1) -> None:
    """Check that the cluster can hold tasks, now or when others have ended. Ray itself would wait for ever.

    Args:
        what: the tasks, for the error.
        needs: of one task.
        count: of tasks that must run at once.

    Raises:
        ComputeError: no node, or not enough of them, has what a task needs.
    """
    import ray as package

    wanted = {"CPU": needs.cpus or 0, "GPU": needs.gpus or 0, "memory": _bytes(needs)}
    nodes = [node["Resources"] for node in package.nodes() if node["Alive"]]
    room = sum(
        min((int(node.get(name, 0) / amount) for name, amount in wanted.items() if amount), default=count)
        for node in nodes
    )
    if room < count:
        raise ComputeError(
            f"{what} on the Ray cluster",
            found=", ".join(_shown(node) for node in nodes) or "no node that is alive",
            required=f"{count} x {_shown(wanted)}, each on one node",
            remedy="Add nodes, or correct cpus, gpus, memory_gb or training_workers in data/compute.yaml.",
        )


def options(needs: Needs) -> dict[str, Any]:
    """What a task needs, as Ray takes it."""
    return {"num_cpus": needs.cpus or 0, "num_gpus": needs.gpus or 0, "memory": _bytes(needs) or None}


def _bytes(needs: Needs) -> int:
    return int((needs.memory_gb or 0) * 2**30)


def _shown(resources: dict[str, float]) -> str:
    """Resources in words."""
    return (
        f"{resources.get('CPU', 0):g} CPUs, {resources.get('GPU', 0):g} GPUs, "
        f"{resources.get('memory', 0) / 2**30:.1f} GB"
    )
