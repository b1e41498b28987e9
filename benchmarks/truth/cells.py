"""Cells between compartments, variable proteins and phenotypes, against the truth of each cell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import duckdb
import numpy as np

from benchmarks.common.harness import Row
from benchmarks.common.screens import rows_of
from benchmarks.truth.states import about, share_of, states_of_cells
from pcip_core.analysis.phenotypes import phenotypes
from pcip_core.features.blocks import columns_of
from pcip_core.spec.screen import Screen

_UNBALANCED = 0.2  # the smaller share, at most
_LEAST_CELLS = 10


def compartment_rows(con: duckdb.DuckDBPyConnection, screen: Screen) -> Iterator[Row]:
    """Scores of images and cells against the true shares of the second compartment."""
    states = states_of_cells(con, screen.name)
    for first, second in screen.analyses.compartments:
        cells = rows_of(
            con,
            f'SELECT s.cell_id, s.image_id, s.score, s.place, s."group", t.fractions '
            f"FROM {screen.name}.localization_scores s JOIN {screen.name}.truth_images t USING (image_id) "
            f"WHERE s.first = '{first}' AND s.second = '{second}'",
        )
        what = f"{about(screen)}: {first} and {second}"
        for groups, told in (
            (("first_only", "both", "second_only"), "images of either or both"),
            (("both",), "images of both alone"),
        ):
            chosen = [row for row in cells if row["group"] in groups]
            images, place = np.unique([row["image_id"] for row in chosen], return_inverse=True)
            shares = {row["image_id"]: share_of(row["fractions"], second) for row in chosen}
            means = np.bincount(place, [row["score"] for row in chosen]) / np.bincount(place)
            rho = _spearman(means, [shares[image] for image in images.tolist()])
            aimed = len(groups) > 1
            yield Row(
                what=f"{what}: Spearman of the image mean of the score with the true fraction, {told}",
                value=rho,
                n=len(images),
                aim=">= 0.9" if aimed else None,
                held=rho >= 0.9 if aimed else None,
            )
            known = [row for row in chosen if row["cell_id"] in states]
            own = [share_of(states[row["cell_id"]], second) for row in known]
            for measure in ("score",) if aimed else ("score", "place"):
                yield Row(
                    what=f"{what}: Spearman of the cell's {measure} with its own fraction, {told}",
                    value=_spearman([row[measure] for row in known], own),
                    n=len(known),
                )


def _spearman(one: Sequence[float] | np.ndarray, other: Sequence[float] | np.ndarray) -> float:
    from scipy.stats import spearmanr

    return float(spearmanr(one, other).statistic)


def variable_rows(con: duckdb.DuckDBPyConnection, screen: Screen) -> Iterator[Row]:
    """Both rankings against which proteins are variable."""
    truth = {
        row["protein"]: row
        for row in rows_of(con, f"SELECT protein, kind, fractions FROM {screen.name}.truth_images")
    }
    general = _ranked(con, f"SELECT protein FROM {screen.name}.variability ORDER BY rank")
    places = _ranked(
        con,
        f"SELECT protein FROM {screen.name}.localization_scores JOIN {screen.name}.truth_images USING (image_id) "
        f"WHERE \"group\" = 'both' GROUP BY protein HAVING count(*) >= {_LEAST_CELLS} "
        "ORDER BY stddev_samp(place) DESC",
    )
    scores, variability = {}, {}
    for first, second in screen.analyses.compartments:
        scores[first, second] = _ranked(
            con,
            f"SELECT protein FROM {screen.name}.protein_scores WHERE first = '{first}' "
            f"AND second = '{second}' AND rank IS NOT NULL ORDER BY rank",
        )
        own = set(scores[first, second])
        variability[first, second] = [protein for protein in general if protein in own]
    kinds = {
        "mixtures": (0.0, 0.5),
        f"unbalanced mixtures (smaller share <= {_UNBALANCED:g})": (0.0, _UNBALANCED),
        f"balanced mixtures (smaller share > {_UNBALANCED:g})": (_UNBALANCED + 0.05, 0.5),
    }
    for measure, rankings in (
        ("standard deviation of the score, within a pair", list(scores.values())),
        ("standard deviation of the place, all pairs in one ranking", [places]),
        ("variability, within a pair", list(variability.values())),
        ("variability, all pairs in one ranking", [[one for one in general if one in set(places)]]),
    ):
        for told, (low, high) in kinds.items():
            chosen = [
                [
                    truth[one]["kind"] == "variable"
                    for one in ranking
                    if low <= _smaller_share(truth[one]["fractions"]) <= high
                ]
                for ranking in rankings
            ]
            yield from _ranking(f"{about(screen)}: {measure}, {told}", chosen)
    everything = [truth[one]["kind"] == "variable" for one in general]
    yield from _ranking(f"{about(screen)}: variability, all proteins in one ranking", [everything])


def _smaller_share(fractions: str) -> float:
    return min(float(part.split("=")[1]) for part in fractions.split(";"))


def _ranked(con: duckdb.DuckDBPyConnection, query: str) -> list[str]:
    return [row["protein"] for row in rows_of(con, query)]


def _ranking(what: str, lists: list[list[bool]]) -> Iterator[Row]:
    """Precision at 10 and average precision, the mean over lists (one a pair of compartments); chance beside."""
    from sklearn.metrics import average_precision_score

    at_ten = [float(np.mean(one[:10])) for one in lists]
    average = [float(average_precision_score(one, -np.arange(len(one)))) for one in lists]
    chance = float(np.mean([np.mean(one) for one in lists]))
    for name, values in (("precision at 10", at_ten), ("average precision", average)):
        yield Row(
            what=f"{what}: {name}",
            value=float(np.mean(values)),
            against="chance",
            against_value=chance,
            ratio=float(np.mean(values)) / chance,
            n=sum(map(len, lists)),
            spread=(min(values), max(values)) if len(values) > 1 else None,
        )


def phenotype_rows(con: duckdb.DuckDBPyConnection, screen: Screen) -> Iterator[Row]:
    """Clusters of the cells of each variable protein against what each cell truly shows."""
    from sklearn.metrics import adjusted_rand_score

    states = states_of_cells(con, screen.name)
    names, features = _cell_features(con, screen.name, screen.feature_set)
    place = {cell: row for row, cell in enumerate(names)}
    cells = rows_of(
        con,
        f"SELECT c.cell_id, t.protein, t.fractions FROM {screen.name}.cells c "
        f"JOIN {screen.name}.truth_images t USING (image_id) WHERE t.kind = 'variable' ORDER BY c.cell_id",
    )
    own: dict[tuple[str, float], list[str]] = {}
    for row in cells:
        if row["cell_id"] in states:
            own.setdefault((row["protein"], _smaller_share(row["fractions"])), []).append(row["cell_id"])
    columns = columns_of(features)
    for clusters, number in ((None, "as many as the silhouette says"), (2, "two")):
        scores: dict[str, list[float]] = {"all": [], "unbalanced": [], "balanced": []}
        for (_, share), members in own.items():
            if len(members) >= _LEAST_CELLS:
                points = features[[place[cell] for cell in members]]
                found = phenotypes(points, members, reference=columns, clusters=clusters)
                score = float(adjusted_rand_score([states[cell] for cell in members], found.cluster))
                scores["all"].append(score)
                scores["unbalanced" if share <= _UNBALANCED else "balanced"].append(score)
        for told, values in scores.items():
            low, middle, high = np.quantile(values, (0.25, 0.5, 0.75))
            yield Row(
                what=f"{about(screen)}: phenotypes of a variable protein's cells, {number}, {told} mixtures: "
                f"mean adjusted Rand index (median {middle:.3f}; spread: quartiles)",
                value=float(np.mean(values)),
                n=len(values),
                spread=(float(low), float(high)),
            )


def _cell_features(
    con: duckdb.DuckDBPyConnection, schema: str, feature_set: str
) -> tuple[list[str], np.ndarray]:
    """Ids (n) and features (n, d) of all cells."""
    found = con.execute(
        f"SELECT cell_id, features FROM {schema}.cell_features_{feature_set} ORDER BY cell_id"
    )
    names, vectors = zip(*found.fetchall(), strict=True)
    return list(names), np.array(vectors, np.float32)
