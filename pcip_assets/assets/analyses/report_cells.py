"""Cells for the page of analyses: which are shown, what is told of them, their pictures."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pcip_assets.assets.analyses.protein_map import protein_name
from pcip_assets.assets.sets import PREFIX
from pcip_assets.galleries import crops_of, evenly
from pcip_assets.resources import Library
from pcip_core.plots.thumbnails import strip
from pcip_core.screen import Screen
from pcip_core.store.vectors import features_of


@dataclass
class Cells:
    """All cells of the feature set, and the pictures that were made of some.

    Attributes:
        ids: n names.
        image, protein, line: (n,) of each.
        features: (n, d).
        about: image -> its row.
        row_of: id -> its place.
        shown: pictures so far.
    """

    library: Library
    screen: Screen
    ids: list[str]
    image: np.ndarray
    protein: np.ndarray
    line: np.ndarray
    features: np.ndarray
    about: dict[str, dict[str, Any]]
    row_of: dict[str, int] = field(init=False)
    shown: int = 0

    def __post_init__(self) -> None:
        self.row_of = {name: row for row, name in enumerate(self.ids)}

    @classmethod
    def of(cls, library: Library, screen: Screen) -> "Cells":
        """Those that the analyses are made from."""
        table = library.store.read(screen.name, PREFIX + screen.analyses.feature_set)
        about = {row["image_id"]: row for row in library.store.read(screen.name, "images").to_pylist()}
        images = table["image_id"].to_pylist()
        return cls(
            library,
            screen,
            table["cell_id"].to_pylist(),
            np.array(images),
            np.array([protein_name(about[name]) for name in images]),
            np.array([str(about[name]["cell_line"] or "") for name in images]),
            features_of(table),
            about,
        )

    def strips(self, wanted: Sequence[Sequence[str]]) -> list[str]:
        """A picture of the cells of each entry beside each other; "" for an entry without cells."""
        crops = crops_of(self.library.store, self.screen, [cell for cells in wanted for cell in cells])
        self.shown += len(crops)
        parts = np.split(crops, np.cumsum([len(cells) for cells in wanted])[:-1]) if wanted else []
        channels, protein = self.screen.crop_channels, self.screen.protein
        return [strip(part, channels, protein) if len(part) else "" for part in parts]

    def told(self, ids: Sequence[str]) -> dict[str, list[str]]:
        """What the tooltip says of cells."""
        rows = [self.row_of[name] for name in ids]
        return {
            "protein": [str(self.protein[row]) for row in rows],
            "cell line": [str(self.line[row]) for row in rows],
            "localization": [terms_of(self.about[str(self.image[row])]) for row in rows],
            "cell": list(ids),
        }

    def along(self, rows: np.ndarray) -> np.ndarray:
        """Places of some cells along their main direction, features scaled by their spread over all cells."""
        from pcip_core.analysis.variability import first_component

        own = self.features[rows].astype(np.float64)
        spread = self.features.std(0, dtype=np.float64)
        return first_component((own - own.mean(0)) / np.where(spread > 0, spread, 1))

    def over_images(self, most: int) -> list[str]:
        """At most so many cells, as many of each image as there is room for."""
        of_image: dict[str, list[str]] = {}
        for name, image in zip(self.ids, self.image.tolist(), strict=True):
            of_image.setdefault(image, []).append(name)
        images = evenly(sorted(of_image), most)
        each = max(most // max(len(images), 1), 1)
        return [name for image in images for name in evenly(of_image[image], each)]


def terms_of(image: dict[str, Any]) -> str:
    """The localization terms of an image in a line."""
    return ", ".join(image["localization"] or [])


def label_of(image: dict[str, Any]) -> str:
    """What colours a cell: the one term of its image; "" where there is none."""
    terms = image["localization"] or []
    return "several terms" if len(terms) > 1 else "".join(terms)
