"""Ground truth of simulated images and cells."""

from __future__ import annotations

from pcip_core.store.schemas.screen import SHARD
from pcip_core.store.schemas.table import INTEGER, NUMBER, TEXT, Table

TRUTH_IMAGES = Table(
    name="truth_images",
    description="Simulated screens only: one row per image, with its true parameters (`docs/reference/simulation.md`).",
    columns={
        "image_id": (TEXT, "Name of the image."),
        "protein": (TEXT, "Name of the simulated protein."),
        "cell_line": (TEXT, "One of the two simulated cell lines or strains."),
        "kind": (
            TEXT,
            "`single`, `mixed` (both compartments in each cell) or `variable` (one or the other).",
        ),
        "localization": (TEXT, "Compartments, separated by `;`."),
        "fractions": (
            TEXT,
            "`compartment=share`, separated by `;`: shares of the protein in a cell, or of the cells where `kind` "
            "is `variable`.",
        ),
        "variable_rate": (
            NUMBER,
            "Share of the cells with the second compartment where `kind` is `variable`; otherwise 0.",
        ),
        "abundance": (NUMBER, "Brightness of the protein relative to the screen's median."),
        "leak": (NUMBER, "Share of the protein that is diffuse in the whole cell."),
        "focus_px": (NUMBER, "Standard deviation of the point spread function in this well (pixels)."),
        "n_cells": (INTEGER, "Number of cells drawn with their centre in the image's fields."),
        "simulator_version": (INTEGER, "Version of the simulator."),
        "seed": (INTEGER, "Seed of the screen."),
        **SHARD,
    },
    added=("shard",),
)

TRUTH_CELLS = Table(
    name="truth_cells",
    description="Simulated screens only: one row per cell, with its true parameters (`docs/reference/simulation.md`).",
    columns={
        "image_id": (TEXT, "Name of the image."),
        "cell_line": (TEXT, "Cell line or strain of the image."),
        "field": (INTEGER, "Number of the field within its image."),
        "cell_number": (
            INTEGER,
            "Number of the cell in its field; cells outside the field have numbers too.",
        ),
        "y_px": (
            NUMBER,
            "Centre of the nucleus (human) or of the mother cell (yeast), from the top of the field (pixels).",
        ),
        "x_px": (NUMBER, "The same centre, from the left of the field (pixels)."),
        "area_px": (
            NUMBER,
            "Area drawn (pixels): the territory within the field (human), or mother and bud (yeast).",
        ),
        "stage": (
            TEXT,
            "Stage of the cell cycle: `G1`, `S`, `G2`, `M`; `unbudded`, `small bud`, `large bud`.",
        ),
        "expression": (NUMBER, "Amount of protein relative to the median cell of its image."),
        "leak": (NUMBER, "Share of the cell's protein that is diffuse in the whole cell."),
        "state": (TEXT, "`compartment=share` of this cell, separated by `;`."),
        **SHARD,
    },
    added=("shard",),
)
