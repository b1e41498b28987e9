"""Cells on the page of the analyses: which are shown, their tooltips and their pictures."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from pcip_assets.assets.analyses.galleries import crops_of
from pcip_assets.assets.feature_sets import PREFIX
from pcip_assets.resources import Library
from pcip_core.plots.cells.thumbnails import strip
from pcip_core.spec.screen import Screen
from pcip_core.store.feature_blocks import StoredFeatures
from pcip_core.store.images import Images

_TERMS = pl.col("localization").list
_LABEL = (
    pl.when(_TERMS.len() > 1)
    .then(pl.lit("several terms"))
    .otherwise(_TERMS.first())
    .fill_null("")
    .alias("label")
)


@dataclass
class Cells:
    """All cells of the feature set; pictures are made of some.

    Attributes:
        features: (n, d), which stream, with the id of each cell and the number of its image.
        images: one row per image, in the order of `features.images`: image_id, gene, protein, cell_line, terms (a
            list), localization (the terms in a line) and label (the one term by which a cell is coloured).
        shown: number of pictures so far.
    """

    library: Library
    screen: Screen
    features: StoredFeatures
    images: pl.DataFrame
    shown: int = 0

    @classmethod
    def of(cls, library: Library, screen: Screen) -> "Cells":
        """The cells that the analyses are made from."""
        features = StoredFeatures(library.store, screen.name, PREFIX + screen.feature_set)
        described = (
            Images.of(library.store, screen.name)
            .rows(features.images)
            .select(
                "image_id",
                "gene",
                "protein",
                "cell_line",
                pl.col("localization").alias("terms"),
                _TERMS.join(", "),
                _LABEL,
            )
        )
        return cls(library, screen, features, described)

    def there(self, ids: pl.Series) -> pl.Series:
        """Which of these ids are of cells of the feature set."""
        return pl.Series(self.features.places(ids) >= 0)

    def some(self, rows: np.ndarray, most: int) -> list[str]:
        """Ids of at most so many of the cells in these rows, from the first to the last at equal steps."""
        chosen = np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(np.int64)
        return self.features.cell_id.gather(rows[chosen]).to_list()

    def by_image(self, names: pl.Series) -> dict[str, np.ndarray]:
        """Name -> rows of its cells, in order; `names` are of the images, by number."""
        distinct = names.unique().sort()
        number = names.replace_strict(distinct, pl.int_range(len(distinct), eager=True)).to_numpy()
        of_cell = number[self.features.image]
        order = np.argsort(of_cell, kind="stable")
        ends = np.bincount(of_cell, minlength=len(distinct)).cumsum()
        return dict(zip(distinct, np.split(order, ends[:-1]), strict=True))

    def strips(self, wanted: Sequence[Sequence[str]]) -> list[str]:
        """A picture of the cells of each entry beside each other; "" for an entry without cells."""
        crops = crops_of(self.library.store, self.screen, [cell for cells in wanted for cell in cells])
        self.shown += len(crops)
        parts = np.split(crops, np.cumsum([len(cells) for cells in wanted])[:-1]) if wanted else []
        channels, protein = self.screen.crop_channels, self.screen.protein
        return [strip(part, channels, protein) if len(part) else "" for part in parts]

    def images_of(self, ids: Sequence[str] | pl.Series) -> pl.DataFrame:
        """The row of `images` for each of these cells."""
        return self.images[self.features.image[self.features.places(ids)].astype(np.int64)]

    def tooltips(self, ids: Sequence[str] | pl.Series) -> dict[str, list[str]]:
        """The tooltips of cells: heading -> a text for each cell."""
        images = self.images_of(ids)
        return {
            "protein": images["protein"].to_list(),
            "cell line": images["cell_line"].to_list(),
            "localization": images["localization"].to_list(),
            "cell": list(ids),
        }
