"""Cells for the page of analyses: which are shown, what is told of them, their pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from pcip_assets.assets.analyses.galleries import crops_of
from pcip_assets.assets.feature_sets import PREFIX
from pcip_assets.resources import Library
from pcip_core.analysis.examples import evenly
from pcip_core.plots.cells.thumbnails import strip
from pcip_core.spec.screen import Screen
from pcip_core.store.feature_blocks import StoredFeatures


@dataclass
class Cells:
    """All cells of the feature set, and the pictures that were made of some.

    Attributes:
        features: (n, d), which stream, with the id of each cell and the number of its image.
        about: image -> its row.
        protein, line: of each image, by number.
        shown: pictures so far.
    """

    library: Library
    screen: Screen
    features: StoredFeatures
    about: dict[str, dict[str, Any]]
    protein: list[str]
    line: list[str]
    shown: int = 0

    @classmethod
    def of(cls, library: Library, screen: Screen) -> "Cells":
        """Those that the analyses are made from."""
        features = StoredFeatures(library.store, screen.name, PREFIX + screen.analyses.feature_set)
        known = library.images(screen).rows(features.images)
        about = {row["image_id"]: row for row in known.iter_rows(named=True)}
        proteins, lines = known["protein"].to_list(), known["cell_line"].to_list()
        return cls(library, screen, features, about, proteins, lines)

    def ids(self, rows: Sequence[int] | np.ndarray) -> list[str]:
        """Ids of the cells in these rows."""
        return self.features.cell_id.gather(np.asarray(rows, np.int64)).to_list()

    def some(self, rows: np.ndarray, most: int) -> list[str]:
        """Ids of at most so many of the cells in these rows, from the first to the last at equal steps."""
        return self.ids(rows[evenly(range(len(rows)), most)])

    def rows(self, ids: Sequence[str]) -> np.ndarray:
        """The rows of cells that are there."""
        return self.features.places(ids)

    def there(self, ids: pl.Series) -> pl.Series:
        """Which of these ids are of cells of the feature set."""
        return ids.is_in(self.features.cell_id.implode())

    def by_image(self, names: Sequence[Any]) -> dict[Any, np.ndarray]:
        """Name -> rows of its cells, in order; `names` are of the images, by number."""
        distinct = sorted(set(names))
        number = {name: place for place, name in enumerate(distinct)}
        of_cell = np.array([number[name] for name in names], np.int64)[self.features.image]
        order = np.argsort(of_cell, kind="stable")
        counts = np.bincount(of_cell, minlength=len(distinct))
        ends = counts.cumsum()
        return {name: order[end - n : end] for name, end, n in zip(distinct, ends, counts, strict=True)}

    def strips(self, wanted: Sequence[Sequence[str]]) -> list[str]:
        """A picture of the cells of each entry beside each other; "" for an entry without cells."""
        crops = crops_of(self.library.store, self.screen, [cell for cells in wanted for cell in cells])
        self.shown += len(crops)
        parts = np.split(crops, np.cumsum([len(cells) for cells in wanted])[:-1]) if wanted else []
        channels, protein = self.screen.crop_channels, self.screen.protein
        return [strip(part, channels, protein) if len(part) else "" for part in parts]

    def told(self, ids: Sequence[str]) -> dict[str, list[str]]:
        """What the tooltip says of cells."""
        images = self.features.image[self.rows(ids)].tolist() if ids else []
        return {
            "protein": [self.protein[image] for image in images],
            "cell line": [self.line[image] for image in images],
            "localization": [terms_of(self.about[self.features.images[image]]) for image in images],
            "cell": list(ids),
        }

    def over_images(self, most: int) -> np.ndarray:
        """The rows of at most so many cells, as many of each image as there is room for."""
        of_image = self.by_image(self.features.images)
        images = evenly(sorted(of_image), most)
        each = max(most // max(len(images), 1), 1)
        own = (of_image[image] for image in images)
        return np.concatenate(
            [np.zeros(0, np.int64), *(rows[evenly(range(len(rows)), each)] for rows in own)]
        )


def terms_of(image: dict[str, Any]) -> str:
    """The localization terms of an image in a line."""
    return ", ".join(image["localization"] or [])


def label_of(image: dict[str, Any]) -> str:
    """What colours a cell: the one term of its image; "" where there is none."""
    terms = image["localization"] or []
    return "several terms" if len(terms) > 1 else "".join(terms)
