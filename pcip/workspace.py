"""A workspace: the screens whose results lie under one folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from pcip.screen import Screen, gone
from pcip_core.errors import PcipError, StoreError, meant
from pcip_core.store.partitions import Store


def open(folder: str | Path | None = None) -> Workspace:
    """Open a workspace for reading.

    Args:
        folder: the workspace, or its folder `data`; by default the folder PCIP_DATA, otherwise `data` in the current
            folder, as for the commands.

    Raises:
        PcipError: there are no results.

    >>> workspace = open(folder)
    >>> workspace
    Workspace('...') of 1 screen: tiny
    """
    return Workspace(_data_folder(folder))


class Workspace:
    """The results of all screens of a workspace.

    Attributes:
        data: the folder of the results.
    """

    def __init__(self, data: Path) -> None:
        self.data = data
        self._store = Store(data / "store")

    @property
    def screens(self) -> list[str]:
        """Names of the screens with results.

        Raises:
            PcipError: the folder is gone.

        >>> open(folder).screens
        ['tiny']
        """
        if not (self.data / "store").exists():  # a folder, or the file that names a bucket
            raise gone(self._store, "no results any more")
        return self._store.screens()

    def screen(self, name: str) -> Screen:
        """The results of a screen.

        Raises:
            PcipError: it has none; the message lists the screens.

        >>> open(folder).screen("tiny")
        Screen('tiny'): simulated images of 2 channels, nucleus and protein; 1 feature set
        """
        if name not in self.screens:
            raise StoreError(
                f"screen {name}",
                found=f"no results in {self.data}{meant(name, self.screens)}",
                required=f"one of {', '.join(self.screens) or 'none yet'}",
                remedy=f"Correct the name, or run the screen: pcip run {name}",
            )
        return Screen(self._store, name)

    def sql(self, query: str, values: Sequence[Any] = ()) -> pl.DataFrame:
        """The answer of the published file, `feature_store.duckdb`, to a query in SQL.

        Args:
            query: with ? for values.
            values: the values.

        Raises:
            PcipError: there is no such file, or the query fails.

        >>> open(folder).sql("SELECT screen, n_cells FROM main.screens WHERE screen = ?", ["tiny"]).rows()
        [('tiny', 30)]
        """
        from pcip_core.store.publish import answer

        return answer(self.data / "feature_store.duckdb", query, values)

    def __repr__(self) -> str:
        names = self._store.screens()
        kind = "screen" if len(names) == 1 else "screens"
        return f"Workspace({str(self.data)!r}) of {len(names)} {kind}: {', '.join(names)}"


def _data_folder(folder: str | Path | None) -> Path:
    """The folder of the results of a workspace."""
    if folder is None:
        data = Path(os.environ.get("PCIP_DATA") or "data").expanduser().resolve()
    else:
        given = Path(folder).expanduser().resolve()
        data = given if (given / "store").exists() else given / "data"
    if not (data / "store").exists():
        raise PcipError(
            data if folder is None else Path(folder),
            found="no results (no folder store)",
            required="a workspace after its first run, or its folder `data`",
            remedy="Name its folder: pcip.open(FOLDER); or run a screen in it: pcip run SCREEN",
        )
    return data
