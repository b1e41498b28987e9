"""The table of scores at the end of a run, from a published file with known scores."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import duckdb
import pytest
from rich.console import Console
from rich.table import Table

from pcip_assets.cli.demo import _no_test
from pcip_assets.cli.results import feature_set_used, print_results, quarantined, row_of, score_table
from pcip_assets.workspace import Workspace
from pcip_core.crops.shard_cells import Rejected
from pcip_core.errors import PcipError
from pcip_core.images.field import Field
from pcip_core.store import schemas
from pcip_core.store.partitions import Store
from pcip_core.store.rows import fields_table, quarantine_table
from tests.conftest import write_spec


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Two screens: `both` with k of 3 and 11, `few` with k of 1 and 3 only."""
    scores = [
        *(("both", name, protocol, "knn", f"k={k}", value + k / 1000)
          for name, protocol, value in (("worse", "leave_image_out", 0.2), ("better", "leave_image_out", 0.4),
                                        ("worse", "leave_cell_out", 0.9))
          for k in (3, 11)),
        ("both", "worse", "folds", "logistic", "C=1", 0.99),
        *(("few", "only", "leave_image_out", "knn", f"k={k}", 0.5 + k / 1000) for k in (1, 3)),
    ]  # fmt: skip
    workspace = Workspace(tmp_path)
    with duckdb.connect(str(workspace.published)) as con:
        con.execute(
            "CREATE TABLE screens AS SELECT 'both' AS screen, 8 AS n_images, 72 AS n_cells, true AS simulated"
        )
        con.execute("INSERT INTO screens VALUES ('few', 2, 4, false)")
        con.execute(
            "CREATE TABLE benchmarks (screen TEXT, feature_set TEXT, protocol TEXT, classifier TEXT, parameter TEXT, "
            "value DOUBLE, n BIGINT DEFAULT 72, label TEXT DEFAULT NULL, "
            "task TEXT DEFAULT 'localization', metric TEXT DEFAULT 'balanced_accuracy')"
        )
        columns = "screen, feature_set, protocol, classifier, parameter, value"
        con.executemany(f"INSERT INTO benchmarks ({columns}) VALUES (?, ?, ?, ?, ?, ?)", scores)
    return workspace


def columns(workspace: Workspace, screen: str) -> dict[str, list[object]]:
    """Header -> cells of the table."""
    _, table = score_table(workspace, screen)
    return {str(column.header): list(column.cells) for column in table.columns}


def test_the_best_feature_set_comes_first_with_the_papers_number_of_neighbours(workspace: Workspace) -> None:
    heading, _ = score_table(workspace, "both")
    assert heading == (
        "both (simulated images): 8 images, 72 cells; balanced accuracy of 11 nearest neighbours in predicting "
        "localization"
    )
    assert columns(workspace, "both") == {
        "feature set": ["better", "worse"],
        "leave image out": ["0.411", "0.211"],
        "leave cell out": ["-", "0.911"],
    }


def test_without_eleven_neighbours_the_largest_number_is_shown(workspace: Workspace) -> None:
    heading, _ = score_table(workspace, "few")
    scores = "balanced accuracy of 3 nearest neighbours in predicting localization"
    assert heading == f"few (real images): 2 images, 4 cells; {scores}"
    assert columns(workspace, "few")["leave image out"] == ["0.503"]


def test_the_heading_counts_the_cells_that_are_scored_if_not_all_are(workspace: Workspace) -> None:
    with duckdb.connect(str(workspace.published)) as con:
        con.execute("UPDATE benchmarks SET n = 3, task = 'protein' WHERE screen = 'few'")
    heading, _ = score_table(workspace, "few")
    scores = "balanced accuracy of 3 nearest neighbours in predicting protein"
    assert heading.endswith(f"; {scores}, 3 cells with one label scored")


def test_pages_that_exist_are_named(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    page = workspace.analysis_report("few")
    page.parent.mkdir(parents=True)
    page.touch()
    print_results(workspace, ["few"])
    printed = capsys.readouterr().out
    assert f"all analyses: {page}" in printed
    assert "all scores" not in printed


@pytest.mark.parametrize(
    ("spec", "phrases"),
    [
        (
            {"encoder": {"recipe": "agreement"}},
            ("agreement_conv5, the layer", "analyses.feature_set in the spec"),
        ),
        ({}, ("inpainting_conv3, the layer that the paper uses", "analyses.feature_set in the spec")),
        (
            {"analyses": {"feature_set": "intensity"}},
            ("intensity, which the spec names in analyses.feature_set",),
        ),
    ],
)
def test_the_feature_set_of_the_analyses_is_named_below_the_table(
    spec: dict[str, object],
    phrases: tuple[str, ...],
    workspace: Workspace,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    screen = workspace.find(str(write_spec(tmp_path, **{"encoder": {}, **spec})))
    print_results(workspace, ["few", "both"], {"few": feature_set_used(screen)})
    few, both = capsys.readouterr().out.split("both (simulated images)")
    (line,) = [line for line in few.partition("0.503")[2].splitlines() if "`pcip like`" in line]
    assert all(part in line for part in phrases)
    assert "pcip like" not in both


def test_the_small_demo_says_that_it_is_no_test_of_the_method(workspace: Workspace, tmp_path: Path) -> None:
    screen = workspace.find(str(write_spec(tmp_path, name="both", encoder={"epochs": 3})))
    text = _no_test(workspace, screen)
    assert text.startswith("A training of 3 epochs on 72 cells ")
    assert "no test of the method" in text
    assert "`pcip bench encoders`" in text


def test_a_screen_without_labels_says_why_there_are_no_scores(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    with duckdb.connect(str(workspace.published)) as con:
        con.execute("INSERT INTO screens VALUES ('unlabelled', 3, 9, false)")
    print_results(workspace, ["unlabelled"])
    printed = capsys.readouterr().out
    assert "unlabelled (real images): 3 images, 9 cells\n" in printed
    assert "docs/how-to/add-localization-terms.md" in printed
    assert "feature set ┃" not in printed


def test_names_stand_in_tables_as_they_are() -> None:
    """Also those that rich would take for markup, and line breaks."""
    table = Table("name", "distance", "gene")
    for name in ("plate [b]1[/b]", "[/red]", "plate\n1\x1b[2J"):
        table.add_row(*row_of((name, 0.25, None)))
    with (console := Console(width=80)).capture() as captured:
        console.print(table)
    rows = [line.strip("│").split("│") for line in captured.get().splitlines() if "0.250" in line]
    assert {row[2].strip() for row in rows} == {""}
    assert [row[0].strip() for row in rows] == ["plate [b]1[/b]", "[/red]", r"plate\n1\x1b[2J"]


def test_a_screen_that_is_not_published(workspace: Workspace) -> None:
    with pytest.raises(PcipError, match="pcip run other"):
        score_table(workspace, "other")


def test_a_protocol_that_cannot_be_scored_is_named(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    with duckdb.connect(str(workspace.published)) as con:
        con.execute("INSERT INTO screens VALUES ('alone', 3, 9, false)")
    for screen in ("alone", "few"):
        Store(workspace.store).commit(
            screen,
            {"benchmarks": schemas.BENCHMARKS.empty()},
            provenance={"not_scored": "each label occurs in one image only"},
        )
    print_results(workspace, ["alone", "few"])
    alone, few = capsys.readouterr().out.split("few (real images)")
    assert "not scored: each label occurs in one image only" in alone
    assert "No feature set is scored" not in alone
    assert "not scored: each label occurs in one image only" in few
    assert "0.503" in few


def test_what_is_in_quarantine_is_counted_by_stage(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    used = [Field(f"f{number}", "i", "p", {"field": str(number)}, {"protein": "p"}) for number in range(4)]
    of_fields = [
        Rejected("a.tif", "file", "i", "a.tif: found no image", "f8", ""),
        Rejected("b.tif", "file", "i", "two rows of one field", "f8", ""),
        Rejected("c.tif", "file", "i", "black", "f9", ""),
    ]
    of_crops = [Rejected("d.tif", "cell", "i", "area"), Rejected("d.tif", "cell", "i", "border")]
    screen = SimpleNamespace(channels=[])
    store = Store(workspace.store)
    tables = {
        "fields": fields_table(screen, [(field, "", (8, 8)) for field in used]),  # type: ignore[arg-type]
        "quarantine_fields": quarantine_table("fields", of_fields, "p"),
        "quarantine_crops": quarantine_table("crops", of_crops, "p"),
    }
    store.commit("few", tables, shard="p")
    where = "(all: SELECT file, reason FROM few.quarantine WHERE stage"
    assert quarantined(workspace, "few") == [
        f"2 of 6 fields in quarantine, for example a.tif: found no image {where} = 'fields')",
        f"2 of 2 cells in quarantine, for example d.tif: area {where} = 'crops')",
    ]
    one, alike = (
        [Rejected(file, "cell", "i", "over the edge") for file in files]
        for files in (["d.tif"], ["d.tif", "e.tif"])
    )
    for rejected, why in ((one, ", d.tif: over the edge"), (alike, ": over the edge")):
        tables["quarantine_crops"] = quarantine_table("crops", rejected, "p")
        store.commit("few", tables, shard="p")
        n = "1 of 1 cell" if rejected is one else "2 of 2 cells"
        assert quarantined(workspace, "few")[1] == f"{n} in quarantine{why} {where} = 'crops')"
    print_results(workspace, ["few"])
    assert "2 of 6 fields in quarantine" in capsys.readouterr().out
    assert quarantined(workspace, "both") == []
