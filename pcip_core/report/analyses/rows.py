"""The contents of the page of a screen's analyses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from pcip_core.report.methods import Methods


@dataclass(frozen=True)
class Cloud:
    """Points of a plot.

    Attributes:
        tooltip: heading -> text of each of the n points.
        pictures: data URL of the crop of each point; "" without a picture.
        x, y: (n,) coordinates; points without finite values are not drawn.
        groups: name of the group of each point, by which it is coloured; "" for no group.
        of: total number of points, if these are a sample.
    """

    tooltip: Mapping[str, Sequence[str]]
    pictures: Sequence[str]
    x: np.ndarray
    y: np.ndarray
    groups: Sequence[str]
    of: int = 0


@dataclass(frozen=True)
class Part:
    """A set of proteins that are clustered together.

    Attributes:
        rows: (n,) index of each leaf among the proteins of the map; -1 for a protein without a point.
        names: (n,) names of the leaves.
        means: (n, d) mean features; the heat map shows them standardized within the part.
    """

    rows: np.ndarray
    names: Sequence[str]
    means: np.ndarray


@dataclass(frozen=True)
class Solution:
    """A clustering of one part: its name (`ward`), the part's name, (n - 1, 4) linkage, and cluster -> leaves."""

    name: str
    part: str
    tree: np.ndarray
    clusters: Mapping[str, Sequence[int]]


@dataclass(frozen=True)
class Pair:
    """Cells between two compartments.

    Attributes:
        first, second: the compartments.
        cells: its groups are named `first only`, `both`, `second only`.
        proteins: the rows of `protein_scores` of this pair.
    """

    first: str
    second: str
    cells: Cloud
    proteins: pl.DataFrame


@dataclass(frozen=True)
class AnalysisRows:
    """The analyses of a screen; frames hold the rows of the published tables of the same names.

    Attributes:
        title, description: title and description of the screen.
        simulated: whether its images are simulated; the top of the page and each caption state it.
        screen: its name in SQL.
        feature_set: feature set of all analyses.
        proteins: the protein map, coloured by the clusters of the first solution; without coordinates (NaN) where
            there is no UMAP, and `no_map` says why.
        parts, solutions: clustered proteins and their trees; `Solution.part` refers to the name of a part.
        pairs: pairs of compartments.
        variable: excess and split excess of the proteins, in the order of `variability`.
        phenotypes: (protein and line, its cells, rows of `phenotypes`).
        units, mismatch, enrichment, variability: tables.
        cells: a map of cells, coloured by localization.
        classes: all localizations of the screen, in the order of their colours.
        figures: name -> a PNG.
        files: name of a figure -> its files in the page's folder for print: kind, address.
        channels: channel -> its CSS colour in the pictures of cells.
        picture_width: width of a picture of a cell, as text.
        plates: measures of wells: the rows of `well_values`.
        methods: the paragraph on methods and its citations; None: no section.
        tables: the provenance of each table: table, rows, created_at, commit, dagster_run_id.
        feature_set_provenance: encoder version and runs of the feature set.
        links: other pages in the same folder: name, address.
        crops, most_crops: number of pictures of cells in the page, and its limit.
    """

    title: str
    description: str
    simulated: bool
    screen: str
    feature_set: str
    proteins: Cloud | None = None
    no_map: str = ""
    parts: Mapping[str, Part] = field(default_factory=dict)
    solutions: Sequence[Solution] = ()
    enrichment: pl.DataFrame = field(default_factory=pl.DataFrame)
    pairs: Sequence[Pair] = ()
    variable: Cloud | None = None
    variability: pl.DataFrame = field(default_factory=pl.DataFrame)
    phenotypes: Sequence[tuple[str, Cloud, pl.DataFrame]] = ()
    units: pl.DataFrame = field(default_factory=pl.DataFrame)
    mismatch: pl.DataFrame = field(default_factory=pl.DataFrame)
    cells: Cloud | None = None
    classes: Sequence[str] = ()
    figures: Mapping[str, bytes] = field(default_factory=dict)
    files: Mapping[str, Sequence[tuple[str, str]]] = field(default_factory=dict)
    channels: Mapping[str, str] = field(default_factory=dict)
    picture_width: str = ""
    plates: pl.DataFrame = field(default_factory=pl.DataFrame)
    methods: Methods | None = None
    tables: Sequence[Mapping[str, Any]] = ()
    feature_set_provenance: Mapping[str, Any] = field(default_factory=dict)
    links: Sequence[tuple[str, str]] = ()
    crops: int = 0
    most_crops: int = 0
