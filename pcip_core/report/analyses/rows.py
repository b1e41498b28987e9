"""What the page of a screen's analyses is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Cloud:
    """Points of a plot.

    Attributes:
        told: heading -> n texts for the tooltip.
        pictures: n data URLs of crops, "" where there is none.
        x, y: (n,) places; not finite: not drawn.
        groups: n names of what colours them; "" is none.
        of: how many there are, where these are a sample.
    """

    told: Mapping[str, Sequence[str]]
    pictures: Sequence[str]
    x: np.ndarray
    y: np.ndarray
    groups: Sequence[str]
    of: int = 0


@dataclass(frozen=True)
class Part:
    """Proteins that are clustered together.

    Attributes:
        rows: (n,) which of the page's proteins each leaf is; -1 for one that the map does not have.
        names: (n,) of the leaves.
        features: (n, d) standardized within the part.
    """

    rows: np.ndarray
    names: Sequence[str]
    features: np.ndarray


@dataclass(frozen=True)
class Solution:
    """A tree of one part: its name, `ward`; the part's; (n - 1, 4) linkage; cluster -> leaves."""

    name: str
    part: str
    tree: np.ndarray
    clusters: Mapping[str, Sequence[int]]


@dataclass(frozen=True)
class Pair:
    """Cells between two compartments, groups in `cells` named `first only`, `both`, `second only`; and rows of
    `protein_scores` of this pair."""

    first: str
    second: str
    cells: Cloud
    proteins: Rows


@dataclass(frozen=True)
class AnalysisRows:
    """What is known of a screen; rows are those of the published tables of the same names.

    Attributes:
        title, description: of the screen.
        simulated: whether its images are; said on top and in every caption.
        screen: its name in SQL.
        feature_set: what everything is made from.
        proteins: the protein map, coloured by the clusters of the first solution; without places (NaN) where
            there is no UMAP, and `no_map` says why.
        parts, solutions: trees; the parts' names are those that the solutions give.
        pairs: of compartments.
        variable: proteins, excess against split excess; `sizes` numbers of cells, rows of `variability`.
        phenotypes: (protein and line, its cells, rows of `phenotypes`).
        mismatch, enrichment, variability: rows.
        cells: a map of cells, coloured by localization.
        figures: name -> a PNG.
        tables: what every table was made from: table, rows, made, commit, run.
        about_features: what is known of the feature set.
        links: further pages beside this one: name, address.
        crops, most_crops: how many pictures of cells are in the page, and how many may be.
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
    enrichment: Rows = ()
    pairs: Sequence[Pair] = ()
    variable: Cloud | None = None
    variability: Rows = ()
    phenotypes: Sequence[tuple[str, Cloud, Rows]] = ()
    mismatch: Rows = ()
    cells: Cloud | None = None
    figures: Mapping[str, bytes] = field(default_factory=dict)
    tables: Rows = ()
    about_features: Mapping[str, Any] = field(default_factory=dict)
    links: Sequence[tuple[str, str]] = ()
    crops: int = 0
    most_crops: int = 0
