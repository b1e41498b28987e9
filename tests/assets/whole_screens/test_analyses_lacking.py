"""The analyses of a screen without annotations, or with terms and files that do not exist."""

from __future__ import annotations

from pathlib import Path

from pcip_core.store.publish import connect
from tests.assets.conftest import Finished
from tests.conftest import write_spec


def test_a_term_that_nobody_has_and_files_that_are_not_there(finished: Finished, tmp_path: Path) -> None:
    wrong = {
        "clusters": {"within": {"golgi": "'Golgi apparatus' IN localization"}},
        "ontology": {"obo": "nowhere.obo", "gaf": "nowhere.gaf"},
    }
    quick: dict[str, object] = {
        "feature_set": "intensity",
        "compartments": [["Nucleoplasm", "Golgi apparatus"]],
    }
    made = finished.copied(tmp_path, baselines={"sets": []}, analyses={**quick, **wrong})
    outcome = made.again(analyses=True)
    assert not outcome.success
    assert "0 proteins with cells where 'Golgi apparatus' IN localization" in str(outcome.error)
    assert "Cytosol, Nucleoplasm" in str(outcome.error)

    changed = {"baselines": {"sets": []}, "root": str(tmp_path / "images")}
    write_spec(tmp_path, analyses={**quick, "ontology": wrong["ontology"], "compartments": []}, **changed)
    outcome = made.again(analyses=True)
    assert not outcome.success
    assert "nowhere.obo: found no such file" in str(outcome.error)

    write_spec(tmp_path, analyses=quick, **changed)
    outcome = made.again(analyses=True)
    assert not outcome.success
    assert "required: a term of some images: Cytosol, Nucleoplasm" in str(outcome.error)


def test_without_annotations_all_that_needs_none_is_made_and_the_rest_says_what_it_needs(
    finished: Finished, tmp_path: Path
) -> None:
    made = finished.copied(
        tmp_path,
        images={"values": {"protein": "{well}"}},
        baselines={"sets": []},
        analyses={
            "feature_set": "inpainting_conv2",
            "clusters": {"methods": ["ward"], "heights": {"ward": 0.0}},  # below any merge
            "phenotypes": {"least_cells": 10},
        },
    )
    outcome = made.again(analyses=True)
    assert outcome.success, outcome.error
    rows = {
        table: made.store.read("tiny", table).height
        for table in (
            "clusters",
            "variability",
            "phenotypes",
            "enrichment",
            "localization_scores",
            "mismatch",
        )
    }
    assert rows["clusters"] == rows["variability"] == 4  # a well, of two plates, is a protein
    with connect(made.workspace.published) as con:
        query = "SELECT node, size, count(*) FROM tiny.clusters GROUP BY ALL ORDER BY ALL"
        nodes = con.execute(query).fetchall()
    assert nodes == [(str(number), 1, 1) for number in range(1, 5)]
    assert rows["phenotypes"] == 3 * 18
    assert rows["enrichment"] == rows["localization_scores"] == rows["mismatch"] == 0
    figures = made.workspace.reports("tiny")
    assert not [*figures.glob("mismatch.*"), *figures.glob("enrichment_*")]
    assert (figures / "clusters_ward.png").is_file()
    page = made.workspace.analysis_report("tiny").read_text(encoding="utf-8")
    missing = page.split("Not on this page</h2>")[1].split("<h2")[0]
    for needed in ("Clusters and their terms", "Cells between two compartments", "Does the network cheat"):
        assert needed in missing
    assert "Protein map: map of proteins: found 4 proteins; required: 8 to 20,000." in missing
    told = made.store.provenance("tiny", "map_cells") or {}
    assert "found 4 proteins" in told["no_map_of_proteins"]
    assert "no_map_of_cells" not in told
    assert made.store.read("tiny", "map_proteins").is_empty()
    assert made.store.read("tiny", "map_cells").height == 72

    made.spec.write_text(made.spec.read_text().replace("ward", "average"))
    assert made.again(analyses=True).success
    assert {path.name for path in figures.glob("clusters_*.png")} == {"clusters_average.png"}
