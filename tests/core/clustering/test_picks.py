"""Clusters that a user names: in a file, by members, by number, nested."""

from __future__ import annotations

from pathlib import Path

import pytest

from pcip_core.clustering.clusters import smallest_clade
from pcip_core.clustering.linkage import cluster_tree
from pcip_core.clustering.picks import picked_nodes, read_picks
from pcip_core.errors import ClusterError
from tests.core.clustering.clouds import LINE, NAMES


def test_picks_by_members_by_number_and_nested() -> None:
    tree = cluster_tree(LINE)
    speck = smallest_clade(tree, [4, 5])[0]
    picks = {"A1": ["NCL", "MKI67"], "A": ["MKI67", "ETV4"], "B": speck, "all": ["SON", "EN1"]}
    nodes = picked_nodes(tree, NAMES, picks)
    rows = {"A1": [0, 1], "A": [0, 1, 2, 3], "all": list(range(8))}
    assert nodes == {"B": speck, **{name: smallest_clade(tree, own)[0] for name, own in rows.items()}}
    assert list(nodes) == list(picks)


@pytest.mark.parametrize(
    ("picks", "message"),
    [
        ({"A": ["MKI67", "MK167"]}, "cluster A: found MK167 in its definition"),
        ({"A": ["MKI67"]}, "one member or none"),
        ({"A": []}, "one member or none"),
        ({"A": "MKI67"}, "one member or none"),
        ({"A": None}, "None in its definition"),
        ({"A": 3}, "one member or none"),
        ({"A": 15}, "found 15; required: 0 to 14"),
        ({"A": ["MKI67", "NCL"], "B": ["NCL", "MKI67"]}, "cluster B: found the node 8?.*the pick A already"),
        ({"1": ["MKI67", "NCL"], 1: ["SON", "NCL"]}, "the pick 1 already has this name"),
    ],
)
def test_picks_that_are_not_there_are_errors(picks: dict[str, list[str] | int], message: str) -> None:
    with pytest.raises(ClusterError, match=message):
        picked_nodes(cluster_tree(LINE), NAMES, picks)


def test_members_must_be_those_of_the_tree() -> None:
    with pytest.raises(ClusterError, match="8 names, 7 of them distinct"):
        picked_nodes(cluster_tree(LINE), [*NAMES[:7], "MKI67"], {})


def test_picks_come_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "picks.yaml"
    path.write_text("A: [P1, P2]\n1: 12\n")
    assert read_picks(path) == {"A": ["P1", "P2"], 1: 12}
    for text, message in (("[P1, P2]", "found a list"), ("A: [", "not YAML"), ("\x00", "not YAML")):
        path.write_text(text)
        with pytest.raises(ClusterError, match=message):
            read_picks(path)
    path.unlink()
    with pytest.raises(ClusterError, match=r"picks.yaml: found no such file"):
        read_picks(path)
