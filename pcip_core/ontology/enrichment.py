"""Enrichment of terms in clusters of proteins: hypergeometric tests with false discovery rates.

Accepts any mapping protein -> terms: Gene Ontology (`ontology.propagate`), the localization terms of the screen
(`annotations_from_columns`), or others.

Choices that the paper does not specify:

- **The background** is every clustered protein that has a term ("all human proteins in our clustering solution";
  GOrilla also excludes genes without one). `annotated` counts the same way; `cluster_size` counts all proteins.
- **The family** of tests of a false discovery rate: the terms of one namespace in one cluster, as GOrilla tests
  one list and one ontology at a time. `family="all"` combines all clusters.
- **Every term of the background is a test**, even if the cluster has no protein with it (then p = 1). Only terms
  with a hit have a row; `tests` is the size of the family.

Source: paper, Table 3 and "We used all human proteins ... as the background"; Eden et al. 2009 (GOrilla), two
unranked lists; Benjamini and Hochberg 1995.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from scipy import stats

from pcip_core.errors import EvaluationError, ShapeError
from pcip_core.ontology.ontology import Term
from pcip_core.words import many

_SHOWN = 5
_COLUMNS = [
    *("cluster", "term", "name", "namespace", "hits", "annotated", "cluster_size"),
    *("background_hits", "background", "fold", "p", "q", "tests"),
]


@dataclass(frozen=True)
class Enrichment:
    """Terms of clusters with their p-values and false discovery rates.

    Attributes:
        table: sorted by cluster in the order given, then by p: cluster, term, name, namespace (empty without `terms`),
            `hits` (k: proteins of the cluster with the term), `annotated` (n: proteins of the cluster with any
            term), `cluster_size`, `background_hits` (K), `background` (N), `fold` ((k/n) / (K/N)), `p`
            (P(X >= k)), `q` (false discovery rate), `tests` (of its family).
        left_out: reason -> number, including zeros: `proteins_without_annotation`, `terms_with_few_proteins`,
            `terms_with_many_proteins`, `clusters_without_annotation`.
    """

    table: pl.DataFrame
    left_out: dict[str, int]


def enrichment(
    members: Mapping[str, Collection[str]],
    annotations: Mapping[str, Collection[str]],
    *,
    background: Collection[str] | None = None,
    terms: Mapping[str, Term] | None = None,
    min_size: int = 3,
    max_size: int | None = None,
    family: Literal["cluster", "all"] = "cluster",
) -> Enrichment:
    """Test each term in each cluster by the upper tail of the hypergeometric distribution.

    Args:
        members: cluster -> its proteins. Clusters may contain each other (Table 3: A and A1).
        annotations: protein -> terms, with their ancestors (`propagate`).
        background: proteins that could have been in a cluster; by default, those of all clusters. Those without a
            term are left out.
        terms: terms of the ontology, which name the rows and make each namespace a separate family.
        min_size: least number of proteins of the background with a tested term.
        max_size: largest number of proteins of the background with a tested term; by default, any number.
        family: the tests of one false discovery rate: those of a cluster, or of all clusters.

    Raises:
        EvaluationError: there is no cluster, or an empty one; clustered proteins are not in `background`; no
            protein has a term; `min_size` is below 1 or above `max_size`.
    """
    clusters = {name: set(proteins) for name, proteins in members.items()}
    everyone = set().union(*clusters.values()) if background is None else set(background)
    _require_members(clusters, everyone)
    _require_sizes(min_size, max_size)
    known = {protein for protein in everyone if annotations.get(protein)}
    if not known:
        raise EvaluationError(
            "enrichment",
            found=f"no term for any of {many(len(everyone), 'protein')}",
            required="proteins with terms",
            remedy="Check that the names of the clusters' proteins are those of the annotations.",
        )
    pairs = _pairs({protein: annotations[protein] for protein in known}, "term")
    sizes = pairs.group_by("term").agg(background_hits=pl.len().cast(pl.Int64))
    most = len(known) if max_size is None else max_size
    size = pl.col("background_hits")
    tested = _with_names(sizes.filter((size >= min_size) & (size <= most)), terms)
    families = tested.group_by("namespace").agg(tests=pl.len().cast(pl.Int64))
    cells = _pairs(clusters, "protein", key="cluster").join(
        pairs.select("protein").unique().with_columns(known=True), on="protein", how="left"
    )
    annotated = cells.group_by("cluster").agg(
        annotated=pl.col("known").sum().cast(pl.Int64), cluster_size=pl.len().cast(pl.Int64)
    )
    if family == "all":
        families = families.with_columns(pl.col("tests") * (annotated["annotated"] > 0).sum())
    order = pl.DataFrame({"cluster": list(clusters)}, schema={"cluster": pl.String}).with_row_index("order")
    rows = (
        cells.join(pairs, on="protein")
        .group_by("cluster", "term")
        .agg(hits=pl.len().cast(pl.Int64))
        .join(tested, on="term")
        .join(annotated, on="cluster")
        .join(families, on="namespace")
        .join(order, on="cluster")
        .with_columns(background=pl.lit(len(known), pl.Int64))
    )
    counts = (rows[name].to_numpy() for name in ("hits", "annotated", "background_hits", "background"))
    share, background_share = pl.col("hits") / pl.col("annotated"), size / pl.col("background")
    rows = rows.with_columns(p=pl.lit(pl.Series(upper_tail(*counts))), fold=share / background_share)
    rows = _with_q(rows, ["namespace", "cluster"] if family == "cluster" else ["namespace"])
    return Enrichment(
        rows.sort("order", "p", "term").select(_COLUMNS),
        {
            "proteins_without_annotation": len(everyone) - len(known),
            "terms_with_few_proteins": int((sizes["background_hits"] < min_size).sum()),
            "terms_with_many_proteins": int((sizes["background_hits"] > most).sum()),
            "clusters_without_annotation": int((annotated["annotated"] == 0).sum()),
        },
    )


def upper_tail(hits: np.ndarray, drawn: np.ndarray, with_term: np.ndarray, total: np.ndarray) -> np.ndarray:
    """P(X >= hits) when `drawn` of `total` proteins are drawn, `with_term` of which have the term.

    Args:
        hits, drawn, with_term, total: (n,) integers k, n, K, N.

    Returns:
        (n,) float64. Below 1e-308 it is 0.
    """
    p = stats.hypergeom.sf(np.asarray(hits) - 1, total, with_term, drawn)
    return np.clip(np.asarray(p, float), 0.0, 1.0)


def false_discovery_rates(p: np.ndarray, *, tests: int | None = None) -> np.ndarray:
    """Benjamini and Hochberg's adjusted p-values.

    Args:
        p: (n,).
        tests: size of the family; tests without a value in `p` have p = 1. By default n.

    Returns:
        (n,) float64, each between its p and 1.

    Raises:
        ShapeError: there are fewer tests than values.
    """
    p = np.asarray(p, float)
    tests = len(p) if tests is None else tests
    if tests < len(p):
        raise ShapeError(
            "tests",
            found=f"{tests}",
            required=f"at least the number of values, {len(p)}",
            remedy="Count all tests of the family.",
        )
    if not len(p):
        return p
    family = np.append(p, np.ones(tests - len(p)))
    return stats.false_discovery_control(family, method="bh")[: len(p)]


def annotations_from_columns(
    table: pl.DataFrame, *, protein: str = "protein", terms: str = "localization"
) -> dict[str, set[str]]:
    """Terms of each protein from a table such as `images`: the union over its rows.

    Args:
        table: a table with both columns; terms are lists, or text separated by `;`.
        protein: name of the column of proteins; rows without a protein are skipped.
        terms: name of the column of terms.

    Raises:
        EvaluationError: the table lacks a column.
    """
    if lacking := [column for column in (protein, terms) if column not in table.columns]:
        raise EvaluationError(
            "annotations",
            found=f"columns {', '.join(table.columns)}",
            required=f"a column {lacking[0]}",
            remedy="Name the columns of proteins and of terms.",
        )
    term = pl.col("term")
    rows = table.select(protein=protein, term=terms).filter(pl.col("protein").is_not_null())
    if rows.schema["term"] == pl.String:
        rows = rows.with_columns(term.str.split(";"))
    rows = rows.explode("term").with_columns(term.str.strip_chars())
    grouped = rows.group_by("protein").agg(term.filter(term.is_not_null() & (term != "")).unique())
    return {name: set(names) for name, names in grouped.rows()}


def _pairs(several: Mapping[str, Collection[str]], value: str, *, key: str = "protein") -> pl.DataFrame:
    """One row per distinct pair of key and value."""
    lists = {key: list(several), value: [list(set(values)) for values in several.values()]}
    schema = {key: pl.String(), value: pl.List(pl.String())}
    return pl.DataFrame(lists, schema=schema).explode(value, empty_as_null=False)


def _with_names(tested: pl.DataFrame, terms: Mapping[str, Term] | None) -> pl.DataFrame:
    """The terms with their names and namespaces; a term that the ontology lacks is named by its identifier."""
    known = [(term, (terms or {}).get(term)) for term in tested["term"]]
    return tested.with_columns(
        name=pl.Series([term if entry is None else entry.name for term, entry in known], dtype=pl.String),
        namespace=pl.Series(
            ["" if entry is None else entry.namespace for _, entry in known], dtype=pl.String
        ),
    )


def _with_q(rows: pl.DataFrame, family: list[str]) -> pl.DataFrame:
    """The rows with the false discovery rates of each family."""
    parts = [
        part.with_columns(
            q=pl.lit(pl.Series(false_discovery_rates(part["p"].to_numpy(), tests=part["tests"][0])))
        )
        for part in rows.partition_by(family)
    ]
    return pl.concat(parts) if parts else rows.with_columns(q=pl.lit(None, pl.Float64))


def _require_members(clusters: Mapping[str, set[str]], everyone: set[str]) -> None:
    empty = [str(name) for name, proteins in clusters.items() if not proteins]
    if empty or not clusters:
        raise EvaluationError(
            "members",
            found=f"{len(empty)} empty clusters ({_first(empty)})" if empty else "no cluster",
            required="clusters with proteins",
            remedy="Leave empty clusters out.",
        )
    for name, proteins in clusters.items():
        if strangers := sorted(proteins - everyone):
            raise EvaluationError(
                f"cluster {name}",
                found=f"{many(len(strangers), 'protein')} outside the background ({_first(strangers)})",
                required="a background that contains every clustered protein",
                remedy="Add them to the background, or leave `background` out.",
            )


def _require_sizes(min_size: int, max_size: int | None) -> None:
    if min_size < 1 or (max_size is not None and max_size < min_size):
        raise EvaluationError(
            "min_size, max_size",
            found=f"{min_size}, {max_size}",
            required="1 <= min_size <= max_size",
            remedy="Choose other sizes of terms.",
        )


def _first(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
