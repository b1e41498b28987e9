"""What is asked of features once they are made: the settings of clusters, terms and scores of proteins.

Plain dataclasses, read from the section `analyses` of a spec; this module imports nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

_STRICT = {"extra": "forbid"}


@dataclass(frozen=True)
class Clustering:
    """The protein map (paper, Figure 4) and its clusters.

    Args:
        methods: how proteins are merged, a solution each: `maximum_likelihood` (as the paper names it), `ward`,
            `average`.
        number: clusters that each tree is cut into; null takes the number that is most stable.
        most: the largest number that is tried for it.
        heights: cut these methods' trees at a height instead: `{ward: 12.5}`; heights differ in kind by method.
        picks: YAML file of nodes that you have named (`A: [PROTEIN, PROTEIN]`, `A1: ...`): the smallest clade
            that holds the proteins; a relative path starts at the spec's folder.
        within: clusters of some proteins alone, a name and a condition in SQL over `images` each:
            `vesicles: "'Vesicles' IN localization"` (paper, Supplementary Figures 4 and 5).
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    methods: tuple[Literal["maximum_likelihood", "ward", "average"], ...] = ("maximum_likelihood", "ward")
    number: int | None = None
    most: int = 20
    heights: dict[str, float] = field(default_factory=dict)
    picks: str | None = None
    within: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class GeneOntology:
    """Terms of the Gene Ontology, from files that you fetch (docs/how-to/run-analyses.md).

    Args:
        obo: `go-basic.obo`; a relative path starts at the spec's folder, as of the others.
        gaf: annotations: `goa_human.gaf.gz`, `sgd.gaf.gz`.
        names: CSV or TSV with two columns, the screen's names of proteins and the GAF's, where they differ.
        namespaces: terms of these; the paper's is `cellular_component`.
        without_sources: who has assigned annotations that are left out: `HPA` saw the atlas' own images.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    obo: str
    gaf: str
    names: str | None = None
    namespaces: tuple[str, ...] = ("cellular_component",)
    without_sources: tuple[str, ...] = ()


@dataclass(frozen=True)
class Phenotyping:
    """The phenotypes among one protein's cells (paper, Figure 6).

    Args:
        proteins: whose cells are clustered, each cell line apart; none: the most variable ones of `variability`.
        most_variable: how many of these, a protein in a cell line each.
        clusters: phenotypes of each; null takes the number with the highest mean silhouette, from 2.
        most: the largest number that is tried for it.
        least_cells: a protein with fewer cells in a cell line is left out.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    proteins: tuple[str, ...] = ()
    most_variable: int = 3
    clusters: int | None = None
    most: int = 6
    least_cells: int = 20

    def problems(self) -> Iterator[tuple[str, str]]:
        """What cannot be: (found, required)."""
        if self.most_variable < 1:
            yield f"analyses.phenotypes.most_variable {self.most_variable}", "1 or more"
        if self.least_cells < 3:
            yield f"analyses.phenotypes.least_cells {self.least_cells}", "3 or more"
        if self.clusters is not None and not 1 <= self.clusters <= self.least_cells:
            yield f"analyses.phenotypes.clusters {self.clusters}", f"1 to least_cells ({self.least_cells})"
        if self.most < 2:
            yield f"analyses.phenotypes.most {self.most}", "2 or more"


@dataclass(frozen=True)
class Analyses:
    """Section `analyses` of a spec.

    Args:
        feature_set: what proteins and cells are described by; the paper's for human cells is conv3.
        pool: `protein` averages all cells of a protein; `protein_and_line` keeps cell lines apart.
        clusters: of proteins.
        ontology: for their enrichment; without it the screen's own localization terms are used alone.
        annotations: other terms to test: a name and a CSV or TSV with two columns each, proteins and their terms;
            a relative path starts at the spec's folder.
        min_term_size: proteins that a term needs to be tested.
        compartments: pairs of localization terms; cells are scored between both (paper, Figure 5).
        least_cells: proteins with fewer in a cell line are not ranked by how much their cells vary.
        phenotypes: clusters of the cells of one protein.
        seed: of every draw.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT
    feature_set: str = "inpainting_conv3"
    pool: Literal["protein", "protein_and_line"] = "protein"
    clusters: Clustering = field(default_factory=Clustering)
    ontology: GeneOntology | None = None
    annotations: dict[str, str] = field(default_factory=dict)
    min_term_size: int = 3
    compartments: tuple[tuple[str, str], ...] = ()
    least_cells: int = 10
    phenotypes: Phenotyping = field(default_factory=Phenotyping)
    seed: int = 0

    def problems(self) -> Iterator[tuple[str, str]]:
        """What cannot be: (found, required)."""
        if self.clusters.number is not None and self.clusters.number < 1:
            yield f"analyses.clusters.number {self.clusters.number}", "1 or more"
        if self.clusters.most < 2:
            yield f"analyses.clusters.most {self.clusters.most}", "2 or more"
        if not self.clusters.methods:
            yield "analyses.clusters.methods: none", "at least one"
        if strange := sorted(set(self.clusters.heights) - set(self.clusters.methods)):
            yield f"analyses.clusters.heights of {', '.join(strange)}", "some of analyses.clusters.methods"
        if taken := sorted({"localization", "go"} & set(self.annotations)):
            yield f"analyses.annotations named {', '.join(taken)}", "another name: this one is pcip's"
        if self.min_term_size < 1:
            yield f"analyses.min_term_size {self.min_term_size}", "1 or more"
        yield from self.phenotypes.problems()
