"""pcip as a newcomer meets it: a wheel in an empty environment, an empty folder, and that folder moved.

`make newcomer` runs it, and CI does. The new environment is of the interpreter that runs this script, unless `--python`
names another. By default it uses the packages of that interpreter: a `.pth` file adds its site-packages.
The editable install of pcip there has no effect, because `.pth` files in a folder that another one adds are not read; a
step checks that. With `--packages`, pip installs all packages as it would for a user, which takes minutes.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from tests.newcomer.sizes import print_sizes

REPOSITORY = Path(__file__).resolve().parents[2]
_PACKAGES = ("pcip", "pcip_core", "pcip_assets")
_HOME_CACHES = (".cache/", ".config/matplotlib")  # of libraries, in the folders that they are meant for
_SIMULATE = """
import shutil
from pathlib import Path
from pcip_core.simulate import simulate_screen
from pcip_core.spec.simulation import Simulation
simulate_screen(
    Simulation(
        "yeast", plates=1, proteins_per_class=1, fields_per_image=1, mixed_proteins=0, variable_proteins=0,
        field_size_px=304,
    ),
    Path("simulated"),
)
shutil.copytree("simulated/plate_1", "images/plate_1")
shutil.rmtree("simulated")
"""
_SCREENS = """
from pcip_assets.definitions import defs
print(*sorted({key.path[0] for key in defs().resolve_all_asset_keys()}))
"""
_COUNTS = """
import duckdb
con = duckdb.connect("data/feature_store.duckdb", read_only=True)
for schema, name in con.sql(
    "SELECT table_schema, table_name FROM information_schema.tables "
    "WHERE table_schema IN ('my_yeast', 'simulated_small') ORDER BY ALL"
).fetchall():
    print(schema, name, con.sql(f'SELECT count(*) FROM "{schema}"."{name}"').fetchall()[0][0])
"""


class Newcomer:
    """A fresh environment and home, and commands in a folder.

    Args:
        place: a temporary folder for all of it.
    """

    def __init__(self, place: Path) -> None:
        self.home, self.environment, self.folder = place / "home", place / "env", place / "work"
        self.bin = self.environment / "bin"
        self.home.mkdir()
        self.folder.mkdir()
        self._variables = {"PATH": f"{self.bin}:/usr/bin:/bin", "HOME": str(self.home), "LANG": "C.UTF-8"}
        if "OMP_NUM_THREADS" in os.environ:  # for a machine that is shared
            self._variables["OMP_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"]

    @property
    def site_packages(self) -> Path:
        (folder,) = self.environment.glob("lib/python*/site-packages")
        return folder

    def run(self, *command: str) -> str:
        """What a command prints, with nothing of this process's environment but the number of threads.

        Raises:
            SystemExit: it failed; its output is printed.
        """
        shown = " ".join(command[:2] if command[0] == "python" else command)
        print(f"$ {shown}", flush=True)
        start = time.monotonic()
        done = subprocess.run(
            [str(self.bin / command[0]), *command[1:]],
            cwd=self.folder,
            env=self._variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode:
            sys.exit(f"{done.stdout}\n`{shown}` ended with exit code {done.returncode}")
        print(f"  {time.monotonic() - start:.0f} s", flush=True)
        return done.stdout

    def serve(self) -> None:
        """Start `pcip ui`, ask both pages, and stop it with Ctrl-C."""
        print("$ pcip ui", flush=True)
        dagster, mlflow = free_port(), free_port()
        with tempfile.TemporaryFile("w+") as log:
            server = subprocess.Popen(
                [self.bin / "pcip", "ui", "--dagster-port", str(dagster), "--mlflow-port", str(mlflow)],
                cwd=self.folder, env=self._variables, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
            try:
                for url in (f"http://127.0.0.1:{dagster}/server_info", f"http://127.0.0.1:{mlflow}/health"):
                    wait_for(url, server)
            except RuntimeError as error:
                log.seek(0)
                sys.exit(f"{log.read()}\n{error}")
            finally:
                server.send_signal(signal.SIGINT)
                code = server.wait(120)
            require(code == 0, f"`pcip ui` ended with exit code {code}")


def require(condition: bool, message: str) -> None:  # noqa: FBT001
    """End with the message unless the condition holds."""
    if not condition:
        sys.exit(message)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(url: str, server: subprocess.Popen[bytes], seconds: float = 300) -> None:
    """Wait until a page answers.

    Raises:
        RuntimeError: it does not, or its server has ended.
    """
    end = time.monotonic() + seconds
    while time.monotonic() < end and server.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=60):
                return
        except OSError:
            time.sleep(0.5)
    raise RuntimeError(f"{url} did not answer")


def build_wheel(place: Path) -> Path:
    """A wheel of the checkout's files that git does not ignore; all files of both packages must be in it."""
    source, built = place / "source", place / "dist"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard",
         *_PACKAGES, "pyproject.toml", "README.md", "LICENSE"],
        cwd=REPOSITORY, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    names = [name for name in listed.split("\0") if name and (REPOSITORY / name).is_file()]
    for name in names:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(REPOSITORY / name, source / name)
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(built), str(source)],
        check=True,
    )
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        missing = {name for name in names if name.partition("/")[0] in _PACKAGES} - set(archive.namelist())
    require(not missing, f"files that the wheel lacks: {sorted(missing)}")
    print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB")
    return wheel


def packages_of(python: str) -> tuple[str, str]:
    """The version of an interpreter as `3.11`, and the folder of the packages that it has."""
    asked = "import sys, sysconfig; print('%d.%d' % sys.version_info[:2], sysconfig.get_path('purelib'))"
    try:
        text = subprocess.run([python, "-c", asked], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"--python {python}: no interpreter that can be run ({error})")
    version, _, folder = text.strip().partition(" ")
    return version, folder


def install(newcomer: Newcomer, wheel: Path, *, python: str, packages: bool) -> None:
    """Make the environment and install the wheel in it, with or without the packages that it needs."""
    version, folder = packages_of(python)
    print(f"Python {version}: {shutil.which(python)}", flush=True)
    if not packages and not (Path(folder) / "torch").is_dir():
        sys.exit(f"{python} has no packages that pcip needs: add --packages to install them")
    subprocess.run([python, "-m", "venv", str(newcomer.environment)], check=True)
    pip = [str(newcomer.bin / "python"), "-m", "pip", "install", "--quiet"]
    if packages:
        constraints = ["-c", str(REPOSITORY / "constraints.txt")]
        subprocess.run([*pip, *constraints, "torch"], check=True)
        subprocess.run([*pip, *constraints, str(wheel)], check=True)
    else:
        subprocess.run([*pip, "--no-deps", str(wheel)], check=True)
        (newcomer.site_packages / "dependencies.pth").write_text(f"{folder}\n")
    place = newcomer.run(
        "python", "-c", "import pcip_core, pcip_assets; print(pcip_core.__file__, pcip_assets.__file__)"
    )
    require(place.count(str(newcomer.site_packages)) == 2, f"pcip is imported from another folder: {place}")
    print_sizes([str(newcomer.site_packages)] + ([] if packages else [folder]), version)


def listing(folder: Path) -> dict[str, tuple[int, int]]:
    """Each file of a folder -> size and time of modification."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return {str(path.relative_to(folder)): (path.stat().st_size, path.stat().st_mtime_ns) for path in files}


def results(folder: Path) -> dict[str, object]:
    """What a second run must not make again: files of the store with their times, and MLflow's runs and networks."""
    store = folder / "data" / "store"
    made: dict[str, object] = {
        name: (stamp, hashlib.blake2b((store / name).read_bytes()).hexdigest())
        for name, stamp in listing(store).items()
        if "/." not in f"/{name}"
    }
    with closing(sqlite3.connect(folder / "data" / "mlflow" / "mlflow.db")) as database:
        for table in ("runs", "model_versions", "logged_models"):
            made[table] = database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
    return made


def changed(before: dict[str, object], after: dict[str, object]) -> list[str]:
    return [name for name in sorted({*before, *after}) if before.get(name) != after.get(name)]


@contextmanager
def nothing_written(newcomer: Newcomer) -> Iterator[None]:
    """Nothing is written into site-packages, and into the home nothing but caches of libraries."""
    before = listing(newcomer.site_packages)
    yield
    written = changed(dict(before), dict(listing(newcomer.site_packages)))
    require(not written, f"files that were written into site-packages: {written[:20]}")
    written = [name for name in listing(newcomer.home) if not name.startswith(_HOME_CACHES)]
    require(not written, f"files that were written into the home: {written[:20]}")


def first_hour(newcomer: Newcomer) -> None:
    """The demo, then a screen of one's own from a folder of images, beside it in the same folder."""
    newcomer.run("pcip", "--version")
    newcomer.run("pcip", "init", "--list")
    newcomer.run("pcip", "demo", "--small")
    newcomer.run("python", "-c", _SIMULATE)
    newcomer.run("pcip", "init", "images", "--yes", "--name", "my_yeast", "--organism", "yeast (simulated)")
    newcomer.run("pcip", "check", "my_yeast", "--picture", "cells.png")
    newcomer.run("pcip", "run", "my_yeast")
    screens = newcomer.run("python", "-c", _SCREENS).split()
    require(screens == ["my_yeast", "simulated_small"], f"Dagster shows the screens {screens}")


def move(newcomer: Newcomer) -> None:
    """Copy the folder, remove the original, and go on in the copy: nothing is made twice, and nothing is missing."""
    former, counts, made = newcomer.folder, newcomer.run("python", "-c", _COUNTS), results(newcomer.folder)
    newcomer.folder = former.parent / "another disk" / "work"
    shutil.copytree(former, newcomer.folder)
    shutil.rmtree(former)
    printed = newcomer.run("pcip", "demo", "--small") + newcomer.run("pcip", "run", "my_yeast")
    require("new: " not in printed, printed)
    again = changed(made, results(newcomer.folder))
    require(not again, f"made twice, or missing, after the folder was moved: {again[:20]}")
    require(newcomer.run("python", "-c", _COUNTS) == counts, "the published tables differ after the move")
    newcomer.run("pcip", "like", "simulated_small", "SIMP001", "-n", "3")
    newcomer.run(
        "pcip", "run", "simulated_small"
    )  # the plate that the demo left out, by the encoder that is there
    later = results(newcomer.folder)
    lost = [name for name in made if name.endswith(".parquet") and name not in later]
    require(not lost, f"missing after a plate was added: {lost}")
    require(later["model_versions"] == made["model_versions"], "adding a plate has trained a network")
    newcomer.serve()
    require(not former.exists(), f"{former} was made again")
    with closing(sqlite3.connect(newcomer.folder / "data" / "mlflow" / "mlflow.db")) as database:
        require(f"{former}/" not in "\n".join(database.iterdump()), "MLflow still names the former folder")


def main(arguments: Sequence[str] | None = None) -> None:
    """Build, install, use, move."""
    parser = argparse.ArgumentParser(prog="make newcomer", description=__doc__)
    parser.add_argument(
        "--python", default=sys.executable, help="interpreter of the new environment, by default this one"
    )
    parser.add_argument("--packages", action="store_true", help="install all packages that pcip depends on")
    parser.add_argument("--keep", type=Path, help="an empty folder to work in, which is kept")
    options = parser.parse_args(arguments)
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="pcip_newcomer_") as temporary:
        place = (options.keep or Path(temporary)).resolve()
        os.makedirs(place, exist_ok=True)  # noqa: PTH103
        newcomer = Newcomer(place)
        install(newcomer, build_wheel(place), python=options.python, packages=options.packages)
        with nothing_written(newcomer):
            first_hour(newcomer)
            move(newcomer)
    print(f"a newcomer gets through in {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
