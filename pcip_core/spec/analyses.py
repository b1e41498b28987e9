"""Section `analyses` of a spec: settings of clusters, enrichment, compartment scores and phenotypes.

Plain dataclasses; nothing but the standard library is imported.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

from pcip_core.spec.bounds import Bounds, Count, Seed

_STRICT = {"extra": "forbid"}


@dataclass(frozen=True)
class Clustering:
    """The protein map (paper, Figure 4) and its clusters.

    Args:
        methods: linkage methods, each of which gives one solution: `maximum_likelihood` (the paper's), `ward`,
            `average`.
        number: number of clusters of each tree; null selects the largest number, from 3 to `most`, whose mean
            silhouette is within 0.03 of the highest.
        most: largest number of clusters to try in this selection; null: twice the square root of the number of
            proteins, at most 40.
        heights: method -> height at which to cut its tree instead: `{ward: 12.5}`. Heights of different methods
            have different units.
        picks: YAML file of named nodes (`A: [PROTEIN, PROTEIN]`, `A1: ...`): each is the smallest clade that
            contains the proteins. A relative path starts at the folder of the spec.
        within: clusterings of a subset of the proteins, name -> SQL condition over `images`:
            `vesicles: "'Vesicles' IN localization"` (paper, Supplementary Figures 4 and 5).
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    methods: tuple[Literal["maximum_likelihood", "ward", "average"], ...] = ("maximum_likelihood", "ward")
    number: Count | None = None
    most: Annotated[int, Bounds(2, 1000)] | None = None
    heights: dict[str, Annotated[float, Bounds(0, 1e12)]] = field(default_factory=dict)
    picks: str | None = None
    within: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class GeneOntology:
    """Terms of the Gene Ontology, from files that you download (docs/how-to/run-analyses.md).

    Relative paths start at the folder of the spec.

    Args:
        obo: the ontology, `go-basic.obo`.
        gaf: the annotations: `goa_human.gaf.gz`, `sgd.gaf.gz`.
        names: CSV or TSV with two columns, protein names of the screen and of the GAF, if they differ.
        namespaces: namespaces of the terms to test (paper: `cellular_component`).
        without_sources: sources (assigned by) whose annotations are excluded. For instance, `HPA` annotated from
            the images of the Human Protein Atlas itself.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    obo: str
    gaf: str
    names: str | None = None
    namespaces: tuple[str, ...] = ("cellular_component",)
    without_sources: tuple[str, ...] = ()


@dataclass(frozen=True)
class Phenotyping:
    """The phenotypes among the cells of one protein (paper, Figure 6).

    Args:
        proteins: proteins whose cells are clustered, separately for each cell line; by default the most variable
            ones of the table `variability`.
        most_variable: number of the most variable combinations of protein and cell line to use by default.
        clusters: number of phenotypes; null selects the number, from 2, with the highest mean silhouette.
        most: largest number to try in this selection.
        least_cells: proteins with fewer cells in a cell line are skipped.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    proteins: tuple[str, ...] = ()
    most_variable: Annotated[int, Bounds(1, 10_000)] = 3
    clusters: Count | None = None
    most: Annotated[int, Bounds(2, 1000)] = 6
    least_cells: Annotated[int, Bounds(3, 1_000_000)] = 20

    def problems(self) -> Iterator[tuple[str, str]]:
        """Invalid settings: (found, required)."""
        if self.clusters is not None and self.clusters > self.least_cells:
            yield f"analyses.phenotypes.clusters {self.clusters}", f"1 to least_cells ({self.least_cells})"


@dataclass(frozen=True)
class Analyses:
    """Section `analyses` of a spec.

    Args:
        feature_set: the features to use; by default a layer of the encoder that fits its tasks, see
            `Screen.feature_set`.
        pool: `protein` averages all cells of a protein; `protein_and_line` averages each cell line separately.
        clusters: clusters of proteins.
        ontology: terms for the enrichment of clusters; by default only the localization terms of the screen.
        annotations: further terms to test, name -> CSV or TSV with two columns, proteins and their terms. A
            relative path starts at the folder of the spec.
        min_term_size: least number of proteins of a term to be tested.
        compartments: pairs of localization terms; cells are scored between the two (paper, Figure 5).
        least_cells: proteins with fewer cells in a cell line are not ranked by variability.
        phenotypes: clusters of the cells of one protein.
        seed: seed of all random draws.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    feature_set: str | None = None
    pool: Literal["protein", "protein_and_line"] = "protein"
    clusters: Clustering = field(default_factory=Clustering)
    ontology: GeneOntology | None = None
    annotations: dict[str, str] = field(default_factory=dict)
    min_term_size: Count = 3
    compartments: tuple[tuple[str, str], ...] = ()
    least_cells: Count = 10
    phenotypes: Phenotyping = field(default_factory=Phenotyping)
    seed: Seed = 0

    def problems(self) -> Iterator[tuple[str, str]]:
        """Invalid settings: (found, required)."""
        if len(set(self.clusters.methods)) < max(1, len(self.clusters.methods)):
            yield f"analyses.clusters.methods {list(self.clusters.methods)}", "at least one, and each once"
        if unknown := sorted(set(self.clusters.heights) - set(self.clusters.methods)):
            yield f"analyses.clusters.heights of {', '.join(unknown)}", "some of analyses.clusters.methods"
        if taken := sorted({"localization", "go"} & set(self.annotations)):
            yield f"analyses.annotations named {', '.join(taken)}", "another name: pcip uses this name itself"
        yield from self.phenotypes.problems()
