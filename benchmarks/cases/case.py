"""One handed input: a folder with a spec and files, its right value, and what pcip made of it."""

from __future__ import annotations

import contextlib
import io
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from pcip_assets.cli.check import print_check
from pcip_core.crops.shard import cut_field, cut_shard
from pcip_core.errors import ImageFileError, PcipError
from pcip_core.images.annotations import ImageRecord, describe_images
from pcip_core.images.field import Field
from pcip_core.images.layout import scan
from pcip_core.images.reading import Planes, read_field
from pcip_core.spec.loading import load_screen
from pcip_core.spec.screen import Screen
from pcip_core.words import many

RIGHT, REFUSED, WRONG = "right", "refused with a remedy that works", "wrong"
_READ = 1000  # fields that are read at most
_SHORT = 160  # characters of a text in a table


@dataclass(frozen=True)
class Result:
    """What was done with a case: its grade, and what was found."""

    grade: str
    text: str


@dataclass(frozen=True)
class Case:
    """One folder of handed inputs.

    Attributes:
        folder: its name.
        expected: the right value, in words.
        judge: looks at a copy of the folder.
        links: files of the folder that stand for symbolic links, and hold their targets.
    """

    folder: str
    expected: str
    judge: Callable[[Trial], Result]
    links: tuple[str, ...] = ()


@dataclass
class Attempt:
    """What pcip makes of one spec.

    Attributes:
        error: the error of the spec, the scan, the tables or the check; "" if there is none.
        report: what `pcip check --all` prints.
        passed: whether its exit code would be 0.
    """

    error: str = ""
    report: str = ""
    passed: bool = False
    screen: Screen | None = None
    fields: list[Field] = field(default_factory=list)
    records: list[ImageRecord] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The error and the report, without its title, which repeats the name of the spec."""
        return f"{self.error}\n{self.report.partition(chr(10))[2]}"

    def says(self, *patterns: str) -> bool:
        """Whether one line of the error or the report has each of these regular expressions, in any letter case."""
        return any(
            all(re.search(pattern, line, re.IGNORECASE) for pattern in patterns)
            for line in self.text.splitlines()
        )

    def line(self, pattern: str) -> str:
        """The first line of the error or the report with a regular expression, shortened."""
        lines = (line for line in self.text.splitlines() if re.search(pattern, line, re.IGNORECASE))
        return " ".join(next(lines, "").split())[:_SHORT]

    def part(self, name: str) -> list[str]:
        """A part of all fields, each value once."""
        return sorted({each.parts.get(name, "") for each in self.fields})

    def values(self, name: str) -> list[str | None]:
        """A value of all images, in the order of their ids."""
        return [record.values.get(name) for record in sorted(self.records, key=lambda each: each.image_id)]

    def planes(self) -> dict[str, Planes]:
        """Field id -> planes, for the fields that can be read."""
        read = {}
        for each in self.fields:
            assert self.screen is not None
            with contextlib.suppress(ImageFileError):
                read[each.field_id] = read_field(self.screen, each)
        return read

    def corrected(self) -> dict[str, Planes]:
        """Field id -> planes as they are segmented and cut, for the fields that can be used."""
        read = {}
        for each in self.fields:
            assert self.screen is not None
            with contextlib.suppress(ImageFileError):
                read[each.field_id] = cut_field(self.screen, each).planes
        return read

    def refusals(self) -> dict[str, str]:
        """Field id -> why it cannot be read."""
        refused = {}
        for each in self.fields:
            assert self.screen is not None
            try:
                read_field(self.screen, each)
            except ImageFileError as error:
                refused[each.field_id] = str(error)
        return refused

    def means(self) -> dict[str, list[float]]:
        """Channel -> mean of each readable field, in the order of the field ids."""
        read = [planes for _, planes in sorted(self.planes().items())]
        names = [] if self.screen is None else list(self.screen.channels)
        return {name: [float(np.mean(planes[name])) for planes in read] for name in names}

    def cells(self) -> dict[str, int]:
        """Image id -> number of objects found in its fields."""
        found: dict[str, int] = {}
        for each in self.fields:
            assert self.screen is not None
            found[each.image_id] = found.get(each.image_id, 0) + cut_shard(self.screen, [each]).found
        return found

    def usable(self) -> dict[str, int]:
        """Image id -> number of objects of its fields that can be used as cells."""
        cells: dict[str, int] = {}
        for each in self.fields:
            assert self.screen is not None
            cells.setdefault(each.image_id, 0)
            with contextlib.suppress(ImageFileError):
                cells[each.image_id] += len(cut_field(self.screen, each).cells.label)
        return cells

    def summary(self) -> str:
        """The error, or the numbers of fields, of readable fields and of images."""
        if self.error:
            return f"refused: {' '.join(self.error.split())[:_SHORT]}"
        read = len(self.planes())
        images = len({each.image_id for each in self.fields})
        return f"{many(len(self.fields), 'field')}, {read} of them readable, in {many(images, 'image')}"


class Trial:
    """A copy of a case that may be changed."""

    def __init__(self, case: Case, folder: Path, copy: Path) -> None:
        shutil.copytree(folder, copy, symlinks=True)
        for path in (copy, *copy.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
        for name in case.links:
            link = copy / name
            if not link.is_symlink():
                target = link.read_text().strip()
                link.unlink()
                link.symlink_to(target)
        self.folder, self.root = copy, copy / "root"

    def attempt(self, spec: str = "spec.yaml", changes: Mapping[str, Any] | None = None) -> Attempt:
        """Scan, describe and check the folder by one of its specs.

        Args:
            spec: name of the spec.
            changes: key of the spec, with dots for keys of sections -> new value; None removes the key.
        """
        values = yaml.safe_load((self.folder / spec).read_text())
        for key, value in (changes or {}).items():
            *sections, last = key.split(".")
            section = values
            for name in sections:
                section = section.setdefault(name, {})
            if value is None:
                section.pop(last, None)
            else:
                section[last] = value
        path = self.folder / "changed.yaml"
        path.write_text(yaml.safe_dump(values))
        return attempted(path)


def attempted(spec: Path) -> Attempt:
    """What pcip makes of a spec."""
    attempt, out = Attempt(), io.StringIO()
    try:
        attempt.screen = load_screen(spec)
        attempt.fields = scan(attempt.screen).fields
        attempt.records = describe_images(attempt.screen, attempt.fields)
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
            attempt.passed = print_check(attempt.screen, at_most=_READ)
    except PcipError as error:
        attempt.error = str(error)
    except Exception as error:  # a traceback is what the user would see
        attempt.error = f"traceback: {type(error).__name__}: {error}"
    attempt.report = out.getvalue()
    return attempt


def judged(
    attempt: Attempt, *, right: bool, named: str = "", remedies: Mapping[str, bool] | None = None
) -> Result:
    """Grade a case.

    Args:
        attempt: with the spec as it is.
        right: whether it has the right value.
        named: a pattern of the line that names what is wrong with the input.
        remedies: what the error or the documentation tells the user to change -> whether that gives the right value.
    """
    works = [text for text, value in (remedies or {}).items() if value]
    fails = [text for text, value in (remedies or {}).items() if not value]
    says = bool(named) and attempt.says(named)
    text = attempt.line(named) if says else attempt.summary()
    text += f"; {', '.join(works)}: right" if works else ""
    text += f"; {', '.join(fails)}: NOT right" if fails else ""
    if attempt.error.startswith("traceback") or fails:
        return Result(WRONG, text)
    if right:
        return Result(RIGHT, text)
    return Result(REFUSED if says and works else WRONG, text)
