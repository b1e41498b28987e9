"""The screens of the benchmark of encoders: the crops of each, what is scored, and what is left out together.

Simulated screens have the size of the demo, without the plate that it leaves for the user. The cells of some real ones
are read here, because their questions leave out antibodies or proteins, and their images are wells.
"""

from __future__ import annotations

import csv
import dataclasses
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from PIL import Image

from benchmarks.common.assets import call_asset
from benchmarks.common.encoder_scores import Labelled
from pcip_assets.assets.encoders.training_cells import all_crops
from pcip_assets.assets.labels import labelled_cells_of
from pcip_assets.assets.main.crops import Cutting
from pcip_assets.cli.simulated import ensure_simulated
from pcip_assets.definitions import screen_assets
from pcip_assets.resources import Library
from pcip_assets.workspace import Workspace
from pcip_core.crops.cut import cut_cells
from pcip_core.images.layout import scan
from pcip_core.spec.screen import Crops, Screen
from pcip_core.spec.templates import TEMPLATES
from pcip_core.spec.training import EncoderConfig
from pcip_core.store.images import Images
from pcip_core.training.cells import CellSet

SIMULATED = ("simulated_human", "simulated_yeast")
REAL = ("human_labelled_cells", "human_antibodies", "yeast_reference_strains")
BLANK = "blank"  # the structural channel of cells that have none
_COLOURS = {"nucleus": "blue", "microtubules": "red", "protein": "green"}


@dataclass(frozen=True)
class Cells:
    """The crops of a screen, and the questions that its features are to answer.

    Attributes:
        screen: name.
        crops: all crops, with the image of each.
        structural: names of the structural channels.
        low, high: (n, C) intensities of each crop before it was rescaled.
        rows: (n,) positions of the cells that are scored.
        questions: what -> these cells' classes, and what is left out together.
        encoder: the settings of the spec that is used for this screen.
        images: one row per image, in the order of their numbers in `crops`: `protein`, `cell_line`, and `kind` (the
            simulator's truth); None for real cells.
    """

    screen: str
    crops: CellSet
    structural: tuple[str, ...]
    low: np.ndarray
    high: np.ndarray
    rows: np.ndarray
    questions: Mapping[str, Labelled]
    encoder: EncoderConfig
    images: pl.DataFrame | None = None

    @property
    def about(self) -> str:
        """The screen and its size in words."""
        kind = "SIMULATED" if self.screen in SIMULATED else "real"
        return (
            f"{self.screen} ({kind} images, {len(self.rows):,} of {len(self.crops.image):,} cells labelled)"
        )

    @property
    def pixels(self) -> np.ndarray:
        """(n, C, S, S) of the cells that are scored."""
        return np.asarray(self.crops.pixels)[self.rows]


def cells_of(name: str, root: Path | None, *, size_px: int | None = None) -> Cells:
    """Read one of the screens above.

    Args:
        name: one of `SIMULATED` or `REAL`.
        root: the folder of a real one.
        size_px: side of the crops; by default that of the spec.
    """
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder))
        place = None if root is None else str(root)
        screen = workspace.find(str(TEMPLATES[_SPECS.get(name, name)]), root=place)
        if size_px is not None:
            screen = dataclasses.replace(screen, crops=dataclasses.replace(screen.crops, size_px=size_px))
        if name in _READERS:
            assert root is not None
            return _READERS[name](name, root, screen)
        return _of_spec(workspace, screen)


def _of_spec(workspace: Workspace, screen: Screen) -> Cells:
    """The crops of a screen, by its assets `fields` and `crops`; of a simulated one, all plates but the last."""
    ensure_simulated(screen)
    assets = {asset.key.path[-1]: asset for asset in screen_assets(screen)}
    library, shards = Library(data=str(workspace.data)), scan(screen).shards()
    if screen.simulated:
        shards = shards[:-1]
    call_asset(assets["fields"], shards, library=library)
    call_asset(assets["crops"], shards, config=Cutting(force=True), library=library)
    pixels, cells = all_crops(library, screen)
    table = library.store.read(screen.name, "cells")
    labelled = labelled_cells_of(library, screen)
    place = {cell: row for row, cell in enumerate(cells["cell_id"].to_list())}
    order = [place[cell] for cell in table["cell_id"].to_list()]
    low, high = (np.empty((len(place), len(screen.crop_channels)), np.float32) for _ in range(2))
    low[order], high[order] = (np.stack(table[f"intensity_{end}"].to_numpy()) for end in ("min", "max"))
    ids, image = np.unique(cells["image_id"].to_numpy(), return_inverse=True)
    return Cells(
        screen.name,
        CellSet(np.asarray(pixels[:]), image, screen.crop_channels),
        screen.structural,
        low,
        high,
        np.array([place[cell] for cell in labelled.cell_ids.to_list()]),
        {"localization, image left out": Labelled(labelled.labels, labelled.image_ids)},
        screen.encoder,
        _described(library, screen, ids) if screen.simulated else None,
    )


def _described(library: Library, screen: Screen, image_ids: np.ndarray) -> pl.DataFrame:
    """The protein and the cell line of each of these images, and whether the protein is simulated as variable."""
    images = Images.of(library.store, screen.name).rows(image_ids.tolist())
    truth = library.store.read(screen.name, "truth_images", columns=["image_id", "kind"])
    return images.join(truth, on="image_id", how="left", maintain_order="left").select(
        "protein", "cell_line", "kind"
    )


def _antibodies(name: str, root: Path, spec: Screen) -> Cells:
    """Two proteins by two antibodies each. An image is a well: one antibody in one cell line."""
    rows = _table(root)
    planes = [
        {
            channel: root / "cells" / row["field"] / f"{row['image_id']}_{colour}.png"
            for channel, colour in _COLOURS.items()
        }
        for row in rows
    ]
    well = np.array([row["field"].rsplit("_", 1)[0] for row in rows])
    protein, antibody, line = (
        np.array([row[key] for row in rows]) for key in ("protein", "antibody", "cell_line")
    )
    plates = {
        "plate": np.array([each.split("_")[1] for each in well]),
        "image": well,
        "alike": protein,
        "line": line,
    }
    return _whole(
        name,
        planes,
        well,
        {
            "protein, antibody left out": Labelled(protein, antibody, **plates),
            "protein, cell line left out": Labelled(protein, line),
        },
        spec,
    )


def _strains(name: str, root: Path, spec: Screen) -> Cells:
    """One field per protein, the protein channel alone."""
    rows = _table(root)
    planes = [{"protein": root / "cells" / row["field"] / f"{row['image_id']}_gfp.png"} for row in rows]
    field, protein, group = (np.array([row[key] for row in rows]) for key in ("field", "protein", "coarse"))
    return _whole(name, planes, field, {"group of terms, protein left out": Labelled(group, protein)}, spec)


_READERS: dict[str, Callable[[str, Path, Screen], Cells]] = {
    "human_antibodies": _antibodies,
    "yeast_reference_strains": _strains,
}

_SPECS = {"human_antibodies": "human_antibodies_cells"}  # the folder of images -> its spec of cut cells


def _table(root: Path) -> list[dict[str, str]]:
    with (root / "labels.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def _whole(
    name: str,
    files: list[dict[str, Path]],
    image: np.ndarray,
    questions: Mapping[str, Labelled],
    spec: Screen,
) -> Cells:
    """Cells that are cropped already, one file per channel; where no structural channel is given, it is blank."""
    channels = tuple(files[0])
    floor = {channel: value for channel, value in spec.crops.floor.items() if channel in channels}
    crops = Crops(window_px=None, size_px=spec.crops.size_px, floor=floor)
    cut = []
    for paths in files:
        planes = {channel: np.asarray(Image.open(path)) for channel, path in paths.items()}
        cut.append(cut_cells(planes, np.ones(planes["protein"].shape, int), crops))
    pixels, low, high = (
        np.concatenate([getattr(each, key) for each in cut])
        for key in ("pixels", "intensity_min", "intensity_max")
    )
    structural = tuple(channel for channel in channels if channel != "protein")
    if not structural:
        pixels = np.concatenate([np.zeros_like(pixels), pixels], axis=1)
        low, high = (np.concatenate([np.zeros_like(values), values], axis=1) for values in (low, high))
        channels, structural = (BLANK, "protein"), (BLANK,)
    number = np.unique(image, return_inverse=True)[1]
    return Cells(
        name,
        CellSet(pixels, number, channels),
        structural,
        low,
        high,
        np.arange(len(pixels)),
        questions,
        spec.encoder,
    )


def renamed(cells: Cells, encoder: EncoderConfig) -> Cells:
    """The same cells with other settings of the encoder."""
    return dataclasses.replace(cells, encoder=encoder)
