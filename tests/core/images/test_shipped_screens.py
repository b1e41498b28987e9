"""Every template of a spec with files of its layout: real files if available, otherwise written here."""

from __future__ import annotations

import csv
import dataclasses
import gzip
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
import yaml

from pcip_core.crops.shard import cut_shard
from pcip_core.fetch.archives import ARCHIVES, check_archive
from pcip_core.fetch.hpa import Source, fetch_hpa, write_tables
from pcip_core.fetch.hpa_entry import AtlasField
from pcip_core.fetch.pace import Policy
from pcip_core.images.annotations import describe_images
from pcip_core.images.layout import scan
from pcip_core.images.reading import read_field
from pcip_core.spec.loading import load_screen
from pcip_core.spec.screen import Screen, Segmentation
from pcip_core.spec.templates import TEMPLATES
from tests.conftest import REPOSITORY, draw_field, real_folder
from tests.fake_atlas import ALPHA, BETA, fill, serving

DOCS = REPOSITORY / "docs" / "reference" / "screens"
YEAST = {
    "cyclops_wt2": (("cytosol", "rfp"), 4, "yeast_cytosol"),
    "nop1pr_gfp": (("brightfield", "brightfield"), 3, "yeast_brightfield"),
    "nup49_rfp": (("nuclear_pore", "rfp"), 3, "yeast_nuclear_pore"),
}
COLOURS = {"nucleus": ("blue", 2), "microtubules": ("red", 0), "protein": ("green", 1)}
OF_THE_PAPER = ("human_protein_atlas", *YEAST, "chong_labelled_cells")
QUICK = Policy(rate_per_s=500, connections=4, attempts=2, backoff_s=0.02, stall_s=60)


def _screen(name: str, root: Path | None = None) -> Screen:
    return load_screen(TEMPLATES[name], root=None if root is None else str(root))


@pytest.mark.parametrize("path", TEMPLATES.values(), ids=lambda path: path.stem)
def test_a_spec_is_named_by_its_file_has_no_root_and_a_page(path):
    assert _screen(path.stem).name == path.stem
    assert "root" not in yaml.safe_load(path.read_text())
    if not path.stem.startswith("simulated"):
        page = path.stem.removesuffix("_channels").removesuffix("_masks")
        assert path.stem in (DOCS / f"{page}.md").read_text()


def test_every_screen_of_the_paper_is_there_and_every_archive_that_is_checked():
    names = set(TEMPLATES)
    assert names >= {*OF_THE_PAPER, *ARCHIVES, "human_protein_atlas_channels", "yeast_opera", "human_cells"}


@pytest.mark.parametrize("name", YEAST)
def test_a_yeast_screen_reads_what_the_check_of_archives_accepts(tmp_path, name):
    (marker, called), fields, method = YEAST[name]
    rng, written = np.random.default_rng(1), {}
    for protein in ("YBR001W", "YLR027C-A"):
        folder = tmp_path / f"plate_{len(written)}" / "deep"
        folder.mkdir(parents=True)
        for number in range(1, fields + 1):
            planes = draw_field(rng, in_nucleus=True)
            for end, plane in ((called, planes["nucleus"]), ("gfp", planes["protein"])):
                tifffile.imwrite(folder / f"{protein}_{number}_{end}.tif", plane)
            written[protein, str(number)] = planes
    assert check_archive(name, tmp_path).problems == []
    screen = _screen(name, tmp_path)
    layout = scan(screen)
    assert layout.unclaimed == []
    assert {(field.image_id, field.number) for field in layout.fields} == set(written)
    for field in layout.fields:
        planes = read_field(screen, field)
        assert np.array_equal(planes[marker], written[field.image_id, field.number]["nucleus"])
        assert np.array_equal(planes["protein"], written[field.image_id, field.number]["protein"])
    assert [image.n_fields for image in describe_images(screen, layout.fields)] == [fields, fields]
    assert (screen.segmentation.method, screen.segmentation.options) == (method, {"channel": marker})
    crops = screen.crops
    assert (crops.window_px, crops.size_px, crops.area_fraction, crops.min_cells) == (
        64,
        64,
        (0.05, 0.95),
        30,
    )
    simple = dataclasses.replace(  # other tests cover the segmentation method of the spec
        screen,
        segmentation=Segmentation("otsu", {"channel": marker, "min_area_px": 40}),
        crops=dataclasses.replace(crops, area_fraction=None, min_cells=3),
    )
    cells = cut_shard(simple, layout.fields)
    assert cells.found == 2 * fields * 9
    assert len(cells.pixels) >= 2 * fields  # at least the central cell of each field fits a window


def test_the_atlas_as_it_is_fetched_composites_and_channels(tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for name, channels, extension in (
        ("human_protein_atlas", ("blue_red_green",), "jpg"),
        ("human_protein_atlas_channels", ("blue", "red", "green", "yellow"), "jpg"),
        ("human_protein_atlas_channels", ("blue", "red", "green"), "tif.gz"),
    ):
        root = tmp_path / f"{name}_{extension}"
        with serving() as server:
            fill(server)
            fetch_hpa([ALPHA, BETA], root, Source(server.url, channels=channels, extension=extension), QUICK)
        screen = _screen(name, root)
        layout = scan(screen)
        assert len(layout.fields) == 5
        images = {image.image_id: image for image in describe_images(screen, layout.fields)}
        assert {key: image.n_fields for key, image in images.items()} == {
            f"{ALPHA}_HPA000001_A-431": 1,
            f"{ALPHA}_HPA000001_U-2-OS": 2,
            f"{BETA}_CAB000002_U-251-MG": 2,
        }
        image = images[f"{ALPHA}_HPA000001_U-2-OS"]
        assert (image.values["gene"], image.values["cell_line"]) == ("ALPHA1", "U-2 OS")
        assert image.localization == ["Nucleoplasm", "Cytosol"]
        with (root / "fields.csv").open(newline="") as stream:
            rows = list(csv.DictReader(stream))
        paths = {(row["plate"], row["field"], row["channel"]): root / row["path"] for row in rows}
        for field in layout.fields:
            planes = read_field(screen, field)
            for ours, (colour, layer) in COLOURS.items():
                channel = "blue_red_green" if name == "human_protein_atlas" else colour
                path = paths[field.parts["plate"], field.parts["field"], channel]
                assert np.array_equal(planes[ours], _expected(path, layer))


def _expected(path: Path, layer: int) -> np.ndarray:
    """One colour of a composite, the maximum colour of the JPEG of a channel, or the grey levels of a TIFF."""
    if path.suffix == ".gz":
        with gzip.open(path) as stream:
            return tifffile.imread(stream)
    picture = iio.imread(path)
    return picture[:, :, layer] if "blue_red_green" in path.name else picture.max(axis=2)


def test_a_real_atlas_field_becomes_crops_as_in_the_paper(tmp_path):
    real = real_folder("human_fields") / "hpa"
    colours = [iio.imread(real / f"57_F11_1_{colour}.png") for colour in ("red", "green", "blue")]
    field = AtlasField("GENE", ALPHA, "", "HPA000001", "U-2 OS", "57", "F11", "1", ("Cytosol",), "")
    write_tables(tmp_path, [field], Source())
    path = tmp_path / field.path("blue_red_green", "jpg")
    path.parent.mkdir(parents=True)
    iio.imwrite(path, np.stack(colours, axis=2), quality=95)
    screen = _screen("human_protein_atlas", tmp_path)
    cells = cut_shard(screen, scan(screen).fields)
    assert cells.pixels.shape[1:] == (3, 64, 64)
    assert 5 <= len(cells.pixels) <= 60
    assert cells.found == len(cells.pixels) + sum(row.what == "cell" for row in cells.rejected)
    for channel in (0, 1):
        values = cells.pixels[:, list(screen.channels).index(("nucleus", "microtubules")[channel])]
        assert not ((values > 0) & (values < 12)).any()  # values below 0.05 are set to 0


def test_the_authors_cropped_human_cells():
    root = real_folder("human_cells")
    screen = _screen("human_cells", root)
    layout = scan(screen)
    assert layout.unclaimed == []
    assert len(layout.fields) == len(list(root.rglob("*_blue.tif"))) == 56
    images = describe_images(screen, layout.fields)
    assert {image.image_id: image.values["protein"] for image in images} == {
        "A1CF_762_F2": "A1CF",
        "AAAS_413_A12": "AAAS",
    }
    cells = cut_shard(screen, layout.fields)
    assert cells.pixels.shape == (56, 3, 64, 64)
    planes = read_field(screen, layout.fields[0])
    assert np.array_equal(planes["protein"], tifffile.imread(root / layout.fields[0].files["protein"]))
