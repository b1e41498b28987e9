"""Clusters of proteins and their terms, through Dagster, on the tiny screen of two compartments."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.cluster import hierarchy
from scipy.stats import hypergeom
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from pcip_assets.assets.analyses.nearest import find_nearest
from pcip_assets.cli.main import cli
from pcip_core.errors import EvaluationError
from pcip_core.report.page import made_from
from pcip_core.store.publish import connect
from pcip_core.store.vectors import features_of
from tests.assets.conftest import Finished

OBO = """format-version: 1.2

[Term]
id: GO:1
name: cellular component
namespace: cellular_component

[Term]
id: GO:2
name: nucleus
namespace: cellular_component
is_a: GO:1 ! cellular component

[Term]
id: GO:3
name: cytosol
namespace: cellular_component
is_a: GO:1 ! cellular component
"""


def write_go(folder: Path) -> dict[str, str]:
    """An ontology of three terms, and annotations of the tiny screen's proteins but one."""
    (folder / "tiny.obo").write_text(OBO)
    lines = ["!gaf-version: 2.2"]
    for plate in (1, 2):
        for number in range(4):
            if (plate, number) == (2, 3):
                continue
            term = "GO:2" if number % 2 == 0 else "GO:3"
            cells = [
                "DB",
                f"ID{plate}{number}",
                f"P{plate}{number}",
                "located_in",
                term,
                "PMID:1",
                "IDA",
                "",
                "C",
            ]
            lines.append("\t".join([*cells, "", "", "protein", "taxon:9606", "20200101", "DB", "", ""]))
    (folder / "tiny.gaf").write_text("\n".join(lines) + "\n")
    return {"obo": "tiny.obo", "gaf": "tiny.gaf"}


@pytest.fixture(scope="module")
def analysed(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The tiny screen with clusters; look, do not touch."""
    folder = tmp_path_factory.mktemp("analysed")
    (folder / "complexes.csv").write_text("protein,complex\nP10,one;two\nP12,one\nP11,two\nP99,one\n")
    (folder / "nothing.csv").write_text("protein,complex\nP99,one\n")
    (folder / "picks.yaml").write_text("inner: [P10, P12, P20, P22]\neverything: [P10, P11]\n")
    made = finished.copied(
        folder,
        baselines={"sets": []},
        analyses={
            "feature_set": "inpainting_conv2",
            "clusters": {
                "methods": ["ward", "maximum_likelihood"],
                "number": 2,
                "picks": "picks.yaml",
                "within": {"nuclear": "'Nucleoplasm' IN localization"},
            },
            "ontology": write_go(folder),
            "annotations": {"complexes": "complexes.csv", "nothing": "nothing.csv"},
            "min_term_size": 2,
            "compartments": [["Nucleoplasm", "Cytosol"]],
            "least_cells": 5,
        },
    )
    outcome = made.again(analyses=True)
    assert outcome.success, outcome.error
    return made


def ask(made: Finished, query: str) -> list[tuple]:
    with connect(made.workspace.published) as con:
        return con.execute(query).fetchall()


def test_errors_name_the_asset_that_writes_a_table(analysed: Finished) -> None:
    writers = analysed.writers()
    assert {"clusters", "cluster_trees", "enrichment", "protein_scores", "map_cells"} <= writers.keys()
    assert {table: pair for table, pair in writers.items() if pair[0] != pair[1]} == {}


def test_two_clusters_are_the_two_compartments(analysed: Finished) -> None:
    rows = ask(
        analysed,
        "SELECT solution, node, list(DISTINCT localization[1]), count(*) FROM tiny.clusters "
        "JOIN tiny.images USING (protein) WHERE node IN ('1', '2') AND solution NOT LIKE '%within%' GROUP BY ALL",
    )
    assert len(rows) == 4
    assert all((len(terms), n) == (1, 4) for *_, terms, n in rows)


def test_picked_nodes_stand_under_the_cluster_that_holds_them(analysed: Finished) -> None:
    rows = ask(
        analysed,
        "SELECT DISTINCT node, parent, size FROM tiny.clusters WHERE solution = 'ward' "
        "AND node NOT IN ('1', '2') ORDER BY ALL",
    )
    assert rows == [("everything", None, 8), ("inner", "everything", 4)]


def test_the_tree_is_scipys_of_the_mean_features(analysed: Finished) -> None:
    table = analysed.store.read("tiny", "protein_features_inpainting_conv2")
    means = features_of(table).astype(np.float64)
    spread = means.std(0)
    expected = hierarchy.linkage((means - means.mean(0)) / np.where(spread > 0, spread, 1), "ward")
    heights = ask(
        analysed,
        "SELECT height FROM tiny.cluster_trees WHERE solution = 'ward' AND member IS NULL ORDER BY height",
    )
    assert np.allclose([height for (height,) in heights], np.sort(expected[:, 2]), rtol=1e-3)
    leaves = ask(
        analysed, "SELECT member FROM tiny.cluster_trees WHERE solution = 'ward' AND member IS NOT NULL"
    )
    assert {name for (name,) in leaves} == set(table["protein"].to_list())


def test_terms_of_clusters_have_the_closed_forms_p(analysed: Finished) -> None:
    rows = ask(
        analysed,
        "SELECT vocabulary, name, hits, annotated, background_hits, background, p, q FROM tiny.enrichment "
        "WHERE solution = 'ward' AND node IN ('1', '2') AND hits > 0",
    )
    assert {vocabulary for vocabulary, *_ in rows} == {"localization", "go", "complexes"}
    assert {(name, total) for vocabulary, name, *_, total, _, _ in rows if vocabulary == "complexes"} == {
        ("one", 3),
        ("two", 3),
    }
    for _, name, hits, annotated, with_term, total, p, q in rows:
        assert p == pytest.approx(hypergeom.sf(hits - 1, total, with_term, annotated)), name
        assert q >= p
    named = {(vocabulary, name) for vocabulary, name, *_, p, _ in rows if p < 0.05}
    assert named == {
        ("localization", "Nucleoplasm"),
        ("localization", "Cytosol"),
        ("go", "nucleus"),
        ("go", "cytosol"),
    }
    assert {total for vocabulary, *_, total, _, _ in rows if vocabulary == "go"} == {
        7
    }  # one has no annotation


def test_a_part_of_the_proteins_is_a_solution_of_its_own_with_its_own_background(analysed: Finished) -> None:
    rows = ask(
        analysed,
        "SELECT DISTINCT c.protein, localization[1] FROM tiny.clusters c JOIN tiny.images USING (protein) "
        "WHERE solution = 'ward within nuclear'",
    )
    assert {term for _, term in rows} == {"Nucleoplasm"}
    proteins = {protein for protein, _ in rows}
    assert len(proteins) == 4
    leaves = ask(
        analysed,
        "SELECT member FROM tiny.cluster_trees WHERE solution = 'ward within nuclear' AND member IS NOT NULL",
    )
    assert {member for (member,) in leaves} == proteins
    tested = ask(
        analysed,
        "SELECT DISTINCT vocabulary, name, background, background_hits FROM tiny.enrichment "
        "WHERE solution = 'ward within nuclear'",
    )
    assert ("localization", "Nucleoplasm", 4, 4) in tested  # all that are compared with have the term
    assert not [name for _, name, *_ in tested if name in ("Cytosol", "cytosol")]
    assert (analysed.workspace.reports("tiny") / "clusters_ward_within_nuclear.png").is_file()


def test_again_makes_nothing_and_a_changed_pick_does(analysed: Finished) -> None:
    before = analysed.commits()
    assert analysed.again(analyses=True).success
    assert analysed.commits() == before
    picks = analysed.spec.parent / "picks.yaml"
    text = picks.read_text()
    picks.write_text("inner: [P10, P99]\n")
    outcome = analysed.again(analyses=True)
    picks.write_text(text)
    assert not outcome.success
    assert "P99" in str(outcome.error)
    assert analysed.commits() == before  # nothing of it is visible


def test_cells_lie_on_the_side_of_their_compartment(analysed: Finished) -> None:
    rows = ask(
        analysed,
        "SELECT s.group, l.localization[1], score, place FROM tiny.localization_scores s "
        "JOIN tiny.images l USING (image_id)",
    )
    assert len(rows) == 72
    for group, term, score, place in rows:
        assert group == ("first_only" if term == "Nucleoplasm" else "second_only")
        assert (score < 0) == (term == "Nucleoplasm")
        assert (place < 0.5) == (term == "Nucleoplasm")
    means = ask(
        analysed,
        "SELECT p.mean, avg(s.score), p.standard_deviation, stddev_samp(s.score), p.n, count(*) "
        "FROM tiny.protein_scores p JOIN tiny.images i USING (protein) "
        "JOIN tiny.localization_scores s USING (image_id) "
        "GROUP BY p.protein, p.mean, p.standard_deviation, p.n",
    )
    assert len(means) == 8
    for mean, expected, spread, expected_spread, n, count in means:
        assert (mean, spread, n) == (pytest.approx(expected), pytest.approx(expected_spread), count)


def test_places_are_summed_up_beside_scores(analysed: Finished) -> None:
    rows = ask(
        analysed,
        "SELECT p.mean_place, avg(s.place), p.standard_deviation_place, stddev_samp(s.place), p.place_rank "
        "FROM tiny.protein_scores p JOIN tiny.images i USING (protein) "
        "JOIN tiny.localization_scores s USING (image_id) "
        "GROUP BY p.protein, p.mean_place, p.standard_deviation_place, p.place_rank",
    )
    assert len(rows) == 8
    for mean, expected, spread, expected_spread, rank in rows:
        assert (mean, spread) == (pytest.approx(expected), pytest.approx(expected_spread))
        assert rank is None  # no image is in both


def test_every_protein_is_ranked_by_how_much_its_cells_differ(analysed: Finished) -> None:
    rows = ask(analysed, "SELECT protein, n, variability, rank FROM tiny.variability ORDER BY rank")
    assert [rank for *_, rank in rows] == list(range(1, 9))
    values = [value for _, _, value, _ in rows]
    assert values == sorted(values, reverse=True)
    assert {n for _, n, _, _ in rows} == {9}


def test_cells_lie_along_the_main_direction_of_their_protein(analysed: Finished) -> None:
    table = analysed.store.read("tiny", "cell_features_inpainting_conv2")
    points = StandardScaler().fit_transform(features_of(table).astype(np.float64))
    row_of = {cell: row for row, cell in enumerate(table["cell_id"])}
    places = analysed.store.read("tiny", "variability_cells")
    assert places.height == table.height
    for rows in places.partition_by("protein"):
        expected = PCA(1).fit_transform(points[[row_of[cell] for cell in rows["cell_id"]]])[:, 0]
        assert abs(np.corrcoef(expected, rows["place"])[0, 1]) == pytest.approx(1, abs=1e-4)
        assert rows["place"].std() == pytest.approx(expected.std(ddof=1), rel=1e-3)


def test_the_map_is_a_table_of_the_proteins_and_cells_that_the_page_shows(analysed: Finished) -> None:
    rows = ask(
        analysed,
        "SELECT m.member, m.label, any_value(i.localization), m.x, m.y, any_value(m.feature_set) "
        "FROM tiny.map_proteins m JOIN tiny.images i USING (protein) GROUP BY ALL",
    )
    assert len({member for member, *_ in rows}) == 8
    assert all(
        [label] == terms and feature_set == "inpainting_conv2" for _, label, terms, *_, feature_set in rows
    )
    places, labels = np.array([row[3:5] for row in rows]), np.array([row[1] for row in rows])
    neighbour = np.linalg.norm(places[:, None] - places[None] + 1e9 * np.eye(8)[:, :, None], axis=2).argmin(1)
    assert (labels[neighbour] == labels).mean() >= 0.75  # of two compartments
    ((cells, images, labelled),) = ask(
        analysed,
        "SELECT count(DISTINCT cell_id), count(DISTINCT m.image_id), bool_and(m.label = i.localization[1]) "
        "FROM tiny.map_cells m JOIN tiny.images i USING (image_id)",
    )
    assert (cells, images, labelled) == (72, 8, True)  # all of them: there is room for 900


def test_one_page_has_all_analyses_and_its_queries_run(analysed: Finished) -> None:
    path = analysed.workspace.analysis_report("tiny")
    html = path.read_text()
    found = re.findall(r"<h2[^>]*>(.*?)</h2>", html)
    made = [
        "Protein map",
        "Clustered heat maps",
        "Members of the clusters",
        "Clusters and their terms",
        "Cells between two compartments",
    ]
    assert found[:6] == [*made, "Variable proteins"]
    assert html.count("data:image/webp;base64") > 100  # each cell of the tiny screen
    told = re.search(r"<pre>(.*?)</pre>", html, re.DOTALL)
    assert told is not None
    queries = [one for one in unescape(told[1]).split(";") if one.strip()]
    assert len(queries) >= 5
    rows = [ask(analysed, query) for query in queries]
    assert {protein for protein, *_ in rows[0]} <= {f"P{plate}{n}" for plate in (1, 2) for n in range(4)}
    assert len(rows[0]) in (4, 8)  # a cluster of the cut, or of the picks
    assert len(rows[-1]) == 10


def test_the_page_is_made_again_only_where_something_changed(analysed: Finished) -> None:
    path = analysed.workspace.analysis_report("tiny")
    before, about = path.read_bytes(), made_from(path)
    asked = analysed.workspace.figure("tiny", "like_P10")  # as `pcip like` leaves it
    asked.write_bytes(b"")
    assert analysed.again(analyses=True).success
    assert path.read_bytes() == before
    asked.unlink()
    figure = analysed.workspace.figure("tiny", "variability")
    figure.touch()
    assert analysed.again(analyses=True).success
    assert made_from(path) not in (None, about)
    path.unlink()
    assert analysed.again(analyses=True).success
    assert path.is_file()


def test_what_is_most_like_a_protein_is_of_its_compartment(analysed: Finished) -> None:
    found = find_nearest(analysed.store, analysed.screen, ["P10"], n=7, feature_set="inpainting_conv2")
    assert found.kind == "protein"
    table = found.table
    assert set(table["protein"][:3]) == {"P12", "P20", "P22"}
    assert table["localization"].to_list() == ["Nucleoplasm"] * 3 + ["Cytosol"] * 4
    assert table["distance"].is_sorted()
    assert table["clade"][:3].max() == 4  # the smallest clade around all four
    assert set(table["clade"][3:]) == {8}


def test_what_is_most_like_a_cell_is_what_sql_says(analysed: Finished) -> None:
    ((cell,),) = ask(analysed, "SELECT min(cell_id) FROM tiny.cells")
    found = find_nearest(analysed.store, analysed.screen, [cell], n=5, feature_set="intensity")
    assert found.kind == "cell"
    table = analysed.store.read("tiny", "cell_features_intensity")
    points, names = features_of(table).astype(np.float64), table["cell_id"].to_list()
    spread = points.std(0)
    points = (points - points.mean(0)) / np.where(spread > 0, spread, 1)
    distance = np.linalg.norm(points - points[names.index(cell)], axis=1)
    order = [names[row] for row in np.argsort(distance, kind="stable") if names[row] != cell]
    assert found.table["cell_id"].to_list() == order[:5]


def test_seeds_that_nobody_knows_and_the_command(analysed: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EvaluationError, match=r"no protein .* named P99"):
        find_nearest(analysed.store, analysed.screen, ["P99"], n=3, feature_set="intensity")
    with pytest.raises(EvaluationError, match="feature set nothing"):
        find_nearest(analysed.store, analysed.screen, ["P10"], n=3, feature_set="nothing")
    monkeypatch.setenv("PCIP_DATA", str(analysed.workspace.data))
    asked = ["like", str(analysed.spec), "P10", "P10", "-n", "3", "--by", "inpainting_conv2"]
    answer = CliRunner().invoke(cli, asked)
    assert answer.exit_code == 0, answer.output
    assert "P12" in answer.output
    assert "similar to P10, by" in answer.output, "a seed counts once"
    gallery = analysed.workspace.figure(
        "tiny", "like_P10_by_inpainting_conv2_3"
    )  # another question, another file
    assert gallery.read_bytes().startswith(b"\x89PNG")
