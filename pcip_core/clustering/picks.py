"""Clusters that a user names in a file, each defined by some of its members or by a node of the tree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pcip_core.clustering.clusters import members_of, smallest_clade
from pcip_core.errors import ClusterError, SpecError
from pcip_core.spec.reading import read_yaml
from pcip_core.words import many

_FORM = "names of clusters, each with its proteins: `A: [P1, P2]`"


def read_picks(path: Path) -> dict[Any, Any]:
    """Read the clusters in a YAML file, in the form that `picked_nodes` takes.

    Raises:
        ClusterError: the file cannot be read, or is not a mapping.
    """
    try:
        picks = read_yaml(path, "named clusters")
    except SpecError as error:
        raise ClusterError(
            path,
            found=error.found,
            required=_FORM,
            remedy="Correct the file, or analyses.clusters.picks.",
        ) from error
    if not isinstance(picks, dict):
        raise ClusterError(
            path, found=f"a {type(picks).__name__}", required=_FORM, remedy="Correct the file."
        )
    return picks


def picked_nodes(
    tree: np.ndarray, members: Sequence[str], picks: Mapping[Any, Sequence[str] | int]
) -> dict[str, int]:
    """Find the nodes of the clusters that a user has named.

    Args:
        tree: (n - 1, 4) linkage matrix.
        members: (n,) name of each row, such as its protein.
        picks: name -> two or more members, for the smallest clade that contains them all, or the number of a
            node. Clusters may contain others to any depth (A, A1), in any order.

    Returns:
        name -> node, in the order of the picks.

    Raises:
        ClusterError: a member is unknown, two members have the same name, two picks have the same name or node,
            there are fewer than two members, or a number is not that of a merge of this tree.

    >>> tree = np.array([[0.0, 1.0, 1.0, 2.0], [2.0, 3.0, 5.0, 3.0]])
    >>> picked_nodes(tree, ["AAC1", "AAC3", "HTA1"], {"mitochondrion": ["AAC1", "AAC3"]})
    {'mitochondrion': 3}
    """
    row = rows_by_name(tree, members)
    nodes: dict[str, int] = {}
    for key, defined in picks.items():
        name, where = str(key), f"cluster {key}"
        if isinstance(defined, int) and not isinstance(defined, bool):
            members_of(tree, defined)
            node = defined
        else:
            several = isinstance(defined, Sequence) and not isinstance(defined, str)
            seeds: list[Any] = list(defined) if several else [defined]  # type: ignore[arg-type]
            unknown = [seed for seed in seeds if seed not in row]
            if unknown:
                raise ClusterError(
                    where,
                    found=f"{', '.join(map(str, unknown[:5]))} in its definition",
                    required="members of this tree, or the number of a node",
                    remedy="Correct the name, or remove a member that has too few cells.",
                )
            node = smallest_clade(tree, [row[seed] for seed in seeds])[0] if seeds else 0
        if node <= len(tree):
            raise ClusterError(
                where,
                found="one member or none",
                required="two or more members, or the number of a merge",
                remedy="Add a member; the cluster is the smallest clade that contains them all.",
            )
        same = [other for other, number in nodes.items() if number == node or other == name]
        if same:
            raise ClusterError(
                where,
                found=f"the node {node}; the pick {same[0]} already has this name or node",
                required="a different name and node for each pick",
                remedy="Rename or remove a pick, or define it by members that are further apart.",
            )
        nodes[name] = node
    return nodes


def rows_by_name(tree: np.ndarray, members: Sequence[str]) -> dict[str, int]:
    """Map the name of each member to its row.

    Raises:
        ClusterError: the number of names differs from the number of leaves, or names are repeated.
    """
    row = {name: place for place, name in enumerate(members)}
    if len(members) != len(tree) + 1 or len(row) != len(members):
        raise ClusterError(
            "members of a tree",
            found=f"{many(len(members), 'name')}, {len(row)} of them distinct",
            required=f"{len(tree) + 1} distinct names, one per leaf",
            remedy="Cluster one row per protein, and pass the names in the order of the rows.",
        )
    return row
