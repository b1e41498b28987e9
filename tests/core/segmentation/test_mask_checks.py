"""Label images of other programs: what is damaged is refused, what is unusual is warned of, and remedies work."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from skimage.transform import resize

from pcip_core.crops.sample import Sampler
from pcip_core.crops.shard import cut_field, cut_shard
from pcip_core.errors import ImageFileError
from pcip_core.images.layout import scan
from pcip_core.segmentation.mask_checks import count_labels, renumbered
from pcip_core.spec.loading import load_screen
from pcip_core.spec.screen import Screen
from tests.conftest import real_folder, write_spec
from tests.core.segmentation.small import masked_screen

SIDE, CELLS, RADIUS = 200, 24, 8


def scattered(seed: int) -> np.ndarray:
    """Labels of round cells at random places, three of which touch: (H, W) uint16, 1..24."""
    rng, places = np.random.default_rng(seed), [(60, 60), (60, 76), (60, 92)]
    while len(places) < CELLS:
        y, x = rng.integers(RADIUS + 8, SIDE - RADIUS - 8, 2)
        if all(np.hypot(y - other[0], x - other[1]) > 2 * RADIUS + 3 for other in places):
            places.append((y, x))
    grid = np.mgrid[:SIDE, :SIDE]
    mask = np.zeros((SIDE, SIDE), np.uint16)
    for number, (y, x) in enumerate(places, 1):
        mask[np.hypot(grid[0] - y, grid[1] - x) <= RADIUS] = number
    return mask


def write_field(root: Path, number: int, mask: np.ndarray, *, drawn: np.ndarray | None = None) -> None:
    """Write one field: cells where `drawn` has labels (by default the mask), and the label image."""
    root.mkdir(exist_ok=True)
    rng = np.random.default_rng(number)
    cells = (mask if drawn is None else drawn) > 0
    for name in ("nucleus", "protein"):
        plane = rng.normal(100, 5, cells.shape) + 800 * cells * rng.uniform(0.7, 1.3, cells.shape)
        tifffile.imwrite(root / f"p_A01_f{number}_{name}.tif", plane.astype(np.uint16))
    tifffile.imwrite(root / f"p_A01_f{number}_mask.tif", mask)


def labelled(folder: Path, **options: object) -> Screen:
    return masked_screen(folder, segmentation={"method": "labels", "options": {"channel": "mask", **options}})


def wrapped(mask: np.ndarray, numbers: int) -> np.ndarray:
    """Numbers that begin again after `numbers`."""
    return np.where(mask > 0, (mask.astype(int) - 1) % numbers + 1, 0).astype(np.uint8)


def jpeg(mask: np.ndarray) -> np.ndarray:
    stream = io.BytesIO()
    Image.fromarray((mask * 10).astype(np.uint8)).save(stream, "JPEG", quality=90)
    return np.asarray(Image.open(stream))


def interpolated(mask: np.ndarray) -> np.ndarray:
    half = resize(mask.astype(float), (SIDE // 2, SIDE // 2), order=1)
    return np.rint(resize(half, (SIDE, SIDE), order=1)).astype(np.uint16)


def test_pieces_are_counted_as_a_flood_fill_would() -> None:
    mask = np.zeros((12, 20), np.uint8)
    mask[1:4, 1:4] = mask[7:10, 1:4] = 9  # one number, two pieces
    mask[1:4, 8:11] = 200
    mask[4, 11] = 200  # touches at a corner
    mask[9, 18] = 255  # a speck
    counts = count_labels(mask)
    assert (counts.labels, counts.pieces, counts.thin, counts.surplus) == (3, 4, 1, 1)
    assert counts.exhausted
    assert counts.background
    assert counts.median_area == 10
    assert counts.largest == 18 / 240
    assert count_labels(np.zeros((5, 5), np.uint16)).labels == 0


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int64, np.uint64, np.float64])
def test_labels_are_renumbered_in_their_order(dtype: type) -> None:
    mask = np.array([[0, 40, 40], [7, 0, 99]], dtype)
    assert renumbered(mask).tolist() == [[0, 2, 2], [1, 0, 3]]
    assert renumbered(mask + 1).tolist() == [[1, 3, 3], [2, 1, 4]]  # without background
    if dtype in (np.int64, np.uint64, np.float64):
        assert renumbered(mask * 1_000_000).tolist() == [[0, 2, 2], [1, 0, 3]]


def test_wrapped_numbers_are_refused_and_both_remedies_work(tmp_path: Path) -> None:
    mask = scattered(0)
    write_field(tmp_path / "images", 1, wrapped(mask, 9), drawn=mask)
    screen = labelled(tmp_path)
    cells = cut_shard(screen, scan(screen).fields)
    assert cells.found == 0
    (file,) = cells.rejected
    assert file.what == "file"
    assert "p_A01_f1_mask.tif: found 9 labels in 24 separate pieces" in file.reason
    assert "set split: true in segmentation.options" in file.reason
    screen = labelled(tmp_path, split=True)
    split = cut_shard(screen, scan(screen).fields)
    assert split.found == CELLS  # touching cells have different numbers and stay apart
    write_field(tmp_path / "images", 1, mask)
    screen = labelled(tmp_path)
    whole = cut_shard(screen, scan(screen).fields)
    assert whole.found == CELLS
    places = [set(zip(each.columns["y_px"], each.columns["x_px"], strict=True)) for each in (whole, split)]
    assert places[0] == places[1]
    assert (whole.warnings, split.warnings) == ([], [])
    screen = labelled(tmp_path, split=False)
    write_field(tmp_path / "images", 1, wrapped(mask, 9), drawn=mask)
    assert cut_shard(screen, scan(screen).fields).found == 9


def test_numbers_that_use_up_their_type_are_refused_and_few_pieces_warned_of(tmp_path: Path) -> None:
    mask = scattered(0)
    some = np.where(mask > 21, mask - 20, mask)  # 3 of 21 labels have two pieces
    write_field(tmp_path / "images", 1, some, drawn=mask)
    screen = labelled(tmp_path)
    cells = cut_shard(screen, scan(screen).fields)
    assert cells.found == 21
    assert [text.split(": ", 1)[1] for text in cells.warnings] == [
        "21 labels in 24 separate pieces (split: true makes each piece a cell)"
    ]
    few = np.where(mask > 22, mask - 20, mask)
    write_field(tmp_path / "images", 1, few, drawn=mask)
    assert cut_shard(screen, scan(screen).fields).warnings == []
    clipped = np.where(mask > 21, 255, mask).astype(np.uint8)
    write_field(tmp_path / "images", 1, np.where(mask == 20, 255, clipped), drawn=mask)
    (file,) = cut_shard(screen, scan(screen).fields).rejected
    assert "in 24 separate pieces, and the highest number of its pixel type is used" in file.reason


@pytest.mark.parametrize("damage", [jpeg, interpolated])
def test_lossy_label_images_are_refused(tmp_path: Path, damage) -> None:
    mask = scattered(0)
    write_field(tmp_path / "images", 1, damage(mask), drawn=mask)
    for options in ({}, {"split": True}, {"split": False}):
        screen = labelled(tmp_path, **options)
        with pytest.raises(ImageFileError, match="rims or specks without a pixel inside"):
            cut_field(screen, scan(screen).fields[0])


def test_sizes_out_of_proportion_and_a_numbered_background_are_warned_of(tmp_path: Path) -> None:
    mask = scattered(0)

    def warnings(labels: np.ndarray, window: int) -> list[str]:
        write_field(tmp_path / "images", 1, labels, drawn=mask)
        screen = labelled(tmp_path)
        screen = replace(screen, crops=replace(screen.crops, window_px=window))
        warned = cut_field(screen, scan(screen).fields[0]).warnings
        return [text.split("mask.tif: ", 1)[1] for text in warned]

    area = int(np.median(np.bincount(mask.ravel())[1:]))
    assert warnings(mask, 32) == []
    assert warnings(mask, 6) == [
        f"labels have a median area of {area} px, {area / 36:.1f} times the crop window of 6 x 6 px"
    ]
    specks = np.where(np.arange(mask.size).reshape(mask.shape) % 3 == 0, mask, 0)  # not judged here
    assert count_labels(specks).thin > 0
    half = np.where(np.arange(SIDE)[:, None] < 0.6 * SIDE, 40, 0) * np.ones(SIDE, int)  # three sides only
    joined = np.where((mask > 0) & (half == 0), mask, half)
    assert warnings(joined, 90)[0].startswith(f"one of {len(np.unique(joined)) - 1} labels covers 60%")


def confluent(_: np.ndarray) -> np.ndarray:
    """One label over nearly the whole field."""
    mask = np.ones((SIDE, SIDE), np.uint8)
    mask[90:110, 80:100] = 0
    return mask


def inverted(mask: np.ndarray) -> np.ndarray:
    return np.where(mask > 0, 0, 255).astype(np.uint8)


def dense(mask: np.ndarray) -> np.ndarray:
    """Cells on most of the field, of which the mask has the background: less than half, from side to side."""
    grid = np.mgrid[:SIDE, :SIDE] % 40
    return ((grid[0] < 9) | (grid[1] < 9)).astype(np.uint8)


@pytest.mark.parametrize("split", [None, True])
@pytest.mark.parametrize(
    ("broken", "found"),
    [
        (lambda _: np.ones((SIDE, SIDE), np.uint16), "one label (1) that covers 100% .* no pixel is 0"),
        (confluent, r"one label \(1\) that covers 99% of the field from side to side;"),
        (inverted, "one label .255. that covers 88% of the field from side to side, and is darker"),
        (dense, "one label .1. that covers 40% of the field from side to side, and is darker"),
        (
            lambda mask: mask + 1,
            "label 1, one of 2., that covers 88% .* darker than the rest, and no pixel is 0",
        ),
    ],
)
def test_a_label_over_the_field_or_its_background_is_refused(
    tmp_path: Path, broken, found: str, split
) -> None:
    mask = scattered(0)
    drawn = 1 - dense(mask) if broken is dense else mask
    write_field(tmp_path / "images", 1, broken(mask), drawn=drawn)
    screen = labelled(tmp_path, **({} if split is None else {"split": split}))
    found = found.replace("(1)", ".1.")
    with pytest.raises(ImageFileError, match=f"p_A01_f1_mask.tif: found {found}"):
        cut_field(screen, scan(screen).fields[0])


def test_the_remedies_of_a_numbered_and_of_an_inverted_background_work(tmp_path: Path) -> None:
    mask = scattered(0)

    def remedy(labels: np.ndarray) -> str:
        write_field(tmp_path / "images", 1, labels, drawn=mask)
        with pytest.raises(ImageFileError) as refused:
            cut_field(labelled(tmp_path), scan(labelled(tmp_path)).fields[0])
        return refused.value.remedy

    numbered = mask + 1
    assert "If the background has the number 1, export the label image again with 0" in remedy(numbered)
    write_field(tmp_path / "images", 1, np.where(numbered == 1, 0, numbered), drawn=mask)
    assert len(cut_field(labelled(tmp_path), scan(labelled(tmp_path)).fields[0]).cells.label) == CELLS
    assert "invert the label image" in remedy(inverted(mask))
    assert "set split: true" in remedy(255 - inverted(mask))
    screen = labelled(tmp_path, split=True)  # the last label image, with its remedy
    cells = cut_field(screen, scan(screen).fields[0]).cells
    assert len(cells.label) + len(cells.rejected) == int(count_labels(255 - inverted(mask)).pieces)


def test_large_cells_are_no_background(tmp_path: Path) -> None:
    mask = scattered(0)
    clump = np.where(
        np.abs(np.subtract(*np.mgrid[:SIDE, :SIDE])) < 60, 1, 0
    )  # a corner-to-corner band, bright
    clump[[0, -1]] = clump[:, [0, -1]] = 1
    share = count_labels(clump).span_of_pieces.share
    assert share > 0.5
    write_field(tmp_path / "images", 1, clump.astype(np.uint8))
    screen = labelled(tmp_path, split=True)
    assert cut_field(screen, scan(screen).fields[0]).warnings  # not one number for each cell, but bright
    screen = labelled(tmp_path)
    with pytest.raises(ImageFileError, match=f"covers {share:.0%} of the field from side to side;"):
        cut_field(screen, scan(screen).fields[0])
    single = np.ones((SIDE, SIDE), np.uint8)  # the image of one cell, cut along its border
    write_field(tmp_path / "images", 1, single, drawn=mask)
    assert SIDE < 1.5 * (SIDE - 4)
    close = replace(screen, crops=replace(screen.crops, window_px=SIDE - 4))
    assert len(cut_field(close, scan(close).fields[0]).cells.label) == 1
    screen = replace(screen, crops=replace(screen.crops, window_px=None))
    assert len(cut_field(screen, scan(screen).fields[0]).cells.label) == 1


def test_label_images_of_other_fields_are_found_by_their_fit(tmp_path: Path) -> None:
    masks = [scattered(seed) for seed in range(4)]
    order = [0, 2, 1, 3]  # those of the second and third field are swapped
    for number, mask in enumerate(masks):
        write_field(tmp_path / "images", number, masks[order[number]], drawn=mask)
    screen = labelled(tmp_path)
    layout = scan(screen)
    sampler = Sampler(screen, layout)
    swapped = [sampler.sample(field)[0].swapped for field in layout.fields]
    assert (swapped[0], swapped[3]) == (None, None)
    assert "p_A01_f1_mask.tif hardly fits its field p_A01_1 (0." in str(swapped[1])
    assert "p_A01_f2_mask.tif of another field does (1.00)" in str(swapped[1])
    assert "p_A01_f1_mask.tif of another field does (1.00)" in str(swapped[2])
    (text,) = cut_field(screen, layout.fields[2]).warnings
    assert "better than by chance" in text


@pytest.mark.parametrize(
    ("turn", "named"), [(np.flipud, "upside down"), (np.fliplr, "mirrored"), (np.rot90, "turned by")]
)
def test_turned_label_images_are_refused(tmp_path: Path, turn, named: str) -> None:
    mask = scattered(1)
    write_field(tmp_path / "images", 1, turn(mask), drawn=mask)
    screen = labelled(tmp_path)
    with pytest.raises(ImageFileError, match=f"a label image that fits its field {named}"):
        cut_field(screen, scan(screen).fields[0])


def test_a_field_without_cells_says_nothing_of_its_label_image(tmp_path: Path) -> None:
    mask = scattered(1)
    write_field(tmp_path / "images", 1, mask, drawn=np.zeros_like(mask))
    write_field(tmp_path / "images", 2, np.zeros_like(mask), drawn=mask)
    screen = labelled(tmp_path)
    assert [cut_field(screen, field).warnings for field in scan(screen).fields] == [[], []]


def test_another_method_is_only_warned(tmp_path: Path) -> None:
    mask = scattered(0)
    write_field(tmp_path / "images", 1, jpeg(mask), drawn=mask)
    screen = masked_screen(tmp_path)
    (text,) = cut_field(screen, scan(screen).fields[0]).warnings
    assert "rims or specks" in text


def test_masks_of_real_yeast_give_no_warning(tmp_path: Path) -> None:
    root = real_folder("yeast_fields")
    channels = {"cytosol": {"role": "structural"}, "protein": {"role": "protein"}, "mask": {"role": "labels"}}
    pattern = {
        "cytosol": "images/{well}f{field:d}p01-ch3sk1fk1fl1.tiff",
        "protein": "images/{well}f{field:d}p01-ch1sk1fk1fl1.tiff",
        "mask": "masks/{well}f{field:d}p01_labeled.tiff",
    }
    spec = write_spec(
        tmp_path,
        root=str(root),
        channels=channels,
        files={"pattern": pattern, "image_id": "{well}"},
        images={},
        shards={"buckets": 1},
        segmentation={"method": "labels", "options": {"channel": "mask"}},
        crops={"window_px": 64, "size_px": 64},
    )
    screen = load_screen(spec)
    fields = scan(screen).fields
    assert [cut_field(screen, fields[number]).warnings for number in (1, 3)] == [[], []]
