"""The proposal: a spec for a folder, tried on its files before it is given."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from pcip_core.errors import ImageFileError, SpecError
from pcip_core.images.field import Field
from pcip_core.images.layout import scan
from pcip_core.images.localization import annotated_images
from pcip_core.images.proposal.arrangement import Arrangement
from pcip_core.images.proposal.benchmark import benchmark_of
from pcip_core.images.proposal.channels import Choice
from pcip_core.images.proposal.naming.words import structure_of
from pcip_core.images.proposal.scale import typical_diameter
from pcip_core.images.proposal.tables import describing
from pcip_core.images.proposal.writing import Plan, spec_text
from pcip_core.images.reading import Planes, read_field
from pcip_core.spec.loading import load_screen
from pcip_core.spec.screen import Screen
from pcip_core.spec.sections import Images
from pcip_core.spec.training import START_CHANNELS
from pcip_core.words import many

YEAST, HUMAN = "Saccharomyces cerevisiae", "Homo sapiens"
_CELL_UM, _NUCLEUS_UM = 5.0, 13.0  # of budding yeast; of a nucleus of cultured human cells
_DEFAULT_PX = {"yeast": 26.0, "nuclei": 40.0}
_BELIEVED = 2.5  # factor between the measured and the expected diameter
_SAMPLE = 6  # fields that are read
_FEW_IMAGES, _MANY_IMAGES = 40, 200
_PER_BUCKET = 200  # images


def likely_organism(choices: Sequence[Choice]) -> str:
    """Yeast if a marker fills the cells and none shows nuclei; otherwise human.

    >>> from pcip_core.images.proposal.channels import Candidate
    >>> likely_organism([Choice("rfp", "structural", Candidate("rfp"))])
    'Saccharomyces cerevisiae'
    >>> likely_organism([Choice("dapi", "structural", Candidate("w1"))])
    'Homo sapiens'
    """
    structures = {structure_of(choice.name) for choice in choices if choice.role == "structural"}
    human = structures & {"nucleus", "microtubules", "er", "mitochondria", "actin", "membrane", "rna"}
    return HUMAN if human and "cytosol" not in structures else YEAST


def propose(
    root: Path,
    arrangement: Arrangement,
    choices: Sequence[Choice],
    *,
    name: str,
    organism: str,
    shown_root: str | None = None,
    diameter_px: float | None = None,
) -> tuple[str, Screen]:
    """Write a spec and try it: the files are grouped by it, and some fields are read.

    Args:
        root: the folder of the images.
        arrangement: from `inspect_folder`.
        choices: from `chosen_channels`.
        name: of the screen.
        organism: decides, with the channels, how cells are found.
        shown_root: `root` as the spec shall name it; by default the absolute path.
        diameter_px: of a cell or nucleus, if the user knows it.

    Returns:
        The text of the spec, and the screen that it describes, whose root is absolute.

    Raises:
        PcipError: the files contradict the proposal, or no field of a sample can be read.
    """
    plan = Plan(name, organism, shown_root or str(root.resolve()))
    values: dict[str, str] = {}
    if arrangement.protein is not None and arrangement.protein != "{protein}":
        values["protein"] = arrangement.protein
    if arrangement.layout == "hdf5":
        values["localization"] = str(arrangement.protein)
    plan.images = Images(values=values)
    draft = _loaded(spec_text(plan, arrangement, choices), root)
    fields = scan(draft).fields
    plan.n_fields, plan.n_images = len(fields), len({member.image_id for member in fields})
    plan.buckets = max(1, min(64, plan.n_images // _PER_BUCKET))
    described = describing(draft, fields, arrangement.tables, plan.images.values)
    plan.images = described.images
    plan.notes += described.notes
    plan.benchmark = benchmark_of(annotated_images(replace(draft, images=plan.images), fields).records)
    sample = _read(draft, fields)
    _choose_segmentation(plan, arrangement, choices, sample, diameter_px)
    _choose_encoder(plan, choices)
    text = spec_text(plan, arrangement, choices)
    return text, _loaded(text, root)


def _loaded(text: str, root: Path) -> Screen:
    """The screen that the text of a spec describes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "proposal.yaml"
        path.write_text(text, encoding="utf-8")
        try:
            return load_screen(path, root=str(root.resolve()))
        except SpecError as error:
            raise SpecError(
                f"the spec that was proposed for {root}",
                found=error.found,
                required=error.required,
                remedy="Name the files with --pattern, or write the spec by hand (docs/how-to/bring-a-screen.md).",
            ) from error


def _read(screen: Screen, fields: Sequence[Field]) -> list[Planes]:
    """Some fields, of different images.

    Raises:
        ImageFileError: none of them can be read.
    """
    step = max(1, len(fields) // _SAMPLE)
    chosen = list(fields[::step])[:_SAMPLE]
    sample: list[Planes] = []
    problems: list[ImageFileError] = []
    for member in chosen:
        try:
            sample.append(read_field(screen, member))
        except ImageFileError as problem:
            problems.append(problem)
    if not sample:
        first = problems[0]
        raise ImageFileError(
            first.where,
            found=f"{first.found}; none of {many(len(chosen), 'field')} of a sample can be read",
            required=first.required,
            remedy=first.remedy,
        )
    return sample


def _choose_segmentation(
    plan: Plan,
    arrangement: Arrangement,
    choices: Sequence[Choice],
    sample: Sequence[Planes],
    diameter_px: float | None,
) -> None:
    """Choose the method, its channel and diameter, and the window of the crops."""
    side = min(min(planes.shape) for planes in sample)
    structural = [choice.name for choice in choices if choice.role == "structural"]
    if arrangement.cells:
        plan.method = "whole"
        plan.diameter = f"the images are cropped cells of at most {max(max(p.shape) for p in sample)} px"
        return
    if (arrangement.masks or arrangement.contents.labels) and diameter_px is None:
        plan.method, plan.options = "labels", {"channel": "mask" if arrangement.masks else "cells"}
        diameter = typical_diameter([planes[structural[0]] for planes in sample])
        plan.diameter = "label images of another program; the window from the size of cells"
        plan.window_px = _window(diameter or _DEFAULT_PX["yeast"], 2.5, side)
        return
    yeast = any(word in plan.organism.lower() for word in ("yeast", "saccharomyces", "pombe", "candida"))
    plan.method, channel = _method(structural, yeast=yeast)
    of_cells = plan.method.startswith("yeast")
    pixel = arrangement.contents.pixel_um
    expected = (_CELL_UM if of_cells else _CELL_UM / 2 if yeast else _NUCLEUS_UM) / pixel if pixel else None
    measured = None if diameter_px else typical_diameter([planes[channel] for planes in sample])
    diameter, plan.diameter = _diameter(diameter_px, measured, expected, "yeast" if of_cells else "nuclei")
    plan.options = {"channel": channel, "diameter_px": round(diameter)}
    area = np.pi / 4 * diameter**2
    usual = 150 if of_cells else 400
    if 0.3 * area < 0.7 * usual:  # the default fits larger objects
        plan.options["min_area_px"] = max(5, round(0.3 * area))
    plan.window_px = _window(diameter, 2.5, side)
    plan.area_fraction = (0.03, 0.95)


def _method(structural: Sequence[str], *, yeast: bool) -> tuple[str, str]:
    """The segmentation method, and its channel.

    >>> _method(["tubulin", "dapi"], yeast=False), _method(["dapi", "mcherry"], yeast=True)
    (('nuclei', 'dapi'), ('yeast_cytosol', 'mcherry'))
    """
    shows = {name: structure_of(name) for name in structural}
    nuclei = [name for name, what in shows.items() if what == "nucleus" or name.startswith("nucleus")]
    if yeast:
        for method, wanted in (
            ("yeast_cytosol", "cytosol"),
            ("yeast_brightfield", "brightfield"),
            ("yeast_nuclear_pore", "nuclear_pore"),
        ):
            if channel := next((name for name, what in shows.items() if what == wanted), None):
                return method, channel
        others = [name for name in structural if name not in nuclei]
        return ("yeast_cytosol", others[0]) if others else ("nuclei", nuclei[0])
    return "nuclei", (nuclei or structural)[0]


def _diameter(
    given: float | None, measured: float | None, expected: float | None, kind: str
) -> tuple[float, str]:
    """The diameter, and where it comes from."""
    if given:
        return given, "as given"
    if expected is not None:
        if measured is None or not 1 / _BELIEVED < measured / expected < _BELIEVED:
            return expected, "usual size, by the size of a pixel in the files"
        return (
            measured,
            f"measured in the images; about {expected:.0f} px by the size of a pixel in the files",
        )
    if measured is not None:
        return measured, "measured in the images"
    return _DEFAULT_PX[kind], "a guess: nothing could be measured"


def _window(diameter: float, factor: float, side: int) -> int:
    """The side of the crop window, a multiple of 4, that fits into a field."""
    return max(8, min(round(diameter * factor / 4) * 4, side // 4 * 4))


def _choose_encoder(plan: Plan, choices: Sequence[Choice]) -> None:
    """Start from an encoder of simulated cells if there are few images and it knows one of the channels."""
    names = {choice.name for choice in choices if choice.role == "structural"}
    start = "simulated_yeast" if "yeast" in plan.method else "simulated_human"
    if plan.n_images < _MANY_IMAGES and names & set(START_CHANNELS[start]):
        epochs = ", epochs: 0" if plan.n_images < _FEW_IMAGES else ""
        plan.encoder = f"{{recipe: small_screen, start: {start}{epochs}}}"
