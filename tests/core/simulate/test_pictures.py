"""The simulated images agree with the truth, measured from pixels alone.

Cells are drawn from the number of the image, so two images with the same number show the same cells for any protein:
the mask of one image gives the compartments of the other.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy import ndimage, stats
from skimage.filters import threshold_otsu
from skimage.measure import label, regionprops

from pcip_core.simulate import human, yeast
from pcip_core.simulate.optics import expose, illumination
from pcip_core.simulate.plan import CELL_LINES, CLASSES, PlannedImage, plan_screen
from pcip_core.spec.simulation import Simulation

DRAW = {"human": human.draw_field, "yeast": yeast.draw_field}
SIMULATION = {
    "human": Simulation("human", field_size_px=400),
    "yeast": Simulation("yeast", field_size_px=240),
}
FIELDS = (1, 2)


def image_of(organism: str, fractions: dict[str, float], **changes: object) -> PlannedImage:
    """The first image of the screen with another protein, of which only 2 % is diffuse."""
    first = plan_screen(SIMULATION[organism])[0]
    return replace(first, fractions=fractions, leak=0.02, **changes)


@cache
def light_of(organism: str, name: str) -> dict[str, np.ndarray]:
    """Both fields of a protein in one compartment, side by side."""
    image = image_of(organism, {name: 1.0})
    fields = [DRAW[organism](SIMULATION[organism], image, field)[0] for field in FIELDS]
    return {channel: np.hstack([light[channel] for light in fields]) for channel in fields[0]}


def share_in(organism: str, name: str, mask: np.ndarray) -> float:
    """Share of the light of a protein within a mask."""
    light = light_of(organism, name)["protein"]
    return float(light[mask].sum() / light.sum())


def mask_of(light: np.ndarray, share: float = 0.3) -> np.ndarray:
    return light > share * np.percentile(light, 99.5)


def rim(mask: np.ndarray, width: float) -> np.ndarray:
    """Pixels within `width` of the outline of a mask, on both sides."""
    return (ndimage.distance_transform_edt(mask) <= width) & (ndimage.distance_transform_edt(~mask) <= width)


NUCLEAR = ("Nucleoplasm", "Nucleoli", "Nuclear speckles")
CYTOPLASMIC = (
    "Cytosol", "Endoplasmic reticulum", "Mitochondria", "Golgi apparatus", "Plasma membrane", "Vesicles",
    "Microtubules",
)  # fmt: skip


def test_human_nuclear_proteins_lie_in_the_nuclear_mask_and_others_outside() -> None:
    nuclei = mask_of(light_of("human", "Cytosol")["nucleus"])
    nuclei = ndimage.binary_dilation(nuclei)
    assert 0.02 < nuclei.mean() < 0.2
    shares = {name: share_in("human", name, nuclei) for name in CLASSES["human"]}
    assert all(shares[name] > 0.8 for name in NUCLEAR), shares
    assert all(shares[name] < 0.2 for name in CYTOPLASMIC), shares
    around = rim(mask_of(light_of("human", "Cytosol")["nucleus"]), 4)
    assert share_in("human", "Nuclear membrane", around) > 0.6
    assert share_in("human", "Nuclear membrane", around) > 1.5 * share_in("human", "Nucleoplasm", around)


def test_human_proteins_are_near_their_structure() -> None:
    tubulin = light_of("human", "Cytosol")["microtubules"].ravel()
    correlation = {
        name: np.corrcoef(light_of("human", name)["protein"].ravel(), tubulin)[0, 1] for name in CYTOPLASMIC
    }
    assert max(correlation, key=lambda name: correlation[name]) == "Microtubules"
    body = ndimage.binary_fill_holes(light_of("human", "Plasma membrane")["protein"] > 0.02)
    inner = ndimage.distance_transform_edt(body)
    mean_depth = {
        name: float((inner * light).sum() / light.sum())
        for name in ("Plasma membrane", "Golgi apparatus", "Endoplasmic reticulum")
        for light in [light_of("human", name)["protein"]]
    }
    assert mean_depth["Plasma membrane"] < mean_depth["Endoplasmic reticulum"]
    area = {name: 1 / concentration(light_of("human", name)["protein"]) for name in CYTOPLASMIC}
    assert area["Golgi apparatus"] < 0.5 * area["Cytosol"]


def concentration(light: np.ndarray) -> float:
    """Inverse of the effective number of pixels that the light covers."""
    share = light / light.sum()
    return float((share**2).sum())


def contrast(values: np.ndarray, mask: np.ndarray, within: np.ndarray) -> float:
    """Ratio of the values inside and just outside each object of a mask: the median over the objects."""
    objects = label(ndimage.binary_dilation(mask, iterations=2))
    inside, outside = ndimage.binary_erosion(mask, iterations=2), (objects > 0) & ~mask & within
    numbers = np.intersect1d(objects[inside], objects[outside])
    assert len(numbers) > 10
    inner, outer = (ndimage.median(values, objects * where, numbers) for where in (inside, outside))
    return float(np.median(np.divide(inner, outer)))


def test_yeast_proteins_are_in_their_compartment() -> None:
    cell = mask_of(light_of("yeast", "Nucleus")["cytosol"], 0.15)
    nucleus = ndimage.binary_dilation(mask_of(light_of("yeast", "Nucleus")["protein"]))
    vacuole = ndimage.binary_dilation(mask_of(light_of("yeast", "Vacuole")["protein"]))
    assert 0.03 < nucleus[cell].mean() < 0.25
    assert 0.03 < vacuole[cell].mean() < 0.4
    for name in CLASSES["yeast"]:
        assert share_in("yeast", name, ndimage.binary_dilation(cell, iterations=2)) > 0.97, name
    inside = {name: share_in("yeast", name, nucleus) for name in CLASSES["yeast"]}
    assert inside["Nucleus"] > 0.8
    assert inside["Nucleolus"] > 0.85
    assert all(inside[name] < 0.2 for name in ("Vacuole", "Cell periphery", "Mitochondria")), inside
    both = light_of("yeast", "Cytoplasm")
    relative = both["protein"] / np.maximum(both["cytosol"], 1e-3)  # thicker cells are brighter in both
    assert contrast(relative, nucleus, cell & ~vacuole) < 0.85
    assert contrast(relative, vacuole, cell & ~nucleus) < 0.85
    assert share_in("yeast", "Nuclear periphery", rim(nucleus, 3)) > 0.6
    assert share_in("yeast", "Vacuole", vacuole) > 0.8
    assert share_in("yeast", "Vacuolar membrane", rim(vacuole, 3)) > 0.6
    edge = rim(cell, 3)
    assert share_in("yeast", "Cell periphery", edge) > 0.6
    assert share_in("yeast", "Cell periphery", edge) > 2 * share_in("yeast", "Cytoplasm", edge)
    assert concentration(light_of("yeast", "Punctate")["protein"]) > 3 * concentration(
        light_of("yeast", "Cytoplasm")["protein"]
    )


def test_the_marker_is_dark_in_the_vacuole() -> None:
    """The two channels share only the cell."""
    marker = light_of("yeast", "Vacuole")["cytosol"]
    cell = mask_of(marker, 0.15)
    vacuole = mask_of(light_of("yeast", "Vacuole")["protein"], 0.5)
    around = (
        ndimage.binary_dilation(vacuole, iterations=4)
        & cell
        & ~ndimage.binary_dilation(vacuole, iterations=2)
    )
    assert marker[vacuole & cell].mean() < 0.8 * marker[around].mean()


@pytest.mark.parametrize(
    ("organism", "first", "second"),
    [
        ("human", "Nucleoplasm", "Cytosol"),
        ("human", "Plasma membrane", "Nuclear membrane"),
        ("yeast", "Nucleus", "Cell periphery"),
        ("yeast", "Vacuole", "Cytoplasm"),
    ],
)
@pytest.mark.parametrize("share", [0.25, 0.5])
def test_mixed_fractions_are_recovered_from_the_pixels(
    organism: str, first: str, second: str, share: float
) -> None:
    """The image of a mixed protein is the sum of the pure images, weighted by the true fractions."""
    image = image_of(organism, {first: 1 - share, second: share}, kind="mixed")
    drawn = [DRAW[organism](SIMULATION[organism], image, field) for field in FIELDS]
    mixed = np.hstack([light["protein"] for light, _ in drawn])
    pure = [ndimage.gaussian_filter(light_of(organism, name)["protein"], 3) for name in (first, second)]
    wanted = ndimage.gaussian_filter(mixed, 3)
    design = np.stack([image.ravel() for image in pure], 1)
    fractions, *_ = np.linalg.lstsq(design, wanted.ravel(), rcond=None)
    assert fractions == pytest.approx([1 - share, share], abs=0.05)
    states = {row["state"] for _, truth in drawn for row in truth}
    assert states == {f"{first}={1 - share:g};{second}={share:g}"}


@pytest.mark.parametrize(
    ("organism", "first", "second"),
    [("human", "Cytosol", "Nucleoplasm"), ("yeast", "Cell periphery", "Nucleus")],
)
def test_each_cell_of_a_variable_protein_shows_its_true_state(organism: str, first: str, second: str) -> None:
    image = image_of(organism, {first: 0.6, second: 0.4}, kind="variable", rate=0.4)
    where = "nucleus" if organism == "human" else "protein"
    pure = image_of(organism, {"Cytosol" if organism == "human" else "Nucleus": 1.0})
    half = 34 if organism == "human" else 14
    right, cells = 0, 0
    for field in (1, 2, 3):
        light, truth = DRAW[organism](SIMULATION[organism], image, field)
        nuclei = mask_of(DRAW[organism](SIMULATION[organism], pure, field)[0][where])
        labels = label(nuclei)
        reach = ndimage.binary_dilation(nuclei, iterations=9) & ~ndimage.binary_dilation(nuclei, iterations=3)
        for row in truth:
            y, x = int(row["y_px"]), int(row["x_px"])
            near = (slice(max(0, y - half), y + half + 1), slice(max(0, x - half), x + half + 1))
            if not labels[near].any() or row["stage"] == "M":
                continue
            inside = light["protein"][near][nuclei[near]].mean()
            outside = light["protein"][near][reach[near]].mean()
            cells += 1
            right += (inside > 2 * outside) == (row["state"] == f"{second}=1")
    assert cells > 15
    assert right >= 0.9 * cells  # a neighbour may lie in the window


@pytest.mark.parametrize("organism", CLASSES)
def test_variable_rates(organism: str) -> None:
    """Chi-square test over all proteins: the number of cells in the second state is binomial with the true rate."""
    simulation = replace(SIMULATION[organism], variable_proteins=12)
    variable = [image for image in plan_screen(simulation) if image.kind == "variable"]
    assert len(variable) == 12
    chi_square = 0.0
    for image in variable:
        states = [
            row["state"] for field in FIELDS for row in DRAW[organism](simulation, image, field)[1]
        ]  # fmt: skip
        second = list(image.fractions)[1]
        n, hits = len(states), states.count(f"{second}=1")
        assert n >= 8
        chi_square += (hits - n * image.rate) ** 2 / (n * image.rate * (1 - image.rate))
    assert 0.001 < stats.chi2.cdf(chi_square, len(variable)) < 0.999


def elongation(organism: str, line: str) -> float:
    """Median ratio of the axes of nuclei (human) or of round, single cells (yeast)."""
    channel = "nucleus" if organism == "human" else "cytosol"
    ratios: list[float] = []
    for number in range(4 if organism == "human" else 18):
        image = replace(image_of(organism, {CLASSES[organism][0]: 1.0}), cell_line=line, number=number)
        light, truth = DRAW[organism](SIMULATION[organism], image, 1)
        smooth = ndimage.gaussian_filter(light[channel], 1.5)
        labels = label(ndimage.binary_fill_holes(smooth > 0.6 * threshold_otsu(smooth)))
        regions = regionprops(labels)
        budded = {
            labels[int(row["y_px"]), int(row["x_px"])]
            for row in truth
            if row["stage"] not in ("unbudded", "G1")
        }
        areas = np.median([region.area for region in regions])
        ratios += [
            region.axis_major_length / region.axis_minor_length
            for region in regions
            if region.solidity > 0.93 and 0.4 * areas < region.area < 2 * areas and region.label not in budded
            and min(region.bbox[:2]) > 0 and max(region.bbox[2:]) < len(labels)
        ]  # fmt: skip
    assert len(ratios) >= 6
    return float(np.median(ratios))


@pytest.mark.parametrize("organism", CLASSES)
def test_the_two_cell_lines_differ_in_shape(organism: str) -> None:
    round_ratio, long_ratio = (elongation(organism, line) for line in CELL_LINES[organism])
    assert 1.0 <= round_ratio < 1.25
    assert long_ratio > round_ratio + 0.15


def test_the_camera_counts_photons() -> None:
    """Noise grows as the square root of the light, above an offset, and counts fit 16 bits."""
    rng = np.random.default_rng(0)
    light = np.ones((128, 128), np.float32)
    flat = np.ones_like(light)
    lit = expose(rng, light, flat, photons=400.0, background=0.0, blur_px=1.0).astype(float)
    dark = expose(rng, light * 0, flat, photons=400.0, background=0.0, blur_px=1.0).astype(float)
    assert dark.mean() == pytest.approx(120, abs=1)
    signal = lit.mean() - dark.mean()
    expected = 400 * 1.12  # the haze of a flat field adds 0.12
    assert lit.std() / signal == pytest.approx(expected**-0.5, rel=0.1)
    bright = expose(rng, light, flat, photons=1e7, background=0.0, blur_px=1.0)
    assert bright.max() == 65535
    lamp = illumination(np.random.default_rng(1), 64)
    assert lamp.shape == (64, 64)
    assert 0.5 < lamp.min() < lamp.max() <= 1
