"""Storage of the results of assets: tables in the store, with arrays and figures, and HTML pages."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import dagster as dg
import numpy as np
import polars as pl

from pcip_assets.assets.pictures import picture
from pcip_assets.assets.skeleton import Run, Work
from pcip_assets.provenance import stamp
from pcip_assets.web import REPORTS
from pcip_core.files import paths_in

__all__ = ["Made", "Page", "Tables", "picture", "relative"]

_FILES = ("png", "svg", "pdf")
"""Kinds of the files of a figure. The module that writes them imports matplotlib, which few assets need."""

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Made:
    """The result for one shard, or for the whole screen. Figures are stored in the folder of reports."""

    tables: Mapping[str, pl.DataFrame]
    arrays: Mapping[str, np.ndarray | Path] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    figures: Mapping[str, "Figure"] = field(default_factory=dict)


@dataclass(frozen=True)
class Tables(Work):
    """Tables that are committed together; the provenance of `table` applies to all of them."""

    table: str
    inputs: Callable[[str | None], dict[str, Any]]
    make: Callable[[str | None], Made]
    log: Callable[[Sequence[dict[str, Any]]], dict[str, Any]] = (
        lambda _: {}
    )  # what a run made; see `conclude`

    def made_from(self, run: Run, shard: str | None) -> str | None:
        """The hash in the provenance of the table; None if a table that was committed with it is gone."""
        provenance, store = self._provenance(run, shard), run.library.store
        together = provenance.get("tables", "").split()  # not recorded by earlier versions
        whole = all(store.has(run.screen.name, name, shard) for name in together)
        return provenance.get("inputs_hash") if whole else None

    def keep(self, run: Run, shard: str | None, made_from: str) -> dict[str, Any]:
        """Write the figures, then commit the tables, whose provenance marks the result as up to date."""
        crops = (run.library.store.provenance(run.screen.name, "cells", shard) or {}).get("data_hash")
        made = self.make(shard)
        assert run.figures or not made.figures, (
            f"{self.table}: an asset that stores figures needs `figures=True`"
        )
        previews = _drawn(run, made.figures)
        before = self._provenance(run, shard)
        provenance = stamp(
            inputs_hash=made_from,
            code_version=run.version,
            dagster_run_id=run.context.run.run_id,
            figures="\n".join(made.figures) or None,
            asset=run.context.asset_key.path[-1],
            tables=" ".join(made.tables),
            crops_hash=crops if shard is not None and "cells" not in made.tables else None,
            **made.provenance,
        )
        run.library.store.commit(
            run.screen.name, made.tables, shard=shard, arrays=made.arrays, provenance=provenance
        )
        for name in set((before.get("figures") or "").split("\n")) - {"", *made.figures}:
            for kind in _FILES:  # from earlier settings
                run.library.workspace.figure(run.screen.name, name, kind).unlink(missing_ok=True)
        return {**made.metadata, **previews, "dagster/row_count": made.tables[self.table].height}

    def conclude(self, run: Run, made: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """What the asset records of its run."""
        return self.log(made)

    def _provenance(self, run: Run, shard: str | None) -> dict[str, Any]:
        return run.library.store.provenance(run.screen.name, self.table, shard) or {}


@dataclass(frozen=True)
class Page(Work):
    """An HTML page with the hash of its inputs in its head; `make` takes this hash."""

    path: Path
    inputs: Callable[[str | None], dict[str, Any]]
    make: Callable[[str], tuple[str, dict[str, Any]]]  # the page, and metadata
    figures: Mapping[str, "Figure"] = field(default_factory=dict)  # that `make` adds, to be stored for print

    def made_from(self, run: Run, shard: str | None) -> str | None:
        """The hash in the head of the page."""
        from pcip_core.report.page import made_from

        return made_from(self.path)

    def keep(self, run: Run, shard: str | None, made_from: str) -> dict[str, Any]:
        """Create the page and replace the old one."""
        from pcip_core.report.page import save_page

        assert run.figures, "a page contains figures: its asset needs `figures=True`"
        html, metadata = self.make(made_from)
        _keep_figures(self.path.with_suffix(""), self.figures)
        save_page(html, self.path)
        return {"kilobytes": self.path.stat().st_size // 1000, **metadata}

    def describe(self, run: Run) -> dict[str, Any]:
        """The path of the page, and its address on the server of `pcip ui`."""
        inside = self.path.relative_to(run.library.workspace.reports("")).as_posix()
        return {
            "page": dg.MetadataValue.path(str(self.path)),
            "open": dg.MetadataValue.url(f"{REPORTS}/{quote(inside)}"),
        }


def relative(table: pl.DataFrame, folder: Path, *columns: str) -> pl.DataFrame:
    """A table whose paths in a folder, within the text of these columns, are relative to the folder."""
    return table.with_columns(pl.col(columns).str.replace_all(paths_in(str(folder)), "${1}"))


def _keep_figures(folder: Path, figures: Mapping[str, "Figure"]) -> None:
    """Write the figures of a page to its folder, and remove the files of its earlier figures."""
    from pcip_core.plots.pictures import save_figure

    for name, figure in figures.items():
        save_figure(figure, folder / f"{name}.png")
    if folder.is_dir():
        for kind in _FILES:
            for file in folder.glob(f"*.{kind}"):
                if file.stem not in figures:
                    file.unlink()


def _drawn(run: Run, figures: Mapping[str, "Figure"]) -> dict[str, Any]:
    """Write figures to their files; return previews for the metadata."""
    if not figures:
        return {}
    from pcip_core.plots.pictures import preview, save_figure

    folder = run.library.workspace
    files = {
        name: save_figure(figure, folder.figure(run.screen.name, name)) for name, figure in figures.items()
    }
    return {name: picture(preview(file)) for name, file in files.items()}
