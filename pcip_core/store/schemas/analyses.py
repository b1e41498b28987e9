"""Tables of the analyses of a screen: clusters of proteins, enriched terms, variation between cells."""

from __future__ import annotations

from pcip_core.store.schemas.table import FLAG, INTEGER, NUMBER, TEXT, TEXTS, Table

_CELL_LINE = {"cell_line": (TEXT, "Cell line; empty where it is not known.")}
_ENDS = {
    "first": (TEXT, "First compartment of the pair."),
    "second": (TEXT, "Second compartment of the pair."),
}

CLUSTERS = Table(
    name="clusters",
    description="Clusters of proteins: one row per cluster and protein, nested clusters included.",
    columns={
        "protein": (TEXT, "Name of the protein."),
        "member": (TEXT, "Clustered unit: the protein, or `PROTEIN (line)` where cell lines are separate."),
        "solution": (
            TEXT,
            "Clustering method: `maximum_likelihood`, `ward`, `average`; for a part of the proteins "
            "`ward within <name>`.",
        ),
        "node": (TEXT, "Name of the cluster: `1`, `2`, ... from the cut, or a name given by the user."),
        "parent": (
            TEXT,
            "Smallest cluster of the same kind (cut or named) that contains it; NULL without one.",
        ),
        "height": (
            NUMBER,
            "Height of the cluster in the tree: distance, or accumulated loss of log-likelihood (nats).",
        ),
        "size": (INTEGER, "Number of members of the cluster."),
        "tree_node": (INTEGER, "Number of the cluster's node in `cluster_trees`."),
    },
)

CLUSTER_TREES = Table(
    name="cluster_trees",
    description="Trees of proteins: one row per node, leaves included.",
    columns={
        "solution": (TEXT, "Clustering method, as in `clusters`."),
        "tree_node": (INTEGER, "Number of the node; leaves come first."),
        "parent": (INTEGER, "Number of the node above; NULL at the root."),
        "height": (NUMBER, "Distance, or accumulated loss of log-likelihood (nats); 0 for leaves."),
        "size": (INTEGER, "Number of leaves under the node."),
        "first_leaf": (INTEGER, "Position of its first leaf in the order of the heat map, from 0."),
        "member": (TEXT, "Clustered unit of a leaf; NULL for other nodes."),
    },
)

UNITS = Table(
    name="units",
    description="Units that separate the labels (or clusters) best, and the cells that they respond to: one row per "
    "unit.",
    columns={
        "feature_set": (TEXT, "Feature set of the unit."),
        "unit": (
            INTEGER,
            "Number of the unit, from 0: its place in the vector (from 1 in SQL: `features[unit + 1]`).",
        ),
        "rank": (INTEGER, "Rank by `share`, from 1."),
        "grouped_by": (
            TEXT,
            "What is separated: the column of labels, or `cluster of <solution>` without labels.",
        ),
        "label": (TEXT, "Label or cluster with the highest mean of the unit."),
        "share": (NUMBER, "Share of the variance of the unit between the labels, from 0 to 1."),
        "highest": (TEXTS, "Cells with the highest values, the highest first."),
        "lowest": (TEXTS, "Cells with the lowest values, the lowest first."),
    },
)

ENRICHMENT = Table(
    name="enrichment",
    description="Terms of clusters, tested against all clustered proteins: one row per cluster and term with at "
    "least one hit.",
    columns={
        "solution": (TEXT, "Clustering method, as in `clusters`."),
        "node": (TEXT, "Name of the cluster."),
        "vocabulary": (
            TEXT,
            "Source of the term: `localization` (the screen's annotation), `go` (Gene Ontology), or the name of a "
            "table of `analyses.annotations`.",
        ),
        "namespace": (
            TEXT,
            "Namespace of the term: `cellular_component`; empty for the screen's annotation.",
        ),
        "term": (TEXT, "Identifier of the term."),
        "name": (TEXT, "Name of the term."),
        "hits": (INTEGER, "Number of proteins of the cluster with the term (k of Table 3 in the paper)."),
        "annotated": (INTEGER, "Number of proteins of the cluster with any term."),
        "cluster_size": (INTEGER, "Number of proteins of the cluster."),
        "background_hits": (INTEGER, "Number of clustered proteins with the term."),
        "background": (INTEGER, "Number of clustered proteins with any term."),
        "tests": (INTEGER, "Number of terms tested for this cluster."),
        "fold": (NUMBER, "Share in the cluster divided by share in the background."),
        "p": (NUMBER, "Probability of as many hits or more (hypergeometric test)."),
        "q": (NUMBER, "False discovery rate (Benjamini and Hochberg)."),
    },
)

LOCALIZATION_SCORES = Table(
    name="localization_scores",
    description="Position of cells between two compartments: one row per pair of compartments and cell whose "
    "image is annotated to one of them alone or to both.",
    columns={
        **_ENDS,
        "cell_id": (TEXT, "Name of the cell."),
        "image_id": (TEXT, "Image of the cell."),
        "group": (TEXT, "Annotation of the image: `first_only`, `both`, `second_only`."),
        "score": (
            NUMBER,
            "log(distance to the mean of the first / distance to the mean of the second); negative: nearer to the "
            "first.",
        ),
        "place": (
            NUMBER,
            "Position along the line between the means: 0 at the first, 1 at the second; not bounded.",
        ),
    },
)

PROTEIN_SCORES = Table(
    name="protein_scores",
    description="Scores between two compartments: one row per pair of compartments, protein and cell line "
    "(Supplementary Data 2 of the paper).",
    columns={
        **_ENDS,
        "protein": (TEXT, "Name of the protein."),
        **_CELL_LINE,
        "group": (TEXT, "Annotation, as in `localization_scores`."),
        "mean": (NUMBER, "Mean score of its cells."),
        "standard_deviation": (
            NUMBER,
            "Standard deviation of its cells' scores; the paper's measure of variability.",
        ),
        "n": (INTEGER, "Number of cells."),
        "rank": (
            INTEGER,
            "Rank by standard deviation among proteins in both compartments, 1 for the most variable; NULL for "
            "other proteins and for those with few cells.",
        ),
        "mean_place": (NUMBER, "Mean `place` of its cells."),
        "standard_deviation_place": (
            NUMBER,
            "Standard deviation of its cells' `place`; comparable between pairs of compartments, unlike scores.",
        ),
        "place_rank": (INTEGER, "Rank by that over all pairs of compartments; NULL as in `rank`."),
    },
)

VARIABILITY = Table(
    name="variability",
    description="Variation between the cells of a protein, without annotation: one row per protein and cell line.",
    columns={
        "protein": (TEXT, "Name of the protein."),
        **_CELL_LINE,
        "n": (INTEGER, "Number of cells."),
        "log_intensity": (NUMBER, "Logarithm of the mean intensity of the protein channel."),
        "spread": (
            NUMBER,
            "Logarithm of the mean squared distance of its cells to their mean, in standardized features.",
        ),
        "excess": (
            NUMBER,
            "Residual of `spread` after intensity and cell line are regressed out (robust standard deviations).",
        ),
        "split": (
            NUMBER,
            "Separation of its cells into two groups along their main direction; about 1 without one.",
        ),
        "split_excess": (
            NUMBER,
            "Residual of `split` after intensity, cell line and number of cells are regressed out (robust standard "
            "deviations).",
        ),
        "variability": (NUMBER, "Sum of the normal scores of the ranks of both residuals."),
        "rank": (INTEGER, "Rank by `variability`, 1 for the most variable."),
    },
)

VARIABILITY_CELLS = Table(
    name="variability_cells",
    description="Position of cells along the main direction in which the cells of their protein differ: one row per "
    "cell of the proteins in `variability`.",
    columns={
        "protein": (TEXT, "Name of the protein."),
        **_CELL_LINE,
        "cell_id": (TEXT, "Name of the cell."),
        "image_id": (TEXT, "Image of the cell."),
        "place": (
            NUMBER,
            "Position along the first principal component of the cells of its protein and cell line, in standardized "
            "features; which end is positive is arbitrary.",
        ),
    },
)

PHENOTYPES = Table(
    name="phenotypes",
    description="Phenotypes: clusters of the cells of one protein in one cell line (Ward's linkage); one row per "
    "clustered cell of the chosen proteins.",
    columns={
        "protein": (TEXT, "Name of the protein."),
        **_CELL_LINE,
        "cell_id": (TEXT, "Name of the cell."),
        "image_id": (TEXT, "Image of the cell."),
        "phenotype": (
            INTEGER,
            "Number of the phenotype among those of the protein and cell line, 1 for the largest.",
        ),
        "share": (NUMBER, "Share of the clustered cells of the protein and cell line with this phenotype."),
        "leaf": (INTEGER, "Position of the cell in the dendrogram, from 0 at the left."),
        "representative": (
            FLAG,
            "True for the cells drawn below the dendrogram: those nearest to all others of their phenotype.",
        ),
        "x": (NUMBER, "First principal component of the protein's cells, in standardized features."),
        "y": (NUMBER, "Second principal component."),
    },
)

MISMATCH = Table(
    name="mismatch",
    description="Predictions from a source whose label differs from the target's: one row per network and pair of "
    "cells.",
    columns={
        "network": (TEXT, "`encoder`, or `untrained`: the same network before training, as a control."),
        "encoder_version": (TEXT, "Model version of the network."),
        "source_cell": (TEXT, "Source cell, of which the network sees all channels."),
        "target_cell": (
            TEXT,
            "Target cell, of which it sees the structural channels and predicts the protein.",
        ),
        "source_label": (TEXT, "Label of the source, from the column that the benchmark scores by."),
        "target_label": (TEXT, "Label of the target."),
        "n_references": (
            INTEGER,
            "Number of other sources of each label, whose mean prediction represents the label.",
        ),
        "r_source": (
            NUMBER,
            "Correlation of the prediction with the mean prediction from the source's label.",
        ),
        "r_target": (NUMBER, "Correlation with the mean prediction from the target's label."),
        "r_truth": (NUMBER, "Correlation with the true protein channel of the target."),
        "r_matched": (
            NUMBER,
            "Mean correlation of the predictions from the target's label with the true channel.",
        ),
        "resembles_source": (FLAG, "True where `r_source` is above both `r_target` and `r_truth`."),
    },
)

_POSITION = {
    "x": (NUMBER, "First coordinate on the map (no unit)."),
    "y": (NUMBER, "Second coordinate on the map (no unit)."),
}

MAP_PROTEINS = Table(
    name="map_proteins",
    description="UMAP of the proteins that the analyses compare, by their mean features: one row per clustered unit. "
    "Empty with fewer than 8 or more than 20,000 proteins.",
    columns={
        "feature_set": (TEXT, "Feature set of the analyses, from which the map was made."),
        "protein": (TEXT, "Name of the protein."),
        "member": (TEXT, "Clustered unit, as in `clusters`."),
        "label": (
            TEXT,
            "Localization term of the protein; NULL unless all its images have this one term alone.",
        ),
        **_POSITION,
    },
)

MAP_CELLS = Table(
    name="map_cells",
    description="UMAP of a sample of cells, evenly from all images: one row per cell. Empty with fewer than 32 cells.",
    columns={
        "feature_set": (TEXT, "Feature set of the analyses, from which the map was made."),
        "cell_id": (TEXT, "Name of the cell."),
        "image_id": (TEXT, "Image of the cell."),
        "label": (TEXT, "Localization term of the image; NULL where it has none, or several."),
        **_POSITION,
    },
)
