"""The first section of the benchmark page: the best layer of each method, by each score."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pcip_core.features.names import best_layers
from pcip_core.plots.scores.chance import classes_of
from pcip_core.report.page import Block, Cell, Section, Table, Text
from pcip_core.report.score_rows import (
    PROTOCOLS,
    BenchmarkRows,
    first,
    neighbours,
    number,
    paper_columns,
    pick,
    simulated_note,
    strictest,
    with_interval,
)
from pcip_core.words import many

_NEIGHBOURS = ("leave_image_out", "leave_field_out", "leave_cell_out")
_FOLDS = ("grouped_folds", "folds")


@dataclass(frozen=True)
class _Score:
    """A column: its heading, the rows that it shows, and what a reader must know.

    Attributes:
        protocols: the first that was scored is shown.
        chance: the score of features without information; None: it is not the same for all screens.
        meaning: explanation below the table; "" for none.
        protocol: the protocol that is shown.
        rows: feature set -> row over all classes.
    """

    heading: str
    classifier: str
    protocols: tuple[str, ...]
    metric: str
    is_high_good: bool = True
    chance: float | None = None
    meaning: str = ""
    protocol: str | None = None
    rows: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def filled(self, rows: BenchmarkRows) -> _Score:
        """The column with its rows."""
        scored = pick(rows.benchmarks, classifier=self.classifier, metric=self.metric, label=None)
        protocol, heading = first(scored, self.protocols), self.heading
        scored = pick(scored, protocol=protocol)
        if self.classifier == "knn":
            k = neighbours(rows.benchmarks)
            scored, heading = pick(scored, parameter=k), f"{k.removeprefix('k=')}-NN"
        return replace(
            self, heading=heading, protocol=protocol, rows={row["feature_set"]: row for row in scored}
        )

    @property
    def values(self) -> dict[str, float]:
        """Feature set -> score."""
        return {name: row["value"] for name, row in self.rows.items()}

    def keys(self, rows: BenchmarkRows) -> dict[str, Any]:
        """What the paper's numbers of this column must be of."""
        keys = {"classifier": self.classifier, "protocol": self.protocol, "metric": self.metric}
        return {**keys, **({"parameter": neighbours(rows.benchmarks)} if self.classifier == "knn" else {})}


_SCORES = (
    _Score("NN", "knn", _NEIGHBOURS, "balanced_accuracy"),
    _Score("logistic", "logistic", _FOLDS, "balanced_accuracy"),
    _Score("forest", "forest", _FOLDS, "balanced_accuracy"),
    _Score("histogram forest", "histogram_forest", _FOLDS, "balanced_accuracy"),
    _Score(
        "mAP of terms", "retrieval", ("leave_protein_out",), "mean_average_precision",
        meaning="mean average precision with which an image, as the mean of its cells, finds the images of other "
        "proteins with its term; 1: all of them first. Its chance depends on the number of images of each term",
    ),
    _Score(
        "silhouette", "silhouette", ("all_cells",), "silhouette", chance=0.0,
        meaning="-1 to 1; above 0, cells are nearer to those of their class than to those of the nearest other class",
    ),
    _Score(
        "pairwise distance", "pairwise", ("any_line",), "normalized_pairwise_distance", is_high_good=False, chance=0.0,
        meaning="distance of cells of two proteins with the same term, beside that of different terms, in standard "
        "deviations; lower is better",
    ),
)  # fmt: skip
_UNLABELLED = (  # the columns of a screen without labels: retrieval of a protein's own images
    _Score("mAP of own images", "retrieval", ("leave_image_out",), "mean_average_precision"),
    _Score("p", "retrieval", ("leave_image_out",), "p_value", is_high_good=False),
)


def ranking(rows: BenchmarkRows) -> Section:
    """The best layer of each method by each score, with chance and the paper's numbers."""
    heading = "Comparison of feature sets"
    shown = [score for column in _SCORES if (score := column.filled(rows)).rows]
    shown = shown or [score for column in _UNLABELLED if (score := column.filled(rows)).rows]
    if not shown:
        remedy = f"There are no scores yet: pcip run {rows.screen} makes them."
        return Section(heading, [Text(remedy)])
    names = best_layers(shown[0].values)
    names += dict.fromkeys(name for score in shown[1:] for name in score.rows if name not in names)
    protocol, scored = strictest(rows)
    classes = classes_of(scored)
    table = _table(rows, shown, names, classes)
    if not scored:
        text = (
            f"No cell has a label in the column {rows.label} of images, so that there are no accuracies. Shown is what "
            "needs none: how well an image finds the other images of its protein (mean average precision), and how "
            "often random rankings find them as well (p). "
            f"The proteins most alike: pcip like {rows.screen} PROTEIN. "
            f"Clusters, maps, variable proteins: pcip run {rows.screen} --analyses."
        )
        return Section(heading, [Text(text), table, *_notes(rows, shown)])
    n_cells = max((row["n"] for row in pick(scored, label=None)), default=0)
    text = (
        f"Labels: column {rows.label} of images, {many(classes, 'class')}; {many(n_cells, 'cell', ',')} scored "
        f"({protocol}). Each method is shown with its best layer by nearest neighbours, chosen on the scored cells. "
        "Accuracies are balanced: the mean recall of the classes."
    )
    if any(
        row.get("low") is not None
        for score in shown
        if score.classifier == "knn"
        for row in score.rows.values()
    ):
        text += (
            " In parentheses: 95 % intervals of nearest neighbours, from the variance between the images of each "
            "class. They do not include the choice of the layer, nor another training."
        )
    return Section(heading, [Text(text), table, *_notes(rows, shown)])


def _table(rows: BenchmarkRows, shown: list[_Score], names: list[str], classes: int) -> Table:
    """One row per feature set, the best score of each column marked, and a row of chance."""
    best = {score.heading: (max if score.is_high_good else min)(score.values.values()) for score in shown}
    body: list[list[Cell | str]] = []
    for name in names:
        line: list[Cell | str] = [name]
        for score in shown:
            row = score.rows.get(name)
            is_best = row is not None and row["value"] == best[score.heading]
            line.append(
                with_interval(row, best=is_best)
                if score.classifier == "knn"
                else number(None if row is None else row["value"], best=is_best)
            )
        body.append(line)
    theirs = paper_columns(rows.screen, names, [(score.heading, score.keys(rows)) for score in shown])
    for line, *cells in zip(body, *(cells for _, cells in theirs), strict=True):
        line += cells
    if classes > 1:
        by_chance = [1 / classes if each.metric == "balanced_accuracy" else each.chance for each in shown]
        body.append(["chance", *map(number, by_chance), *[Cell("", paper=True) for _ in theirs]])
    columns = ["feature set", *(f"{score.heading} ({score.protocol})" for score in shown)]
    columns += [heading for heading, _ in theirs]
    caption = simulated_note(rows) or ("Shaded: published values, from the paper's images." if theirs else "")
    return Table(columns, body, frozenset(heading for heading, _ in theirs), caption=caption)


def _notes(rows: BenchmarkRows, shown: list[_Score]) -> Iterator[Block]:
    """What protocols and columns mean."""
    for name, meaning in PROTOCOLS.items():
        if any(row["protocol"] == name for row in rows.benchmarks):
            yield Text(f"{name}: {meaning}.", note=True)
    for score in shown:
        if score.meaning:
            yield Text(f"{score.heading}: {score.meaning}.", note=True)
