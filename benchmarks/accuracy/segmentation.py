"""Segmented cells against reference cells: published masks of real fields, the truth of simulated fields."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tifffile
from imagecodecs import png_decode
from imageio.v3 import imread
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.filters import threshold_otsu
from skimage.measure import label
from skimage.segmentation import clear_border, watershed

from benchmarks.common.harness import Row
from pcip_core.images.layout import scan
from pcip_core.images.reading import read_field
from pcip_core.segmentation import segmenter
from pcip_core.segmentation.ellipses import likeness, moments
from pcip_core.segmentation.matching import centres, crowded, matched, overlaps
from pcip_core.segmentation.otsu import keep_objects
from pcip_core.simulate import human
from pcip_core.simulate.optics import expose, illumination
from pcip_core.simulate.plan import keyed_rng, plan_screen
from pcip_core.simulate.screen import photograph, true_labels
from pcip_core.spec.loading import load_screen
from pcip_core.spec.simulation import Simulation
from pcip_core.spec.templates import TEMPLATES

DESCRIPTION = "recall, precision, split cells and speed of segmentation on real and simulated fields"
SECONDS = 200
LONG = True
REAL = Path(__file__).resolve().parents[3] / "shared" / "data"
POPULATED, EMPTY = ("r01c01f01", "r01c01f02", "r01c01f04"), ("r02c01f01", "r02c01f02")
WITHIN_PX = 10.0  # of a cell's centre
EDGE_PX = 3  # an object that comes closer to the border touches it
HPA_BY_EYE = 11  # whole nuclei of human_fields/hpa/57_F11_1; two more are cut by the border
OVERLAP = 0.5  # intersection over union above which two objects are the same
SMALLEST_PX = 400  # smaller pieces of the atlas's nuclei are fragments

Fields = Iterator[tuple[np.ndarray, np.ndarray, dict[int, tuple[float, float]]]]


def run() -> list[Row]:
    """All rows; those of real images say so where these are not here."""
    return [*real_yeast(), *real_nuclei(), *atlas_nuclei(), *simulated()]


def otsu_watershed(plane: np.ndarray) -> np.ndarray:
    """The peer: Otsu's threshold and a watershed of the distance to the background, in ten lines."""
    plane = ndimage.gaussian_filter(plane.astype(np.float32), 1.0)
    mask = plane > threshold_otsu(plane)
    depth = ndimage.distance_transform_edt(mask)
    peaks = peak_local_max(depth, min_distance=5, labels=ndimage.label(mask)[0])
    markers = np.zeros(mask.shape, np.int32)
    markers[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    return keep_objects(clear_border(watershed(-depth, markers, mask=mask)), 1)


def real_yeast() -> list[Row]:
    """The cytosol channel of real fields against the masks of the images' authors."""
    folder = REAL / "yeast_fields"
    if not folder.is_dir():
        return [Row(f"real yeast fields: not here ({folder})", None)]

    def ours(plane: np.ndarray) -> np.ndarray:
        return segmenter("yeast_cytosol")({"cytosol": plane}, channel="cytosol")

    methods = {"yeast_cytosol": ours, "Otsu + distance watershed": otsu_watershed}
    hits: dict[str, list[np.ndarray]] = {name: [] for name in methods}
    objects, empty, seconds = dict.fromkeys(methods, 0), dict.fromkeys(methods, 0), []
    single = []
    for field in POPULATED:
        plane, masks = _field(folder, field)
        theirs, quality = _whole_cells(masks)
        single.append(quality >= 0.9)  # two discs that touch have 0.89
        for name, method in methods.items():
            began = time.perf_counter()
            labels = method(plane)
            if method is ours:
                seconds.append(time.perf_counter() - began)
            found = centres(labels)
            objects[name] += len(found)
            apart = np.hypot(*(theirs[:, None] - found[None]).transpose(2, 0, 1))
            hits[name].append(apart.min(1) <= WITHIN_PX)
    for field in EMPTY:
        for name, method in methods.items():
            empty[name] += int(method(_field(folder, field)[0]).max())
    one, all_hits = np.concatenate(single), {name: np.concatenate(hit) for name, hit in hits.items()}
    rows = []
    for what, chosen in (
        ("all the authors' objects but those at the border", np.ones(len(one), bool)),
        ("those of them that are one ellipse (the others join cells)", one),
    ):
        value, peer = (float(all_hits[name][chosen].mean()) for name in methods)
        what = f"yeast_cytosol, real: share with a centre within {WITHIN_PX:g} px, {what}"
        rows.append(_row(what, value, peer, n=int(chosen.sum()), aim=">= 0.95 and above the peer's",
                         held=value >= 0.95 and value > peer))  # fmt: skip
    pieces = [objects[name] / len(one) for name in methods]
    rows += [
        _row("yeast_cytosol, real: objects for one of the authors'", *pieces, n=len(one),
             aim="below the peer's", held=pieces[0] < pieces[1]),
        _row("yeast_cytosol, real: cells in two empty fields", *empty.values(), n=2, aim="0",
             held=empty["yeast_cytosol"] == 0),
        Row("yeast_cytosol, real: time for a field of 1080 x 1080 px", 1000 * float(np.median(seconds)), "ms",
            n=len(seconds), spread=(1000 * min(seconds), 1000 * max(seconds)), aim="< 1000 ms",
            held=float(np.median(seconds)) < 1),
        Row("yeast_cytosol, real: precision (judged by eye on drawn windows: docs/reference/segmentation.md)", None),
    ]  # fmt: skip
    return rows


def real_nuclei() -> list[Row]:
    """One field of the Human Protein Atlas, whose nuclei were counted by eye."""
    file = REAL / "human_fields" / "hpa" / "57_F11_1_blue.png"
    if not file.is_file():
        return [Row(f"real human field: not here ({file})", None)]
    planes = {"nucleus": imread(file)}
    rows = []
    for method, options in (("otsu", {}), ("nuclei", {"diameter_px": 160.0})):
        began = time.perf_counter()
        found = int(segmenter(method)(planes, channel="nucleus", **options).max())
        taken = 1000 * (time.perf_counter() - began)
        rows += [
            Row(f"{method}, real: objects in a field of nuclei", found, against="whole nuclei by eye",
                against_value=HPA_BY_EYE, ratio=found / HPA_BY_EYE),
            Row(f"{method}, real: time for a field of 1728 x 1728 px", taken, "ms"),
        ]  # fmt: skip
    return rows


def atlas_nuclei() -> list[Row]:
    """Nuclei against the atlas's own segmentation, in the fields of the spec `human_antibodies`.

    The atlas numbers cells, and its second plane says which part of a cell a pixel is (1: nucleus, 4: outline). A
    nucleus is a connected part 1 of one cell, so like is compared with like: nuclei with nuclei. The atlas leaves out
    whole cells, most of them near the border, so precision is given twice: of all objects, and of those of which
    more than half lies in cells of the atlas. pcip cuts a window around a nucleus and outlines no cell: of cells, it
    is counted how many hold the centre of exactly one of our nuclei.
    """
    root = REAL / "human_antibodies"
    if not root.is_dir():
        return [Row(f"atlas fields: not here ({root})", None)]
    screen = load_screen(TEMPLATES["human_antibodies"], root=str(root))
    settings = {
        screen.segmentation.method: screen.segmentation.options,
        "otsu": {"channel": "nucleus", "smooth_px": 20, "scale": 8},  # of the atlas's shipped specs
    }
    counts = {method: np.zeros(7, int) for method in settings}
    fields = scan(screen).fields
    for field in fields:
        planes = read_field(screen, field)
        (path,) = (root / "fields" / field.image_id).glob("*_segmentation.png")
        cells, part = png_decode(path.read_bytes()).transpose(2, 0, 1)
        nuclei = keep_objects(label(np.where(part == 1, cells, 0), connectivity=1), SMALLEST_PX)
        for method, options in settings.items():
            ours = segmenter(method)(planes, **options)
            counts[method] += _compared(nuclei, cells, part > 0, ours)
    ours, peer = (counts[method].tolist() for method in settings)
    method = screen.segmentation.method
    return [
        Row(f"{method}, atlas fields: {what}", ours[part] / ours[of], against="otsu", n=ours[of],
            against_value=peer[part] / peer[of], ratio=ours[part] / ours[of] * peer[of] / peer[part])
        for what, part, of in (
            (f"recall of the atlas's nuclei, IoU above {OVERLAP:g}", 1, 0),
            (f"precision, IoU above {OVERLAP:g}", 1, 2),
            (f"precision of objects in cells of the atlas, IoU above {OVERLAP:g}", 1, 3),
            ("atlas's cells with the centre of exactly one object", 5, 4),
            ("atlas's cells with the centre of at least one object", 6, 4),
        )
    ]  # fmt: skip


def _compared(nuclei: np.ndarray, cells: np.ndarray, inside: np.ndarray, ours: np.ndarray) -> np.ndarray:
    """Numbers of true nuclei, those found, our objects, those inside, true cells, with one object, with any."""
    share = ndimage.mean(inside, ours, range(1, int(ours.max()) + 1)) if ours.max() else np.zeros(0)
    in_cell = cells[tuple(np.rint(centres(ours)).astype(int).T)]
    numbers = np.unique(cells[cells > 0])
    held = np.bincount(in_cell, minlength=int(cells.max()) + 1)[numbers]
    hits = int((overlaps(nuclei, ours) > OVERLAP).sum())  # more than half: each has at most one partner
    found = [int(nuclei.max()), hits, int(ours.max()), int((share > 0.5).sum())]
    return np.array([*found, len(numbers), int((held == 1).sum()), int((held > 0).sum())])


def simulated() -> list[Row]:
    """Every method against the simulator's truth, one to one, cells at the border left out."""
    rows = []
    for marker in ("cytosol", "brightfield", "nuclear_pore"):
        rows += _scored(f"yeast_{marker}", f"simulated yeast, {marker}", _yeast_fields(marker), {})
    for method, options in (("otsu", {}), ("nuclei", {})):
        rows += _scored(method, "simulated human nuclei", _human_fields(), options)
        rows += _scored(
            method, "simulated human nuclei with a twin that touches", _human_fields(twin_px=42.0), options
        )
    return rows


def _scored(method: str, what: str, fields: Fields, options: dict) -> list[Row]:
    """Recall and precision of cells that stand alone and of those in clumps (another within 3 px)."""
    true, hit, found, right = (np.zeros(2, int) for _ in range(4))
    seconds = []
    for plane, truth, places in fields:
        began = time.perf_counter()
        labels = segmenter(method)({"marker": plane}, channel="marker", **options)
        seconds.append(time.perf_counter() - began)
        theirs, ours = np.array(list(places.values())), centres(labels)
        on = truth[tuple(np.rint(ours).astype(int).T)]
        ours = ours[(on == 0) | np.isin(on, list(places))]  # what may be found or left out
        clump = crowded(truth)[list(places)].astype(int)
        whole = ~np.isin(list(places), _at_border(truth))
        rows, columns = matched(theirs, ours, WITHIN_PX)
        apart = np.hypot(*(theirs[:, None] - ours[None]).transpose(2, 0, 1))
        owner = apart.argmin(0)  # of an object too many: the nearest cell
        owner[columns] = rows
        for kind in (0, 1):
            chosen = whole & (clump == kind)
            true[kind] += chosen.sum()
            hit[kind] += chosen[rows].sum()
            found[kind] += chosen[owner].sum()
            right[kind] += chosen[owner[columns]].sum()
    out = []
    for kind, name, aim in ((0, "alone", 0.97), (1, "in clumps", 0.90)):
        if true[kind] == 0:
            continue
        for measure, part, of in (("recall", hit, true), ("precision", right, found)):
            value = float(part[kind] / max(of[kind], 1))
            out.append(Row(f"{method}, {what}: {measure} of cells {name}", value, n=int(of[kind]),
                           aim=f">= {aim:.2f}", held=value >= aim))  # fmt: skip
    side, taken = len(plane), 1000 * np.array(seconds)
    out.append(Row(f"{method}, {what}: time for a field of {side} x {side} px", float(np.median(taken)), "ms",
                   n=len(taken), spread=(float(taken.min()), float(taken.max()))))  # fmt: skip
    return out


def _yeast_fields(marker: str) -> Fields:
    simulation = Simulation("yeast", field_size_px=700, marker=marker)
    for image in plan_screen(simulation)[::5]:  # both strains, all plates
        planes, truth = photograph(simulation, image, 1)
        places = {row["cell_number"]: (row["y_px"], row["x_px"]) for row in truth}
        yield planes[marker], true_labels(simulation, image, 1), places


def _human_fields(twin_px: float = 0.0) -> Fields:
    """Nuclei of simulated fields; with a twin, each a second time, so many px aside."""
    simulation = Simulation("human")
    for image in plan_screen(simulation)[::6]:
        light, _ = human.draw_field(simulation, image, 1)
        labels, plane = true_labels(simulation, image, 1), light["nucleus"]
        rng = keyed_rng(simulation, image.number, "benchmark")
        if twin_px:
            angle = rng.uniform(0, np.pi)
            aside = np.rint(twin_px * np.array([np.sin(angle), np.cos(angle)])).astype(int)
            twin = ndimage.shift(labels, aside, order=0)
            labels = np.where(twin > 0, twin + labels.max(), labels)
            plane = np.maximum(plane, ndimage.shift(plane, aside, order=0))
        lamp = illumination(rng, simulation.field_size_px)
        picture = expose(rng, plane, lamp, photons=900.0, background=0.04, blur_px=image.focus)
        numbers = (
            np.flatnonzero(np.bincount(labels.ravel())[1:] >= 400) + 1
        )  # smaller ones are to be left out
        middles = ndimage.center_of_mass(labels > 0, labels, numbers)
        yield picture, labels, dict(zip(numbers.tolist(), middles, strict=True))


def _field(folder: Path, field: str) -> tuple[np.ndarray, np.ndarray]:
    plane = tifffile.imread(folder / "images" / f"{field}p01-ch3sk1fk1fl1.tiff")
    return plane, tifffile.imread(folder / "masks" / f"{field}p01_labeled.tiff").astype(np.int32)


def _whole_cells(masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centres (n, 2) of the authors' objects away from the border, and how much each is an ellipse (n,)."""
    masks = keep_objects(masks, 1)
    keep = np.setdiff1d(np.arange(1, masks.max() + 1), _at_border(masks))
    return centres(masks)[keep - 1], likeness(moments(masks, int(masks.max())))[keep]


def _at_border(labels: np.ndarray) -> np.ndarray:
    """Labels of the objects that touch the border."""
    inner = np.zeros(labels.shape, bool)
    inner[EDGE_PX:-EDGE_PX, EDGE_PX:-EDGE_PX] = True
    return np.setdiff1d(labels[~inner], 0)


def _row(what: str, value: float, peer: float, *, n: int, aim: str, held: bool) -> Row:
    """A figure beside the peer's."""
    ratio = value / peer if peer else None
    return Row(
        what,
        value,
        against="Otsu + distance watershed",
        against_value=peer,
        ratio=ratio,
        n=n,
        aim=aim,
        held=held,
    )
