"""A workspace: the folder of all results, and the screens that it has.

The workspace is the current folder, and everything that pcip makes lies in its folder `data/`, which PCIP_DATA moves.
A screen is known if its spec is in `data/screens/`, or if its spec was run once from another folder.
`data/local.yaml` records settings of this machine only: the paths of such specs, and each root given with
`--root`, relative to `data/` if they lie in the workspace.
"""

import dataclasses
import logging
import os
import shlex
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from pcip_assets.servers.addresses import Addresses, addresses
from pcip_core.errors import DuplicateScreenError, PcipError, SpecError, StoreError, WriteError
from pcip_core.files import file_name, portable, present, replacing
from pcip_core.locks import locked
from pcip_core.spec.bounds import meant
from pcip_core.spec.loading import load_screen
from pcip_core.spec.reading import read_yaml
from pcip_core.spec.screen import Screen
from pcip_core.spec.templates import TEMPLATES
from pcip_core.spec.training import EncoderConfig
from pcip_core.spec.validation import problem_among

REPOSITORY = (
    Path(__file__).resolve().parent.parent
)  # the folder of the packages: a checkout, or site-packages
SETTINGS = Path(__file__).parent / "settings"
"""The files that lie at the top of a workspace: `dagster.yaml`, `workspace.yaml` and `dg.toml`."""
MLFLOW_PORT = int(os.environ.get("PCIP_MLFLOW_PORT", "5000"))
DAGSTER_PORT = int(os.environ.get("PCIP_DAGSTER_PORT", "3000"))
BROWSE_PORT = int(os.environ.get("PCIP_BROWSE_PORT", "8050"))
LOCATION, DEFINITIONS = "pcip", "pcip_assets.definitions"
"""Dagster's code location, and its module: as in workspace.yaml and in dg.toml."""
_LOG = logging.getLogger("pcip")


@dataclass(frozen=True)
class Workspace:
    """The folders of one PCIP_DATA."""

    data: Path

    @classmethod
    def current(cls) -> "Workspace":
        """The workspace of PCIP_DATA, by default `data/` in the current folder."""
        return cls(Path(os.environ.get("PCIP_DATA") or "data").expanduser().resolve())

    @property
    def folder(self) -> Path:
        """The folder of `data/`, with which images and specs in it can be moved."""
        return self.data.parent

    def relative(self, path: Path) -> str:
        """A path as results record it: relative if it lies in the workspace, so that it holds after a move."""
        # `PCIP_DATA=/data` does not make all paths relative to the root of the disk
        lies_in = path.is_relative_to(self.folder) and self.folder.name
        return os.path.relpath(path, self.folder) if lies_in else str(path)

    def require_writable(self) -> None:
        """Check that results can be written, before any work.

        Raises:
            WriteError: the folder of all results, or a folder or database in it, cannot be written.
            StoreError: the store is a link to a folder that is not mounted, or a file without the URL of a bucket.
            MissingPackageError: the package for object stores is not installed.
        """
        from pcip_core.store.partitions import Store

        Store(self.store)
        of_store = [] if self.store.is_file() else [self.store]  # a file with a URL is only read
        inside = [*of_store, self.dagster_home, self.mlflow_folder, self.reports(""), self.checkpoints]
        databases = [*self.dagster_home.glob("*.db"), *self.mlflow_folder.glob("*.db"), self._local]
        for path in (self.data, *inside, *databases):
            existing = next(place for place in (path, *path.parents) if place.exists())
            if not os.access(existing, os.W_OK | (os.X_OK if existing.is_dir() else 0)):
                raise WriteError(
                    path,
                    found=f"{existing} without permission to write, or mounted read-only",
                    required="permission to write the results there",
                    remedy="Change its permissions or mount it for writing, or set PCIP_DATA to a folder that you may "
                    "write.",
                )

    @property
    def screens_folder(self) -> Path:
        """The specs of the workspace's screens."""
        return self.data / "screens"

    @property
    def store(self) -> Path:
        """The Parquet partitions, from which every table is built."""
        return self.data / "store"

    @property
    def published(self) -> Path:
        """The published DuckDB file."""
        return self.data / "feature_store.duckdb"

    @property
    def checkpoints(self) -> Path:
        """Unfinished trainings, one folder each; a folder is removed when its training is complete."""
        return self.data / "checkpoints"

    def reports(self, screen: str) -> Path:
        """The folder of a screen's pages and figures."""
        return self.data / "reports" / screen

    def benchmark_report(self, screen: str) -> Path:
        """The HTML page of a screen's benchmark scores."""
        return self.reports(screen) / "benchmarks.html"

    def analysis_report(self, screen: str) -> Path:
        """The HTML page of a screen's analyses."""
        return self.reports(screen) / "analyses.html"

    def quality_report(self, screen: str) -> Path:
        """The HTML page of the quality of a screen's fields."""
        return self.reports(screen) / "quality.html"

    def figure(self, screen: str, name: str, kind: str = "png") -> Path:
        """The file of a figure; characters that are not allowed in file names become underscores."""
        return self.reports(screen) / f"{file_name(name)}.{kind}"

    @property
    def mlflow_folder(self) -> Path:
        """MLflow's database and artifacts."""
        return self.data / "mlflow"

    @property
    def servers(self) -> Addresses:
        """Where the databases of a team and the files of MLflow are, if not in the workspace."""
        return addresses(self.data)

    def artifacts(self, experiment: str) -> Path:
        """The folder of the files that MLflow keeps for an experiment, which has the name of its screen."""
        return (self.servers.artifacts_folder or self.mlflow_folder / "artifacts") / experiment

    def artifacts_uri(self, experiment: str) -> str:
        """Where MLflow keeps the files of an experiment: a folder, or a part of an object store."""
        elsewhere = self.servers.artifacts if self.servers.artifacts_folder is None else None
        return f"{elsewhere}/{experiment}" if elsewhere else self.artifacts(experiment).as_uri()

    @property
    def mlflow_uri(self) -> str:
        """MLflow's tracking store."""
        return self.servers.mlflow or f"sqlite:///{self.mlflow_folder / 'mlflow.db'}"

    @property
    def dagster_home(self) -> Path:
        """Dagster's instance: runs, events, partitions."""
        return self.data / "dagster"

    @property
    def _local(self) -> Path:
        return self.data / "local.yaml"

    def specs(self) -> list[Path]:
        """All known spec files: in `data/screens/`, or run once from another folder."""
        present = sorted(self.screens_folder.glob("*.yaml"))
        elsewhere = [Path(entry["spec"]) for entry in self._remembered().values() if "spec" in entry]
        return present + [path for path in elsewhere if path.is_file() and path not in present]

    def screens(self) -> tuple[dict[str, Screen], list[PcipError]]:
        """The known screens by name, and the errors of invalid specs and of results without a spec."""
        screens, problems = self._loaded()
        unfit = {name: error for name in screens if (error := problem_among(screens, name)) is not None}
        without = self._without_spec({*screens, *(path.stem for path in self.specs())})
        valid = {name: screen for name, screen in screens.items() if name not in unfit}
        return valid, [*problems, *unfit.values(), *without]

    def _loaded(self) -> tuple[dict[str, Screen], list[PcipError]]:
        """The screens of all specs that are valid by themselves, and the errors of the others."""
        screens: dict[str, Screen] = {}
        owner: dict[str, Path] = {}
        problems: list[PcipError] = []
        for path in self.specs():
            try:
                screen = self.load(path)
            except PcipError as error:
                problems.append(error)
                continue
            if screen.name in screens:
                problems.append(_duplicate(screen.name, owner[screen.name], path))
                continue
            screens[screen.name], owner[screen.name] = screen, path
        return screens, problems

    def _without_spec(self, names: Iterable[str]) -> list[PcipError]:
        """An error for each screen that has results, and is none of these."""
        from pcip_core.store.partitions import Store

        remembered = self._remembered()
        problems: list[PcipError] = []
        for name in Store(self.store).screens():
            if name in names or Path(remembered.get(name, {}).get("spec", "")).is_file():
                continue
            former = remembered.get(name, {}).get("spec")
            problems.append(
                SpecError(
                    self.store / name,
                    found=f"results of a screen whose spec is not in {self.screens_folder}"
                    + (f", nor at {former}" if former else ""),
                    required="its spec, to show or continue it (SQL has its results without)",
                    remedy=f"`pcip init --from {name}` adds the spec of this name that comes with pcip."
                    if name in TEMPLATES
                    else "Put its spec there, or remove the results.",
                )
            )
        return problems

    def load(self, path: Path, *, root: str | None = None) -> Screen:
        """A spec with the root for this machine: given, recorded, of the simulation, or from the spec."""
        screen = load_screen(path, root=root and str(Path(root).expanduser().resolve()))
        if screen.encoder_from is not None:
            screen = dataclasses.replace(
                screen, encoder=self._encoder_of(screen.encoder_from) or screen.encoder
            )
        if root is not None:
            return screen
        if screen.simulation is not None and screen.root is None:
            return dataclasses.replace(screen, root=str(self.data / "raw" / screen.name))
        remembered = self._remembered().get(screen.name, {}).get("root")
        return dataclasses.replace(screen, root=remembered or screen.root)

    def _encoder_of(self, name: str) -> EncoderConfig | None:
        """The settings of the encoder of another screen; None if no valid spec has this name."""
        for path in self.specs():
            try:
                screen = load_screen(path)
            except PcipError:
                continue
            if screen.name == name:
                return screen.encoder
        return None

    def find(self, name_or_path: str, *, root: str | None = None) -> Screen:
        """The screen of a spec file or of a known screen (`spec_path`); `data/local.yaml` records it.

        Raises:
            SpecError: neither a file nor a screen has this name, or its encoder cannot be made (`check_among_others`).
            DuplicateScreenError: another spec has the same name.
        """
        path = self.spec_path(name_or_path)
        screen = self.load(path, root=root)
        self.check_among_others(screen, path)
        self._remember(screen.name, path, root=screen.root if root else None)
        return screen

    def spec_path(self, name_or_path: str) -> Path:
        """The spec file of a path, or of a known screen by its name or by the name of its file without .yaml.

        Raises:
            SpecError: there is no such file or screen, or the name is that of one screen and the file of another.
        """
        path = Path(name_or_path).expanduser()
        if path.is_file():
            return path.resolve()
        names_in = {spec: _name_in(spec) for spec in self.specs()}
        fitting = [
            spec for spec, name in names_in.items() if path.suffix == "" and name_or_path in (name, spec.stem)
        ]
        fitting = [spec for spec in fitting if names_in[spec]] or fitting  # one that can be read, if any
        if len({names_in[spec] for spec in fitting}) > 1:
            raise SpecError(
                name_or_path,
                found="; ".join(f"{spec} (name: {names_in[spec]})" for spec in fitting),
                required="the name of one screen, which is not the file of another",
                remedy="Give the path of the spec, or rename its file as the screen.",
            )
        if fitting:
            return fitting[-1]
        if name_or_path in TEMPLATES:
            raise SpecError(
                name_or_path,
                found=f"no spec of this name in {self.screens_folder}",
                required="the spec of a screen of this workspace",
                remedy=f"`pcip init --from {name_or_path}` adds the one that comes with pcip; or go to the folder of "
                "your workspace.",
            )
        known = ", ".join(self._known_names()) or "which has none yet"
        names = {each for spec, name in names_in.items() for each in (name, spec.stem) if each}
        raise SpecError(
            name_or_path,
            found="a folder"
            if path.is_dir()
            else f"no such file{meant(name_or_path, [*sorted(names), *TEMPLATES])}",
            required=f"the path of a spec, or a screen of the workspace {self.data} ({known})",
            remedy=f"`pcip init {shlex.quote(name_or_path)}` proposes a spec for a folder of images."
            if path.is_dir()
            else "Correct the path or the name. `pcip init --list` lists the screens that come with pcip.",
        )

    def _known_names(self) -> list[str]:
        """The name of each known screen, in order, with its file if that has another name."""
        names = {spec: _name_in(spec) or spec.stem for spec in self.specs()}
        return sorted(name if name == spec.stem else f"{name} ({spec.name})" for spec, name in names.items())

    def check_among_others(self, screen: Screen, path: Path) -> None:
        """Check that a screen, read from `path`, fits the other screens of the workspace.

        Raises:
            SpecError: its encoder depends on itself, or is that of a screen that trains none.
            DuplicateScreenError: another spec has the same name.
        """
        self.check_unique(screen.name, path)
        if screen.encoder.leave_out is None and screen.encoder_from is None:
            return
        if error := problem_among({**self._loaded()[0], screen.name: screen}, screen.name):
            raise error

    def check_unique(self, name: str, path: Path) -> None:
        """Raise DuplicateScreenError when another known spec has this name."""
        for other in self.specs():
            if other.resolve() == path.resolve():
                continue
            try:
                taken = load_screen(other).name == name
            except PcipError:
                continue
            if taken:
                raise _duplicate(name, other, path)

    def _remembered(self) -> dict[str, dict[str, str]]:
        """Screen -> the paths that `local.yaml` records, absolute."""
        if not self._local.is_file():
            return {}
        entries = yaml.safe_load(self._local.read_text()) or {}
        return {
            name: {key: present(paths, self.data) for key, paths in entry.items()}
            for name, entry in entries.items()
        }

    def _remember(self, name: str, path: Path, *, root: str | None) -> None:
        entry: dict[str, str] = {}
        if path.parent != self.screens_folder:
            entry["spec"] = str(path)
        if root is not None:
            entry["root"] = root
        if entry.items() <= self._remembered().get(name, {}).items():
            return
        with self.only_process():
            entries = self._remembered()
            entries[name] = entries.get(name, {}) | entry
            with replacing(self._local) as temporary:
                paths = {
                    each: {key: portable(path, self.data) for key, path in entries[each].items()}
                    for each in entries
                }
                temporary.write_text(yaml.safe_dump(paths))

    @contextmanager
    def only_process(self) -> Iterator[None]:
        """Hold the lock of the workspace; log that pcip waits if another process holds it.

        Raises:
            StoreError: the folder cannot be written.
        """
        lock = self.data / ".lock"
        with ExitStack() as stack:
            try:
                self.data.mkdir(parents=True, exist_ok=True)
                stack.enter_context(locked(lock, wait=False))
            except BlockingIOError:
                _LOG.warning(f"waiting for another pcip, which prepares {self.data}")
                stack.enter_context(locked(lock))
            except OSError as error:
                raise StoreError(
                    self.data,
                    found=str(error),
                    required="a folder with free space that you may write to",
                    remedy="Free some space, correct the permissions, or choose another folder with PCIP_DATA.",
                ) from error
            yield


def _name_in(spec: Path) -> str | None:
    """The name of the screen of a spec, which need not be valid."""
    try:
        values = read_yaml(spec, "a screen spec")
    except PcipError:
        return None
    name = values.get("name") if isinstance(values, dict) else None
    return name if isinstance(name, str) else None


def _duplicate(name: str, first: Path, second: Path) -> DuplicateScreenError:
    return DuplicateScreenError(
        second,
        found=f"the name {name!r}, which {first} already has",
        required="a different name for each screen",
        remedy="Rename one of the screens (`name:` in its spec), or remove its spec.",
    )
