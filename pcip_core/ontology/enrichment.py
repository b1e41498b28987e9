"""Which terms the proteins of a cluster have more often than chance: hypergeometric tests with false discovery rates.

Works on any table protein -> terms: Gene Ontology (`ontology.propagate`), the screen's own localization terms
(`annotations_from_columns`), or any other.

What the paper does not say, and how it is here:

- **The background** is every clustered protein that has a term ("all human proteins in our clustering solution";
  GOrilla, too, passes over genes without one). `n` of a cluster counts the same way; `cluster_size` is of all.
- **The family** of tests that a false discovery rate is over: the terms of one namespace for one cluster, as
  GOrilla takes one list and one ontology at a time. `family="all"` takes all clusters together.
- **Every term of the background is a test**, also where the cluster has no protein of it (then p = 1). Rows are
  made only where it has; a family's size is `tests`.

Source: paper, Table 3 and "We used all human proteins ... as the background"; Eden et al. 2009 (GOrilla), two
unranked lists; Benjamini and Hochberg 1995.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy import stats

from pcip_core.errors import EvaluationError, ShapeError
from pcip_core.ontology.ontology import Term

_SHOWN = 5


@dataclass(frozen=True)
class Enrichment:
    """Terms of clusters, with how unlikely they are.

    Attributes:
        rows: by cluster in the order given, then by p; each with cluster, term, name, namespace (empty without
            `terms`), `hits` (k: proteins of the cluster with the term), `annotated` (n: proteins of the cluster
            with any term), `cluster_size`, `background_hits` (K), `background` (N), `fold` ((k/n) / (K/N)), `p`
            (P(X >= k)), `q` (false discovery rate), `tests` (of its family).
        left_out: reason -> how many; 0 where none: `proteins_without_annotation`, `terms_with_few_proteins`,
            `terms_with_many_proteins`, `clusters_without_annotation`.
    """

    rows: list[dict[str, Any]]
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
        members: cluster -> its proteins. Clusters may hold each other (Table 3: A and A1).
        annotations: protein -> terms, with those above them (`propagate`).
        background: proteins that could have been in a cluster; by default, those of all clusters. Those without
            term are left out.
        terms: of the ontology: gives rows their names, and makes each namespace a family of its own.
        min_size: proteins of the background that a term needs to be tested.
        max_size: proteins of the background that a tested term may have; by default, any number.
        family: what a false discovery rate is over: the tests of a cluster, or of all clusters.

    Raises:
        EvaluationError: there is no cluster, or an empty one; proteins of a cluster are not in `background`; no
            protein has a term; the sizes exclude each other.
    """
    clusters = {name: set(proteins) for name, proteins in members.items()}
    everyone = set().union(*clusters.values()) if background is None else set(background)
    _require_members(clusters, everyone)
    _require_sizes(min_size, max_size)
    known = {protein for protein in everyone if annotations.get(protein)}
    if not known:
        raise EvaluationError(
            "enrichment",
            found=f"no term for any of {len(everyone)} proteins",
            required="proteins with terms",
            remedy="Check that the names of the clusters' proteins are those of the annotations.",
        )
    counts = _counts(known, annotations)
    most = len(known) if max_size is None else max_size
    sizes = {term: count for term, count in counts.items() if min_size <= count <= most}
    names = {term: terms[term].name if terms and term in terms else term for term in sizes}
    namespaces = {term: terms[term].namespace if terms and term in terms else "" for term in sizes}
    tests = Counter(namespaces.values())
    annotated = {name: proteins & known for name, proteins in clusters.items()}
    rows: list[dict[str, Any]] = [
        {
            "cluster": name,
            "term": term,
            "name": names[term],
            "namespace": namespaces[term],
            "hits": hits,
            "annotated": len(annotated[name]),
            "cluster_size": len(clusters[name]),
            "background_hits": sizes[term],
            "background": len(known),
            "fold": (hits / len(annotated[name])) / (sizes[term] / len(known)),
        }
        for name in clusters
        for term, hits in _counts(annotated[name], annotations).items()
        if term in sizes
    ]
    tested = sum(bool(proteins) for proteins in annotated.values()) if family == "all" else 1
    _add_p(rows)
    _add_q(rows, {namespace: number * tested for namespace, number in tests.items()}, family)
    order = {name: place for place, name in enumerate(clusters)}
    rows.sort(key=lambda row: (order[row["cluster"]], row["p"], row["term"]))
    return Enrichment(
        rows,
        {
            "proteins_without_annotation": len(everyone) - len(known),
            "terms_with_few_proteins": sum(count < min_size for count in counts.values()),
            "terms_with_many_proteins": sum(count > most for count in counts.values()),
            "clusters_without_annotation": sum(not proteins for proteins in annotated.values()),
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
        tests: size of the family; those that `p` does not hold have p = 1. By default n.

    Returns:
        (n,) float64, each at least its p and at most 1.

    Raises:
        ShapeError: there are fewer tests than values.
    """
    p = np.asarray(p, float)
    tests = len(p) if tests is None else tests
    if tests < len(p):
        raise ShapeError(
            "tests",
            found=f"{tests}",
            required=f"{len(p)} or more, as there are values",
            remedy="Count them all.",
        )
    if not len(p):
        return p
    family = np.append(p, np.ones(tests - len(p)))
    return stats.false_discovery_control(family, method="bh")[: len(p)]


def annotations_from_columns(
    rows: Iterable[Mapping[str, Any]], *, protein: str = "protein", terms: str = "localization"
) -> dict[str, set[str]]:
    """Terms of each protein from rows such as those of the table `images`: all terms that any row gives it.

    Args:
        rows: each with two columns; the terms are a list, or text with `;` between.
        protein: name of the column of proteins; rows without are passed over.
        terms: name of the column of terms.

    Raises:
        EvaluationError: a row lacks a column.
    """
    terms_of: dict[str, set[str]] = {}
    for number, row in enumerate(rows):
        if lacking := [column for column in (protein, terms) if column not in row]:
            raise EvaluationError(
                f"row {number}",
                found=f"columns {', '.join(row)}",
                required=f"a column {lacking[0]}",
                remedy="Name the columns of proteins and of terms.",
            )
        if row[protein]:
            value = row[terms]
            pieces = value.split(";") if isinstance(value, str) else ([] if value is None else value)
            terms_of.setdefault(row[protein], set()).update(
                piece.strip() for piece in pieces if piece.strip()
            )
    return terms_of


def _counts(proteins: Iterable[str], annotations: Mapping[str, Collection[str]]) -> Counter[str]:
    """Term -> how many of the proteins have it."""
    return Counter(term for protein in proteins for term in set(annotations.get(protein, ())))


def _add_p(rows: list[dict[str, Any]]) -> None:
    columns = ("hits", "annotated", "background_hits", "background")
    numbers = np.array([[row[column] for column in columns] for row in rows], int).reshape(-1, 4)
    for row, p in zip(rows, upper_tail(*numbers.T), strict=True):
        row["p"] = float(p)


def _add_q(rows: list[dict[str, Any]], tests: Mapping[str, int], family: str) -> None:
    """By namespace, and by cluster where that is the family."""
    families: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        families[row["namespace"], row["cluster"] if family == "cluster" else ""].append(row)
    for (namespace, _), some in families.items():
        rates = false_discovery_rates(np.array([row["p"] for row in some]), tests=tests[namespace])
        for row, q in zip(some, rates, strict=True):
            row["q"], row["tests"] = float(q), tests[namespace]


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
                found=f"{len(strangers)} proteins outside the background ({_first(strangers)})",
                required="a background that holds every clustered protein",
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
