"""The benchmark page: it shows every score, keeps the paper's numbers apart and loads nothing."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from pcip_core.evaluation.paper import CONTRADICTIONS, all_paper_numbers
from pcip_core.report import benchmarks
from pcip_core.report.page import Section, Table, page
from pcip_core.report.score_rows import BenchmarkRows, against_paper, paper_columns, pick

Row = dict[str, Any]
HEADINGS = (
    "Comparison of feature sets",
    "Layers",
    "Classes",
    "Number of neighbours",
    "Other classifiers",
    "Layers of VGG16",
    "Pairwise distances",
    "Retrieval",
    "Confusion matrices",
    "Maps",
)


class Tables(HTMLParser):
    """The rows of every table as text, each cell with its classes; and all that a browser would load."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.rows: list[list[tuple[str, str]]] = []
        self.sources: list[str] = []
        self.cell: str | None = None
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.sources += [
            attributes[key] or "" for key in ("src", "href", "srcset", "action") if key in attributes
        ]
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.cell = ""
            self.classes = attributes.get("class") or ""

    def handle_data(self, data: str) -> None:
        if self.cell is not None:
            self.cell += data

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th") and self.cell is not None:
            self.rows[-1].append((self.cell.strip(), self.classes.strip()))
            self.cell = None

    def of(self, first: str) -> list[list[tuple[str, str]]]:
        """Rows that begin with this text."""
        return [row for row in self.rows if row and row[0][0] == first]


def score(name: str, value: float, **other: Any) -> Row:
    keys = {"task": "localization", "classifier": "knn", "parameter": "k=11", "protocol": "leave_image_out"}
    keys |= {"label": None, "metric": "balanced_accuracy", "low": None, "high": None, "n": 1234}
    return {"feature_set": name, "value": value, "mlflow_run_id": None, **keys, **other}


def scores() -> list[Row]:
    """Rows of every kind, no two values alike to three digits."""
    rows = []
    sets = {"inpainting_conv3": 0.611, "inpainting_conv4": 0.722, "autoencoder_conv2": 0.333}
    sets |= {"autoencoder_conv2_by_plate": 0.344, "classic": 0.455, "vgg16_protein_block4_conv1": 0.566}
    for name, value in sets.items():
        for protocol, more in (("leave_image_out", 0.0), ("leave_cell_out", 0.1)):
            rows.append(score(name, value + more, protocol=protocol))
            rows.append(score(name, value + more - 0.05, protocol=protocol, parameter="k=1"))
            rows += [
                score(name, value, protocol=protocol, label=label, metric="recall") for label in ("a", "b")
            ]
    for classifier, parameter in (("logistic", "C=1"), ("forest", "trees=500")):
        for protocol, value in (("grouped_folds", 0.801), ("folds", 0.902)):
            keys = {"classifier": classifier, "parameter": parameter, "protocol": protocol}
            rows.append(score("inpainting_conv4", value, low=value - 0.1, high=value + 0.05, **keys))
    pairwise = {"classifier": "pairwise", "metric": "normalized_pairwise_distance", "low": -0.9, "high": -0.1}
    for label in (None, "a", "b"):
        keys = {**pairwise, "parameter": "pairs=1000", "protocol": "any_line"}
        rows.append(score("inpainting_conv4", -0.512, label=label, **keys))
    keys = {**pairwise, "parameter": "pairs=1000", "protocol": "any_line"}
    rows.append(score("classic", -0.133, **keys))  # farther: worse
    for protocol, value in (
        ("same_line", -0.4321),
        ("different_line", -0.3211),
        ("different_minus_same_line", 0.111),
    ):
        rows.append(
            score("inpainting_conv4", value, protocol=protocol, **{**pairwise, "parameter": "pairs=10000"})
        )
    keys = {"classifier": "retrieval", "parameter": "cosine", "protocol": "leave_protein_out"}
    rows.append(score("inpainting_conv4", 0.377, metric="mean_average_precision", **keys))
    keys = {"classifier": "silhouette", "parameter": "cells=9", "protocol": "all_cells"}
    return [*rows, score("inpainting_conv4", 0.0667, metric="silhouette", **keys)]


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are made, and not drawn: for tests that look at the text of pages."""
    monkeypatch.setattr("pcip_core.report.page.preview", lambda *_, **__: b"a picture")


def html_of(rows: BenchmarkRows) -> str:
    return benchmarks.benchmark_page(rows)[0]


def made_up(**other: Any) -> BenchmarkRows:
    key = {
        "feature_set": "inpainting_conv4",
        "task": "localization",
        "classifier": "knn",
        "parameter": "k=11",
    }
    pairs = [("a", "a", 9), ("a", "b", 1), ("b", "a", 2), ("b", "b", 8)]
    places = np.arange(8, dtype=np.float32).reshape(4, 2)
    rows = BenchmarkRows(
        title="screen_1",
        description="Cells <of> a test",
        simulated=False,
        screen="screen_1",
        label="localization",
        benchmarks=scores(),
        confusion=[
            {**key, "protocol": protocol, "label": label, "predicted": predicted, "n": n}
            for protocol in ("leave_image_out", "leave_cell_out")
            for label, predicted, n in pairs
        ],
        exclusions=[{"feature_set": "classic", "protocol": None, "reason": "columns_constant", "n": 77}],
        feature_sets=[{"feature_set": "inpainting_conv4", "dim": 96, "n_cells": 1234, "commit": "abc1234"}],
        cells=[("inpainting_conv4", places, np.array(["a", "a", "b", ""]))],
        proteins=[("inpainting_conv4", places, np.array(["a", "b", "b", ""]))],
    )
    return replace(rows, **other)


EMPTY = {name: [] for name in ("benchmarks", "confusion", "exclusions", "feature_sets", "cells", "proteins")}


def test_scores_are_found_on_the_page_the_best_of_a_column_marked() -> None:
    html = html_of(made_up())
    tables = Tables(html)
    ranking = tables.of("inpainting_conv4")[0]
    assert [text for text, _ in ranking] == [
        "inpainting_conv4", "0.722", "0.801", "0.801", "0.377", "0.067", "-0.512"
    ]  # fmt: skip
    assert [classes for _, classes in ranking[1:]] == ["best"] * 6
    assert [text for text, _ in tables.of("classic")[0][:2]] == ["classic", "0.455"]
    assert all("best" not in classes for _, classes in tables.of("classic")[0])
    assert all(len(row) < len(ranking) for row in tables.of("inpainting_conv3"))  # not the best layer
    for text in (
        "0.902 (0.80 to 0.95)",
        "-0.4321 (-0.90 to -0.10)",
        "1,234 cells scored (leave_image_out)",
        "abc1234",
        "77",
    ):
        assert text in html, text
    for heading in HEADINGS:
        assert re.search(rf"<h2[^>]*>{heading}", html), heading
    assert html.count("data:image/webp;base64,") == html.count("<img ") == 9
    assert len(re.findall('<img alt="[^"]+"', html)) == 9


@pytest.mark.usefixtures("undrawn")
def test_nothing_is_loaded_from_elsewhere_and_no_text_becomes_markup() -> None:
    hostile = '<script>alert("1")</script>'
    rows = made_up(title=hostile, label=hostile)
    rows = replace(rows, benchmarks=[{**row, "task": hostile} for row in rows.benchmarks])
    html = html_of(rows)
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert "Cells &lt;of&gt; a test" in html
    sources = Tables(html).sources
    assert len(sources) > 9
    kinds = ("data:image/webp;base64,", "data:text/csv;base64,", "#")
    assert all(source.startswith(kinds) for source in sources)
    assert not re.search(r"@import|url\(", html)


@pytest.mark.usefixtures("undrawn")
def test_banner_and_every_table_of_scores_state_that_images_are_simulated() -> None:
    html = html_of(made_up(simulated=True))
    assert re.search(r'class="banner">SIMULATED images', html)
    assert re.search(r"<title>[^<]*SIMULATED", html)
    assert html.count("<caption>SIMULATED images") >= 5
    assert "SIMULATED" not in html_of(made_up())


def test_every_picture_states_that_images_are_simulated(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Figure] = []

    def kept(figure: Figure, **_: int) -> bytes:
        drawn.append(figure)
        return b""

    monkeypatch.setattr("pcip_core.report.page.preview", kept)
    html_of(made_up(simulated=True))
    html_of(made_up(simulated=True, title="screen_1 (simulated images)"))
    assert len(drawn) == 18
    assert all("simulated images" in figure.get_suptitle().lower().replace("\n", " ") for figure in drawn)


@pytest.mark.usefixtures("undrawn")
def test_what_is_missing_is_named_with_what_makes_it() -> None:
    html = html_of(made_up(**EMPTY))
    assert "<img" not in html
    for heading in ("Layers", "Classes", "Other classifiers", "Retrieval", "Confusion matrices", "Maps"):
        assert f"<p>{heading}: needs " in html, heading
    assert "pcip run screen_1 --baselines makes" in html
    full = html_of(made_up())
    assert "<p>Comparison with a supervised network: needs images with labels, and supervised" in full
    assert "<p>Maps: needs" not in full


@pytest.mark.usefixtures("undrawn")
def test_chance_and_intervals_stand_in_the_first_table() -> None:
    rows = made_up()
    html = html_of(rows)
    assert [text for text, _ in Tables(html).of("chance")[0]] == [
        "chance", "0.500", "0.500", "0.500", "", "0.000", "0.000"
    ]  # fmt: skip
    assert "95 % intervals" not in html
    known = [
        {**row, "low": row["value"] - 0.02, "high": row["value"] + 0.03}
        if row["classifier"] == "knn"
        else row
        for row in rows.benchmarks
    ]
    html = html_of(replace(rows, benchmarks=known))
    assert Tables(html).of("inpainting_conv4")[0][1] == ("0.722 (0.70 to 0.75)", "best")
    assert "95 % intervals of nearest neighbours" in html


@pytest.mark.usefixtures("undrawn")
def test_the_heading_names_the_number_of_neighbours_that_was_scored() -> None:
    rows = made_up()
    at_5 = [row | {"parameter": "k=5"} for row in rows.benchmarks if row["parameter"] == "k=11"]
    html = html_of(replace(rows, benchmarks=at_5))
    assert "5-NN (leave_image_out)" in html
    assert "11-NN (leave_image_out)" not in html


@pytest.mark.usefixtures("undrawn")
def test_the_papers_numbers_are_in_separate_columns_on_its_screens_only() -> None:
    ours = html_of(made_up())
    assert "The paper has no numbers for this screen" in ours
    assert "paper: " not in ours
    folded = ours[ours.index("<details>") :]
    assert all(f">{number.printed}<" in folded for number in all_paper_numbers())
    assert not [
        row for row in Tables(ours[: ours.index("<details>")]).rows for _, cls in row if "paper" in cls
    ]

    theirs = html_of(made_up(screen="chong_labelled_cells"))
    tables = Tables(theirs[: theirs.index("<details>")])
    for heads, row in (
        (row, tables.rows[n + 1]) for n, row in enumerate(tables.rows) if row[0][0] == "feature set"
    ):
        for (heading, _), (_, classes) in zip(heads, row, strict=True):
            assert ("paper" in classes) == heading.startswith("paper: ")
    assert [("0.8798", "paper") in row for row in tables.of("inpainting_conv4")].count(True) == 2
    assert "paper: k=11" in theirs
    assert all("0.4250" not in str(row) for row in tables.of("autoencoder_conv2_by_plate"))
    assert any("0.4250" in str(row) for row in tables.of("autoencoder_conv2"))


@pytest.mark.parametrize(
    ("screen", "keys", "expected"),
    [
        (
            "chong_labelled_cells",
            {"classifier": "knn", "parameter": "k=11", "protocol": "leave_cell_out"},
            "0.8798",
        ),
        (
            "chong_labelled_cells",
            {"classifier": "logistic", "protocol": "folds", "parameter": "C=1"},
            "0.9134",
        ),
        ("human_protein_atlas", {"classifier": "pairwise", "protocol": "same_line"}, "-0.2656"),
        ("human_protein_atlas", {"classifier": "pairwise", "protocol": "any_line"}, "-0.349"),
        (
            "chong_labelled_cells",
            {"classifier": "knn", "parameter": "k=11", "protocol": "leave_image_out"},
            None,
        ),
        ("simulated_yeast", {"classifier": "knn", "parameter": "k=11", "protocol": "leave_cell_out"}, None),
    ],
)
def test_a_papers_number_needs_the_same_screen_classifier_setting_and_protocol(
    screen: str, keys: dict[str, str], expected: str | None
) -> None:
    columns = paper_columns(screen, ["inpainting_conv4", "untrained_conv4"], [("score", keys)])
    assert [[cell.text for cell in cells] for _, cells in columns] == ([[expected, ""]] if expected else [])


def test_a_number_without_layer_is_for_the_only_set_of_its_method() -> None:
    heads = [("11-NN", {"classifier": "knn", "parameter": "k=11", "protocol": "leave_cell_out"})]
    named = ["autoencoder_conv1", "autoencoder_conv1_by_plate"]
    ((_, cells),) = paper_columns("chong_labelled_cells", named, heads)
    assert [cell.text for cell in cells] == ["0.4250", ""]
    assert paper_columns("chong_labelled_cells", ["autoencoder_conv1", "autoencoder_conv2"], heads) == []


def test_seconds_are_no_score() -> None:
    names = ["vgg16_protein_224_fc2", "vgg16_protein_block4_conv1"]
    heads = [("logistic", {"classifier": "logistic", "protocol": "folds"})]
    ((_, cells),) = paper_columns("chong_labelled_cells", names, heads)
    assert [cell.text for cell in cells] == ["", "0.8377"]


def test_a_table_holds_ours_first_then_the_papers() -> None:
    rows = made_up(screen="chong_labelled_cells")
    shown = pick(rows.benchmarks, protocol="leave_cell_out", label=None, metric="balanced_accuracy")
    heads = [
        (k, {"parameter": k, "classifier": "knn", "protocol": "leave_cell_out"}) for k in ("k=1", "k=11")
    ]
    table = against_paper(rows, shown, heads, "Supplementary Table 1")
    assert table.columns == ["feature set", "k=1", "k=11", "paper: k=1", "paper: k=11"]
    assert table.paper == {"paper: k=1", "paper: k=11"}
    assert "Supplementary Table 1" in table.caption
    line = next(row for row in table.rows if row[0] == "inpainting_conv4")
    assert [getattr(cell, "text", cell) for cell in line[1:]] == ["0.772", "0.822", "0.8551", "0.8798"]


def test_the_paper_against_itself() -> None:
    html = html_of(made_up())
    assert "92.39 in the text, 92.44 in Supplementary Table 1" in html
    printed = {
        (number.feature_set, number.parameter): number.value
        for number in all_paper_numbers()
        if number.source[:15] == "Supplementary T"
    }
    autoencoder = {
        k: value for (name, k), value in printed.items() if name == "autoencoder" and k.startswith("k=")
    }
    assert max(autoencoder, key=lambda k: autoencoder[k]) == "k=50"
    above = [printed["vgg16_protein_block4_conv1", k] > printed["cellprofiler", k] for k in autoencoder]
    assert above == [True, True, True, False, False]
    assert len(CONTRADICTIONS) == 3


def test_a_folded_section_opens_by_itself_when_printed() -> None:
    html = page("t", [Section("s", [Table(["a"], [["1"]])], folded=True)])
    assert re.search(r"@media print \{ details::details-content \{ content-visibility: visible", html)


@pytest.mark.usefixtures("undrawn")
def test_figures_of_the_page_are_returned_by_heading() -> None:
    html, figures, files = benchmarks.benchmark_page(made_up(), folder="benchmarks")
    assert set(map(id, figures.values())) <= set(map(id, files.values()))
    for name in files:
        assert f'href="benchmarks/{name}.png"' in html
        assert f'href="benchmarks/{name}.svg"' in html
    assert {"Layers (the paper's Table 1)", "Maps"} <= set(figures)
    for heading, figure in figures.items():
        assert heading.replace("'", "&#39;") in html
        assert figure.axes


@pytest.mark.usefixtures("undrawn")
def test_a_screen_without_labels_shows_retrieval_and_the_next_commands() -> None:
    keys = {
        **{"task": "protein", "classifier": "retrieval", "parameter": "cosine"},
        **{"protocol": "leave_image_out", "metric": "mean_average_precision"},
    }
    rows = [score("inpainting_conv4", 0.377, **keys), score("classic", 0.288, **keys)]
    rows += [
        score("inpainting_conv4", 0.013, **{**keys, "metric": "p_value"}),
        score("classic", 0.4, **{**keys, "metric": "p_value"}),
    ]
    html = html_of(made_up(benchmarks=rows, confusion=[]))
    assert "There are no scores yet" not in html
    assert "pcip like screen_1 PROTEIN" in html
    ranking = Tables(html[html.index("Comparison of feature sets") :])
    ours = ranking.of("inpainting_conv4")[0]
    assert [cell for cell, _ in ours] == ["inpainting_conv4", "0.377", "0.013"]
    assert [cell for cell, _ in ranking.of("classic")[0]] == ["classic", "0.288", "0.400"]
