"""Do the analyses recover the truth of simulated screens: mixtures, variable proteins, phenotypes, rare patterns?

There are three screens per organism, in one workspace: that of the demo, on which the encoder is trained and whose
proteins are clustered; one with mixtures in all proportions and with variable proteins; and one of 2,000 proteins with
rare patterns. The encoder of the first also describes the cells of the other two, none of which it was trained on.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.common.harness import Row
from benchmarks.common.screens import INPAINTING, run_changed
from benchmarks.truth.cells import compartment_rows, phenotype_rows, variable_rows
from benchmarks.truth.mismatched import mismatch_rows
from benchmarks.truth.proteins import cluster_rows, rare_rows
from pcip_assets.workspace import Workspace
from pcip_core.spec.screen import Screen
from pcip_core.store.publish import connect

DESCRIPTION = (
    "clusters, mixtures, variable proteins, phenotypes, rare patterns and mismatched pairs against the truth"
)
SECONDS, LONG = 1800, True
_PAIRS = {  # the demo's first
    "human": (("Cytosol", "Nuclear membrane"), ("Cytosol", "Nucleoplasm"), ("Nucleoplasm", "Nucleoli")),
    "yeast": (("Mitochondria", "Cytoplasm"), ("Cytoplasm", "Nucleus"), ("Cell periphery", "Vacuole")),
}
_RARE = {
    "human": ("Nuclear membrane", "Golgi apparatus", "Microtubules"),
    "yeast": ("Nuclear periphery", "Nucleolus", "Punctate"),
}
_MANY = {  # 2,000 proteins in all; fields of seven or eight whole cells
    "human": {"proteins_per_class": 242, "mixed_proteins": 4, "field_size_px": 520},
    "yeast": {"proteins_per_class": 277, "mixed_proteins": 1, "field_size_px": 256},
}
_OF_A_PATTERN = 20


def run() -> list[Row]:
    """Human, then yeast, each in a workspace of its own."""
    rows: list[Row] = []
    for organism in ("human", "yeast"):
        with tempfile.TemporaryDirectory() as folder:
            workspace = Workspace(Path(folder) / "data")
            screens = _screens(workspace, organism)
            rows += _rows(workspace, *screens, _RARE[organism])
            rows += _mismatched(workspace, organism)
    return rows


def _screens(workspace: Workspace, organism: str) -> tuple[Screen, Screen, Screen]:
    """The demo's, that of mixtures, and that of rare patterns."""
    name = f"simulated_{organism}"
    trained = f"{name}_trained"
    pairs = [list(pair) for pair in _PAIRS[organism]]
    clusters = {"methods": ["maximum_likelihood", "ward", "average"]}
    mixtures = {
        "encoder_from": trained,
        "simulation": {
            "proteins_per_class": 16, "mixed_proteins": 120, "variable_proteins": 60, "pairs": pairs,
            "shares": [round(0.1 * tenth, 1) for tenth in range(1, 10)], "seed": 1,
        },
        "analyses": {"compartments": pairs, "clusters": clusters},
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
    return (
        run_changed(workspace, name, trained, {"analyses": {"clusters": clusters}}, analyses=True),
        run_changed(workspace, name, f"{name}_mixtures", mixtures, analyses=True),
        run_changed(workspace, name, f"{name}_rare", many),
    )


def _rows(
    workspace: Workspace, trained: Screen, mixtures: Screen, rare: Screen, patterns: Sequence[str]
) -> Iterator[Row]:
    with connect(workspace.published) as con:
        yield from compartment_rows(con, mixtures)
        yield from variable_rows(con, mixtures)
        yield from phenotype_rows(con, mixtures)
        yield from cluster_rows(con, trained)
        yield from cluster_rows(con, mixtures)
        yield from rare_rows(con, rare, patterns)


def _mismatched(workspace: Workspace, organism: str) -> list[Row]:
    """The rows of an encoder that predicts proteins, on cells that it was not trained on."""
    name = f"simulated_{organism}"
    encoder = {"recipe": "paper", "epochs": 16, **INPAINTING}
    run_changed(workspace, name, f"{name}_inpainting", {"encoder": encoder})
    others = {"encoder_from": f"{name}_inpainting", "simulation": {"seed": 3}}
    screen = run_changed(workspace, name, f"{name}_mismatched", others)
    with connect(workspace.published) as con:
        return list(mismatch_rows(con, workspace, screen))
