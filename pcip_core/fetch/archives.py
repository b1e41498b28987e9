"""The archives of the paper that a user must download manually, and a check of the unpacked files.

The check compares the files with what pcip needs and what the paper reports for each screen. The original layout of
the archives could not be inspected, so the check states the layout that it accepts.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pcip_core.errors import FetchError, ImageFileError
from pcip_core.hdf5 import array_of, texts_of, values_of
from pcip_core.images.reading import read_plane
from pcip_core.words import many

_SAMPLED = 20  # fields decoded
_SHOWN = 5
_MAX_BYTES, _MAX_CLASSES = 1 << 28, 1_000
_CHONG = tuple(f"Chong_{part}_set.hdf5" for part in ("train", "valid", "test"))
_CHONG_CELLS = 30_889
_CHONG_PIXELS = 2 * 64 * 64


@dataclass(frozen=True)
class Archive:
    """One archive: its source, and its contents according to the paper.

    Args:
        title: the screen and its publication.
        source: where to obtain the archive.
        channels: names of the channels in file names, the structural one first; empty for the HDF5 archives of
            labelled cells.
        proteins: number of proteins in the screen.
        kept: number of proteins after the paper's filter (at least 30 cells).
        fields: fields of view per protein.
        cells: number of cells in the paper.
    """

    title: str
    source: str
    channels: tuple[str, ...]
    proteins: int
    kept: int
    fields: int
    cells: int

    @property
    def layout(self) -> str:
        """The file names that the check and the spec of the screen expect."""
        if not self.channels:
            return ", ".join(_CHONG) + ", in the folder or any of its subfolders"
        return f"<any folders>/<protein>_<field>_<{'|'.join(self.channels)}>.tif (or .tiff)"


ARCHIVES: Mapping[str, Archive] = {
    "cyclops_wt2": Archive(
        "CyCLOPS WT2, GFP collection with a cytosolic RFP (Koh et al. 2015, G3)",
        "the CyCLOPS database (thecellvision.org/cyclops, formerly cyclops.ccbr.utoronto.ca), or the "
        "laboratories of B. Andrews and C. Boone, Toronto",
        ("rfp", "gfp"),
        *(4_138, 4_069, 4, 1_165_713),
    ),
    "nop1pr_gfp": Archive(
        "NOP1pr-GFP, N-terminal GFP with brightfield (Weill et al. 2018, Nature Methods)",
        "the laboratory of M. Schuldiner, Weizmann Institute",
        ("brightfield", "gfp"),
        *(3_916, 3_067, 3, 563_075),
    ),
    "nup49_rfp": Archive(
        "Nup49-RFP GFP-ORF, nuclear pores in RFP (Tkach et al. 2012, Nature Cell Biology)",
        "the laboratory of G. Brown, Toronto",
        ("rfp", "gfp"),
        *(4_149, 4_085, 3, 1_733_127),
    ),
    "chong_labelled_cells": Archive(
        "Labelled yeast cells of Chong et al. 2015 (Cell): DeepLoc_full_datasets.zip (Kraus et al. 2017)",
        "http://spidey.ccbr.utoronto.ca/~okraus/DeepLoc_full_datasets.zip (README of okraus/DeepLoc)",
        (),
        *(0, 0, 0, _CHONG_CELLS),
    ),
}


@dataclass
class Report:
    """The contents of a folder compared with an archive.

    Args:
        counts: name -> number found.
        missing: contents of the paper's screen that the folder lacks; the folder can be used without them.
        problems: errors to correct before the folder can be used.
    """

    counts: dict[str, int] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def check_archive(name: str, folder: Path) -> Report:
    """Compare an unpacked archive with its expected contents.

    Args:
        name: a key of `ARCHIVES`.
        folder: the folder with the unpacked files.

    Raises:
        FetchError: there is no archive with this name, or the folder does not exist.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "YBR001W_1_rfp.tif").write_text("not an image")
    ...     report = check_archive("cyclops_wt2", Path(folder))
    >>> report.counts["proteins"], report.problems[0]
    (1, 'channel gfp: no file for 1 of 1 field or cells')
    """
    if name not in ARCHIVES:
        raise FetchError(
            name,
            found="no such archive",
            required=f"one of {', '.join(ARCHIVES)}",
            remedy="Correct the name.",
        )
    if not folder.is_dir():
        raise FetchError(
            folder,
            found="no such folder",
            required="the folder with the unpacked archive",
            remedy="Correct the path.",
        )
    archive = ARCHIVES[name]
    return _check_fields(archive, folder) if archive.channels else _check_labelled(folder)


def _check_fields(archive: Archive, folder: Path) -> Report:
    report = Report()
    expression = re.compile(
        r"(?P<protein>[^/_]+)_(?P<field>\d+)(?:_[a-z0-9]+_(?P<cell>\d+))?"
        rf"_(?P<channel>{'|'.join(archive.channels)})\.tiff?",
        re.IGNORECASE,
    )
    files_of_field: dict[tuple[str, str, str], dict[str, Path]] = defaultdict(dict)
    other: list[str] = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        match = expression.fullmatch(path.name)
        if match is None:
            other.append(path.relative_to(folder).as_posix())
            continue
        key = (match["protein"], match["field"], match["cell"] or "")
        if match["channel"].lower() in files_of_field[key]:
            report.problems.append(f"{path.name} exists twice, in different folders")
        files_of_field[key][match["channel"].lower()] = path
    fields: dict[str, set[str]] = defaultdict(set)
    for protein, number, _ in files_of_field:
        fields[protein].add(number)
    report.counts = {
        "proteins": len(fields),
        "fields": sum(map(len, fields.values())),
        "files": sum(map(len, files_of_field.values())),
        "other files": len(other),
    }
    if any(cell for *_, cell in files_of_field):
        report.counts["cells, already cropped"] = sum(1 for *_, cell in files_of_field if cell)
    if not files_of_field:
        example = f"; the first file there is {other[0]}" if other else "; the folder is empty"
        report.problems.append(f"no file of the form {archive.layout}{example}")
        return report
    lacking = Counter(
        channel for files in files_of_field.values() for channel in archive.channels if channel not in files
    )
    report.problems += [
        f"channel {channel}: no file for {n:,} of {many(len(files_of_field), 'field', ',')} or cells"
        for channel, n in lacking.items()
    ]
    report.problems += _undecodable(list(files_of_field.values()))
    if len(fields) < archive.kept:
        report.missing.append(
            f"proteins: {len(fields):,} here, {archive.proteins:,} in the screen "
            f"({archive.kept:,} after the paper's filter)"
        )
    few = sorted(protein for protein, numbers in fields.items() if len(numbers) < archive.fields)
    if few:
        report.missing.append(
            f"fields: {many(len(few), 'protein', ',', does='have')} fewer than {archive.fields} ({_some(few)})"
        )
    return report


def _undecodable(pictures: Sequence[Mapping[str, Path]]) -> list[str]:
    """Decode some evenly spaced fields and check that their channels have the same shape."""
    problems = []
    for number in sorted(set(np.linspace(0, len(pictures) - 1, min(_SAMPLED, len(pictures))).astype(int))):
        try:
            shapes = {channel: read_plane(path).shape for channel, path in pictures[number].items()}
        except ImageFileError as error:
            problems.append(str(error))
            continue
        if len(set(shapes.values())) > 1:
            problems.append(
                f"{next(iter(pictures[number].values())).name}: channels of different shapes {shapes}"
            )
    return problems


def _check_labelled(folder: Path) -> Report:
    report = Report(counts={"archives": 0, "cells": 0})
    classes: Counter[str] = Counter()
    for name in _CHONG:
        path = next(iter(sorted(folder.rglob(name))), None)
        if path is None:
            report.missing.append(f"{name}: not in {folder} or its subfolders")
            continue
        report.counts["archives"] += 1
        _check_hdf5(path, report, classes)
    if report.counts["archives"] == 0:
        packed = next(iter(sorted(folder.rglob("DeepLoc_full_datasets.zip"))), None)
        report.problems.append(
            f"no unpacked archive: unzip {packed}" if packed else f"none of {', '.join(_CHONG)}"
        )
        return report
    report.counts |= {f"class {name}": n for name, n in sorted(classes.items())}
    if report.counts["cells"] != _CHONG_CELLS:
        report.missing.append(f"cells: {report.counts['cells']:,} here, {_CHONG_CELLS:,} in the paper")
    return report


def _check_hdf5(path: Path, report: Report, classes: Counter[str]) -> None:
    import h5py

    try:
        with h5py.File(path, "r") as file:
            arrays = {key: array_of(file, key) for key in ("data1", "Index1", "Index1_columns")}
            absent = [key for key, array in arrays.items() if array is None]
            if absent:
                present = ", ".join(itertools.islice(file, _SHOWN))
                report.problems.append(f"{path.name}: no {', '.join(absent)} (it has {present})")
                return
            if "Info1" not in file or "Info1_columns" not in file:
                report.missing.append(f"{path.name}: no CellProfiler features (Info1, Info1_columns)")
            data: Any = arrays["data1"]
            shape, labels = data.shape, values_of(arrays["Index1"], most_bytes=_MAX_BYTES)
            names = texts_of(arrays["Index1_columns"], most=_MAX_CLASSES)
            sample = values_of(data, 0, 256, most_bytes=_MAX_BYTES)
    except Exception as error:  # h5py raises any kind of exception on damaged files
        report.problems.append(f"{path.name}: cannot be read ({error}); download and unpack it again")
        return
    if len(shape) != 2 or shape[1] != _CHONG_PIXELS:
        report.problems.append(f"{path.name}: data1 is {shape}, required (cells, {_CHONG_PIXELS})")
    elif labels.shape != (shape[0], len(names)):
        report.problems.append(
            f"{path.name}: Index1 is {labels.shape}, required ({shape[0]}, {len(names)}), one row per cell"
        )
    elif not (np.isin(labels, (0, 1)).all() and (labels.sum(axis=1) == 1).all()):
        report.problems.append(f"{path.name}: Index1 is not one-hot: each cell must have one class")
    elif not np.isfinite(sample).all():
        report.problems.append(f"{path.name}: data1 has NaN or infinite pixels")
    else:
        report.counts["cells"] += shape[0]
        classes.update(dict(zip(names, labels.sum(axis=0).astype(int).tolist(), strict=True)))


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
