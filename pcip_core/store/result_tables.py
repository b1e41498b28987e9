"""What the columns of scores and analyses mean: the part of `tables.py` that follows from features."""

from __future__ import annotations

from pcip_core.store.table_doc import TableDoc

RESULTS = (
    TableDoc(
        "confusion",
        "What was taken for what; pairs that never occur have no row. A view over `confusion_<noun>`.",
        {
            "feature_set": "What was scored.",
            "task": "The column of `images` that was predicted.",
            "classifier": "As in main.benchmarks.",
            "parameter": "As in main.benchmarks.",
            "protocol": "As in main.benchmarks.",
            "label": "The true class.",
            "predicted": "What was predicted.",
            "n": "Cells.",
        },
    ),
    TableDoc(
        "exclusions",
        "What was not scored, and why; reasons without a case have no row. A view over `exclusions_<noun>`.",
        {
            "feature_set": "What was scored; NULL for what all sets have in common.",
            "task": "The column of `images` that was predicted.",
            "classifier": "As in main.benchmarks, or several; NULL for all.",
            "protocol": "As in main.benchmarks; NULL for all.",
            "reason": "`cells_without_label`, `cells_with_several_labels`, `cells_seen_before` (the same pixels), "
            "`cells_that_a_feature_set_lacks`, `columns_not_finite`, `columns_constant`, "
            "`cells_of_classes_with_one_cell`, `cells_of_classes_in_one_group`, `ks_above_neighbours_left`, "
            "`terms_with_few_proteins`, ...; `classes_smaller_than_k` are scored, but cannot win every vote.",
            "n": "How many cells, columns, ks, classes or terms.",
        },
    ),
    TableDoc(
        "supervised_images",
        "The images that the supervised network was trained on, and those kept for its score.",
        {
            "image_id": "Name of the image.",
            "held": "True where it was kept.",
            "encoder_version": "The network.",
        },
    ),
    TableDoc(
        "umap_cells",
        "Cells with one label on a map of two dimensions, by UMAP; a sample where there are many.",
        {
            "feature_set": "What the map was made from.",
            "cell_id": "Name of the cell.",
            "image_id": "Its image.",
            "label": "Its label.",
            "x": "Across; the map has no unit.",
            "y": "Up.",
        },
    ),
    TableDoc(
        "umap_proteins",
        "Proteins on a map of two dimensions, by UMAP of their mean features.",
        {
            "feature_set": "What the map was made from.",
            "protein": "Name of the protein.",
            "label": "Its label, where all its images agree on one.",
            "x": "Across; the map has no unit.",
            "y": "Up.",
        },
    ),
    TableDoc(
        "clusters",
        "Clusters of proteins; a protein has a row for each cluster that holds it, also of nested ones.",
        {
            "protein": "The protein.",
            "member": "What was clustered: the protein, or `PROTEIN (line)` where lines are kept apart.",
            "solution": "How proteins were merged: `maximum_likelihood`, `ward`, `average`.",
            "node": "Name of the cluster: `1`, `2`, ... of the cut, or your own.",
            "parent": "The smallest cluster of its kind (cut or your own) around it; NULL where there is none.",
            "height": "Of the cluster in the tree: distance, or nats of likelihood lost so far.",
            "size": "Members of the cluster.",
            "tree_node": "Its number in `cluster_trees`.",
        },
    ),
    TableDoc(
        "cluster_trees",
        "Every node of the trees of proteins, leaves too.",
        {
            "solution": "How proteins were merged.",
            "tree_node": "Number of the node; leaves come first.",
            "parent": "The node above; NULL at the root.",
            "height": "Distance, or nats of likelihood lost so far; 0 for leaves.",
            "size": "Leaves under it.",
            "first_leaf": "Where its leaves begin in the order of the map; they are `size` in a row.",
            "member": "What a leaf is; NULL for other nodes.",
        },
    ),
    TableDoc(
        "enrichment",
        "Terms of clusters, tested against all clustered proteins; a row where a cluster has a protein of the term.",
        {
            "solution": "As in `clusters`.",
            "node": "The cluster.",
            "vocabulary": "`localization`: the screen's own terms; `go`: the Gene Ontology's.",
            "namespace": "Of the term: `cellular_component`; empty for the screen's own.",
            "term": "Its id.",
            "name": "Its name.",
            "hits": "Proteins of the cluster with the term (k of Table 3).",
            "annotated": "Proteins of the cluster with any term.",
            "cluster_size": "Proteins of the cluster.",
            "background_hits": "Clustered proteins with the term.",
            "background": "Clustered proteins with any term.",
            "tests": "Terms that were tested with it for this cluster.",
            "fold": "Share in the cluster over share in the background.",
            "p": "Chance of so many or more (hypergeometric).",
            "q": "False discovery rate (Benjamini and Hochberg).",
        },
    ),
    TableDoc(
        "localization_scores",
        "Cells of images annotated to one of two compartments alone, or to both: where they lie between.",
        {
            "first": "The first compartment.",
            "second": "The second.",
            "cell_id": "Name of the cell.",
            "image_id": "Its image.",
            "group": "What the image is annotated to: `first_only`, `both`, `second_only`.",
            "score": "log(distance to the mean of the first / to that of the second); negative: nearer to the first.",
            "place": "Along the line between the means: 0 at the first, 1 at the second, beyond them too.",
        },
    ),
    TableDoc(
        "protein_scores",
        "Scores between two compartments, by protein and cell line (the paper's Supplementary Data 2).",
        {
            "first": "The first compartment.",
            "second": "The second.",
            "protein": "The protein.",
            "cell_line": "Its cell line; empty where none is known.",
            "group": "As in `localization_scores`.",
            "mean": "Mean score of its cells.",
            "standard_deviation": "Of its cells' scores; the paper's measure of variability.",
            "n": "Cells.",
            "rank": "Among those in both compartments, the most variable first; NULL for others and for few cells.",
        },
    ),
    TableDoc(
        "variability",
        "Proteins in a cell line, ranked by how much their cells differ; no annotation is needed.",
        {
            "protein": "The protein.",
            "cell_line": "Its cell line; empty where none is known.",
            "n": "Cells.",
            "log_intensity": "Log of the mean intensity of the protein channel.",
            "spread": "Log of the mean squared distance of its cells to their mean, in standardized features.",
            "excess": "What brightness and cell line do not predict of it, in robust standard deviations.",
            "split": "How well its cells fall in two parts along their main direction; about 1 when they do not.",
            "split_excess": "What brightness, line and number of cells do not predict of that.",
            "variability": "Sum of the normal scores of both ranks.",
            "rank": "1 for the most variable.",
        },
    ),
    TableDoc(
        "mismatch",
        "What a network predicts from a source of another label than the target: a row a pair of cells and network.",
        {
            "network": "`encoder`, or `untrained`: the same network before its first step of training, as a control.",
            "encoder_version": "The network.",
            "source_cell": "The source: all its channels are seen.",
            "target_cell": "The target: its structural channels are seen, its protein is predicted.",
            "source_label": "Label of the source, of the column that the benchmark scores by.",
            "target_label": "Label of the target.",
            "n_references": "Other sources of each of the two labels, whose predictions stand for it.",
            "r_source": "Correlation of the prediction with the mean of those from the source's label.",
            "r_target": "With the mean of those from the target's label.",
            "r_truth": "With the target's true protein channel.",
            "r_matched": "Mean correlation of the predictions from the target's label with the true channel.",
            "resembles_source": "True where r_source is above r_target and r_truth.",
        },
    ),
)
