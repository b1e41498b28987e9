"""Do the analyses find what is true of simulated screens: mixtures, variable proteins, phenotypes, rare patterns?

Three screens an organism, in one workspace: that of the demo, on which the encoder is trained; another of mixtures at
every balance and of variable proteins, and one of 2,000 proteins with rare patterns, both described by that encoder,
which has seen none of their cells.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from benchmarks.compared import Rows, rows_of, run_changed
from benchmarks.harness import Row
from benchmarks.truth import share_of, states_of_cells
from pcip_assets.alike import crops_of
from pcip_assets.tracking import Tracking
from pcip_assets.workspace import Workspace
from pcip_core.analysis.mismatch import mismatch, network_predictor
from pcip_core.analysis.phenotypes import phenotypes
from pcip_core.analysis.similar import nearest, recall
from pcip_core.features.deep import untrained_network
from pcip_core.models.files import load_encoder
from pcip_core.screen import Screen
from pcip_core.store.partitions import Store
from pcip_core.store.publish import connect

DESCRIPTION = (
    "clusters, mixtures, variable proteins, phenotypes, rare patterns, mismatched pairs, against truth"
)
_METHODS = ("maximum_likelihood", "ward", "average")
_PAIRS = {  # the demo's first
    "human": (("Cytosol", "Nuclear membrane"), ("Cytosol", "Nucleoplasm"), ("Nucleoplasm", "Nucleoli")),
    "yeast": (("Mitochondria", "Cytoplasm"), ("Cytoplasm", "Nucleus"), ("Cell periphery", "Vacuole")),
}
_RARE = {
    "human": ("Nuclear membrane", "Golgi apparatus", "Microtubules"),
    "yeast": ("Nuclear periphery", "Nucleolus", "Punctate"),
}
_MANY = {  # 2,000 proteins in all; fields of about five whole cells
    "human": {"proteins_per_class": 242, "mixed_proteins": 4, "field_size_px": 480},
    "yeast": {"proteins_per_class": 277, "mixed_proteins": 1, "field_size_px": 208},
}
_OF_A_PATTERN = 20
_FOUND = 32
_UNBALANCED = 0.2  # the smaller share, at most
_LEAST_CELLS = 10


def run() -> list[Row]:
    """Human, then yeast, each in a workspace of its own."""
    rows: list[Row] = []
    for organism in ("human", "yeast"):
        with tempfile.TemporaryDirectory() as folder:
            workspace = Workspace(Path(folder) / "data")
            rows += _rows(workspace, *_screens(workspace, organism), _RARE[organism])
    return rows


def _screens(workspace: Workspace, organism: str) -> tuple[Screen, Screen]:
    """Those of mixtures and of rare patterns."""
    name = f"simulated_{organism}"
    trained = f"{name}_trained"
    pairs = [list(pair) for pair in _PAIRS[organism]]
    mixtures = {
        "encoder_from": trained,
        "simulation": {
            "proteins_per_class": 16, "mixed_proteins": 120, "variable_proteins": 60, "pairs": pairs,
            "shares": [round(0.1 * tenth, 1) for tenth in range(1, 10)], "seed": 1,
        },
        "analyses": {"compartments": pairs, "clusters": {"methods": list(_METHODS)}},
    }  # fmt: skip
    many = {
        "encoder_from": trained,
        "simulation": {
            **_MANY[organism], "rare": dict.fromkeys(_RARE[organism], _OF_A_PATTERN), "plates": 24,
            "fields_per_image": 1, "variable_proteins": 0, "seed": 2,
        },
        "shards": {"by": None, "buckets": 4},
        "crops": {"min_cells": 2},
    }  # fmt: skip
    run_changed(workspace, name, trained, {})
    return (
        run_changed(workspace, name, f"{name}_mixtures", mixtures, analyses=True),
        run_changed(workspace, name, f"{name}_rare", many),
    )


def _rows(workspace: Workspace, mixtures: Screen, rare: Screen, patterns: Sequence[str]) -> Iterator[Row]:
    with connect(workspace.published) as con:
        yield from _compartments(con, mixtures)
        yield from _variable(con, mixtures)
        yield from _phenotypes(con, mixtures)
        yield from _clusters(con, mixtures)
        yield from _rare(con, rare, patterns)
        yield from _mismatch(con, workspace, mixtures)


def _about(screen: Screen) -> str:
    return f"{screen.name} (SIMULATED images)"


# -- two compartments --------------------------------------------------------------------------------------


def _compartments(con: duckdb.DuckDBPyConnection, screen: Screen) -> Iterator[Row]:
    """Scores of images and cells against the true shares of the second compartment."""
    states = states_of_cells(con, screen.name)
    for first, second in screen.analyses.compartments:
        cells = rows_of(
            con,
            f'SELECT s.cell_id, s.image_id, s.score, s.place, s."group", t.fractions '
            f"FROM {screen.name}.localization_scores s JOIN {screen.name}.truth_images t USING (image_id) "
            f"WHERE s.first = '{first}' AND s.second = '{second}'",
        )
        what = f"{_about(screen)}: {first} and {second}"
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
            for measure in ("score", "place"):
                yield Row(
                    what=f"{what}: Spearman of the cell's {measure} with its own fraction, {told}",
                    value=_spearman([row[measure] for row in known], own),
                    n=len(known),
                )


def _spearman(one: Sequence[float] | np.ndarray, other: Sequence[float] | np.ndarray) -> float:
    from scipy.stats import spearmanr

    return float(spearmanr(one, other).statistic)


# -- variable proteins -------------------------------------------------------------------------------------


def _variable(con: duckdb.DuckDBPyConnection, screen: Screen) -> Iterator[Row]:
    """Both rankings against which proteins are variable."""
    truth = {
        row["protein"]: row
        for row in rows_of(con, f"SELECT protein, kind, fractions FROM {screen.name}.truth_images")
    }
    by_deviation = {
        (first, second): _ranked(
            con, f"{screen.name}.protein_scores WHERE first = '{first}' AND second = '{second}'"
        )
        for first, second in screen.analyses.compartments
    }
    general = _ranked(con, f"{screen.name}.variability")
    rankings = {
        "standard deviation of the score": by_deviation,
        "variability": {
            pair: [protein for protein in general if protein in set(known)]
            for pair, known in by_deviation.items()
        },
    }
    kinds = {
        "mixtures": lambda share: True,
        f"unbalanced mixtures (smaller share <= {_UNBALANCED:g})": lambda share: share <= _UNBALANCED,
        f"balanced mixtures (smaller share > {_UNBALANCED:g})": lambda share: share > _UNBALANCED,
    }
    for measure, ranked in rankings.items():
        for told, wanted in kinds.items():
            lists = []
            for (_, second), proteins in ranked.items():
                shares = {one: share_of(truth[one]["fractions"], second) for one in proteins}
                lists.append(
                    [
                        truth[one]["kind"] == "variable"
                        for one in proteins
                        if wanted(round(min(shares[one], 1 - shares[one]), 3))
                    ]
                )
            yield from _ranking(f"{_about(screen)}: {measure}, {told} of one pair of compartments", lists)
    everything = [truth[one]["kind"] == "variable" for one in general]
    yield from _ranking(f"{_about(screen)}: variability, all proteins", [everything])


def _ranked(con: duckdb.DuckDBPyConnection, where: str) -> list[str]:
    """Proteins in the order of their rank; those without one are left out."""
    both = "AND" if "WHERE" in where else "WHERE"
    return [
        row["protein"]
        for row in rows_of(con, f"SELECT protein FROM {where} {both} rank IS NOT NULL ORDER BY rank")
    ]


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


# -- the phenotypes of a protein's cells ---------------------------------------------------------------------


def _phenotypes(con: duckdb.DuckDBPyConnection, screen: Screen) -> Iterator[Row]:
    """Clusters of the cells of each variable protein against what each cell truly shows."""
    from sklearn.metrics import adjusted_rand_score

    states = states_of_cells(con, screen.name)
    names, features = _cell_features(con, screen.name, screen.analyses.feature_set)
    place = {cell: row for row, cell in enumerate(names)}
    cells = rows_of(
        con,
        f"SELECT c.cell_id, t.protein FROM {screen.name}.cells c JOIN {screen.name}.truth_images t "
        "USING (image_id) WHERE t.kind = 'variable' ORDER BY c.cell_id",
    )
    own: dict[str, list[str]] = {}
    for row in cells:
        if row["cell_id"] in states:
            own.setdefault(row["protein"], []).append(row["cell_id"])
    for clusters, told in ((None, "as many as the silhouette says"), (2, "two")):
        scores = []
        for members in own.values():
            if len(members) >= _LEAST_CELLS:
                points = features[[place[cell] for cell in members]]
                found = phenotypes(points, members, reference=features, clusters=clusters)
                scores.append(adjusted_rand_score([states[cell] for cell in members], found.cluster))
        low, middle, high = np.quantile(scores, (0.25, 0.5, 0.75))
        yield Row(
            what=f"{_about(screen)}: phenotypes of a variable protein's cells, {told}: mean adjusted Rand index "
            f"(median {middle:.3f}; spread: quartiles)",
            value=float(np.mean(scores)),
            n=len(scores),
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


# -- clusters of proteins, and their terms -------------------------------------------------------------------


def _clusters(con: duckdb.DuckDBPyConnection, screen: Screen) -> Iterator[Row]:
    """The cut of each tree against the compartment of proteins in one alone, and what clusters are known for."""
    from sklearn.metrics import adjusted_rand_score

    rows = rows_of(
        con,
        f"SELECT c.protein, c.node, c.solution, t.kind, t.localization FROM {screen.name}.clusters c "
        f"JOIN {screen.name}.truth_images t USING (protein)",
    )
    top = rows_of(
        con,
        f"SELECT solution, node, term, q FROM {screen.name}.enrichment WHERE vocabulary = 'localization' "
        "QUALIFY row_number() OVER (PARTITION BY solution, node ORDER BY q, fold DESC) = 1",
    )
    for method in _METHODS:
        own = [row for row in rows if row["solution"] == method]
        single = [row for row in own if row["kind"] == "single"]
        number = len({row["node"] for row in own})
        yield Row(
            what=f"{_about(screen)}: {method}, {number} clusters: adjusted Rand index of proteins in one compartment",
            value=float(
                adjusted_rand_score([row["localization"] for row in single], [row["node"] for row in single])
            ),
            n=len(single),
        )
        best = {row["node"]: row for row in top if row["solution"] == method}
        right = [
            (node in best and best[node]["term"] == term and best[node]["q"] < 0.05)
            for node, term in _majorities(own).items()
        ]
        yield Row(
            what=f"{_about(screen)}: {method}, clusters of which more than half are proteins of one compartment "
            "alone: share whose first term is that compartment, q < 0.05",
            value=float(np.mean(right)) if right else None,
            n=len(right),
        )


def _majorities(rows: Rows) -> dict[str, str]:
    """Cluster -> the compartment in which more than half of its proteins are, and nowhere else."""
    found = {}
    for node in sorted({row["node"] for row in rows}):
        members = [row for row in rows if row["node"] == node]
        terms = [row["localization"] for row in members if row["kind"] == "single"]
        for term in set(terms):
            if 2 * terms.count(term) > len(members):
                found[node] = term
    return found


# -- rare patterns -------------------------------------------------------------------------------------------


def _rare(con: duckdb.DuckDBPyConnection, screen: Screen, patterns: Sequence[str]) -> Iterator[Row]:
    """From one protein of a pattern, how many of the others are among the nearest."""
    truth = {
        row["protein"]: row["localization"]
        for row in rows_of(con, f"SELECT protein, localization FROM {screen.name}.truth_images")
    }
    cells = rows_of(con, f"SELECT count(*) AS n FROM {screen.name}.cells")[0]["n"]
    found: dict[tuple[str, str], list[float]] = {}
    for method in ("inpainting", "untrained"):
        layer = screen.analyses.feature_set.rsplit("_", 1)[1]
        table = con.execute(
            f"SELECT protein, features FROM {screen.name}.protein_features_{method}_{layer} ORDER BY protein"
        ).fetchall()
        points = np.array([features for _, features in table], np.float32)
        for pattern in patterns:
            wanted = [row for row, (protein, _) in enumerate(table) if truth[protein] == pattern]
            found[method, pattern] = [
                recall(nearest(points, [seed], _FOUND).rows, wanted, [seed], of=len(table))["recall"]
                for seed in wanted
            ]
    for pattern in patterns:
        ours, theirs = (found[method, pattern] for method in ("inpainting", "untrained"))
        yield Row(
            what=f"{_about(screen)}: {pattern}, {len(ours)} of {len(table):,} proteins of {cells / len(table):.1f} "
            f"cells: recall at {_FOUND} from one seed, mean over seeds (chance {_FOUND / (len(table) - 1):.3f})",
            value=float(np.mean(ours)),
            against="untrained",
            against_value=float(np.mean(theirs)),
            ratio=float(np.mean(ours)) / max(float(np.mean(theirs)), 1e-9),
            n=len(ours),
            spread=(min(ours), max(ours)),
        )


# -- mismatched pairs ----------------------------------------------------------------------------------------


def _mismatch(con: duckdb.DuckDBPyConnection, workspace: Workspace, screen: Screen) -> Iterator[Row]:
    """What the network paints from sources of another compartment, and the same of an untrained one."""
    cells = rows_of(
        con,
        f"SELECT c.cell_id, c.image_id, t.localization FROM {screen.name}.cells c "
        f"JOIN {screen.name}.truth_images t USING (image_id) WHERE t.kind = 'single' ORDER BY c.cell_id",
    )
    pixels = crops_of(Store(workspace.store), screen, [row["cell_id"] for row in cells])
    encoder = Tracking(data=str(workspace.data)).champion(screen.encoder_screen)
    trained: Any = load_encoder(encoder.folder)
    networks = {"trained": trained, "untrained": untrained_network(trained.config, screen.encoder.seed)}
    found = {
        name: mismatch(
            network_predictor(network),
            pixels,
            np.array([row["localization"] for row in cells]),
            np.array([row["image_id"] for row in cells]),
            channels=screen.crop_channels,
            structural=screen.structural,
            protein=screen.protein,
        ).summary
        for name, network in networks.items()
    }
    ours, theirs = found["trained"], found["untrained"]
    for key, aim, held in (
        ("share_resembling_source", None, None),
        ("margin", "above the untrained network's", ours["margin"] > theirs["margin"]),
        ("share_worse_than_matched", "> 0.5", ours["share_worse_than_matched"] > 0.5),
    ):
        yield Row(
            what=f"{_about(screen)}: mismatched pairs of cells never trained on: {key.replace('_', ' ')}",
            value=ours[key],
            against="untrained",
            against_value=theirs[key],
            ratio=ours[key] / theirs[key] if theirs[key] else None,
            n=int(ours["n"]),
            aim=aim,
            held=held,
        )
