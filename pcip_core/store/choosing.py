"""Which images a user's own condition, written in SQL, is true of."""

from __future__ import annotations

import duckdb
import polars as pl

from pcip_core.errors import SpecError
from pcip_core.store.books import NO_EXTENSIONS
from pcip_core.store.parquet import arrow_of


def chosen_images(images: pl.DataFrame, condition: str, where: str) -> set[str]:
    """Ids of the images that a condition is true of.

    Args:
        images: the table `images`, or what has its columns.
        condition: what stands behind WHERE, over these columns: `'Vesicles' IN localization`.
        where: what an error names: where the condition was written.

    Raises:
        SpecError: it is no condition over these columns. It sees no table but this one, and no file.
    """
    with duckdb.connect(":memory:", config={**NO_EXTENSIONS, "enable_external_access": "false"}) as con:
        con.register("images", arrow_of(images))
        try:
            rows = con.execute(f"SELECT image_id FROM images WHERE ({condition}\n)").fetchall()
        except duckdb.Error as error:
            raise SpecError(
                where,
                found=f"{condition!r} ({str(error).splitlines()[0]})",
                required=f"a condition in SQL over the columns of images: {', '.join(images.columns)}",
                remedy="Correct it; names of terms stand in single quotes: 'Vesicles' IN localization.",
            ) from error
    return {str(name) for (name,) in rows}
