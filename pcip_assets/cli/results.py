"""The table of scores that `pcip run` and `pcip demo` end with."""

from collections.abc import Iterable, Mapping

import click
import polars as pl
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pcip_assets.workspace import Workspace
from pcip_core.errors import PcipError
from pcip_core.spec.screen import Screen
from pcip_core.store.partitions import Store
from pcip_core.store.publish import connect
from pcip_core.words import escaped, many, plural

_PAPER_K = 11  # nearest neighbours
_NO_SCORES = (
    "No feature set is scored: that takes labelled cells of two or more classes. The label is benchmark.label in the "
    "spec, by default the localization of an image (docs/how-to/add-localization-terms.md).\n"
    "What needs no labels: the proteins most alike, `pcip like {screen} PROTEIN`; clusters, maps and variable "
    "proteins, `pcip run {screen} --analyses`."
)


def print_results(workspace: Workspace, screens: list[str], used: Mapping[str, str] | None = None) -> None:
    """Print the published kNN scores of these screens, one row per feature set, and the paths of their pages.

    Args:
        workspace: where the results are.
        screens: their names.
        used: screen -> the sentence on the feature set of its analyses, for below its table; see `feature_set_used`.

    Raises:
        PcipError: a screen is not published.
    """
    console = Console()
    for screen in screens:
        heading, table = score_table(workspace, screen)
        why = not_scored(workspace, screen)
        click.secho(f"\n{heading}", bold=True)
        if table.row_count:
            console.print(table)
            if used and screen in used:
                click.echo(used[screen])
        elif not why:
            click.echo(_NO_SCORES.format(screen=screen))
        for reason in why:
            click.secho(f"not scored: {escaped(reason)}", fg="yellow")
        for line in quarantined(workspace, screen):
            click.secho(escaped(line), fg="yellow")
        pages = {
            "all scores and figures": workspace.benchmark_report(screen),
            "all analyses": workspace.analysis_report(screen),
            "quality of fields": workspace.quality_report(screen),
        }
        for label, page in pages.items():
            if page.is_file():
                click.echo(f"{label}: {page}")


def feature_set_used(screen: Screen) -> str:
    """Which feature set the analyses and the neighbours use, why, and how to change it: one sentence.

    The table of scores may rank another one first.
    """
    if screen.analyses.feature_set:
        why = "which the spec names in analyses.feature_set"
    elif "agreement" in screen.encoder.tasks:
        why = "the layer that the training makes agree; analyses.feature_set in the spec names another"
    else:
        why = "the layer that the paper uses; analyses.feature_set in the spec names another"
    return (
        f"The analyses, `pcip like` and `pcip browse` use {screen.feature_set}, {why} "
        "(docs/explanation/encoders.md)."
    )


def row_of(values: Iterable[object]) -> list[Text]:
    """Values for a row of a printed table; names of users may hold line breaks, and what rich takes for markup."""
    texts = (
        f"{value:.3f}" if isinstance(value, float) else "" if value is None else str(value)
        for value in values
    )
    return [Text(escaped(text)) for text in texts]


def not_scored(workspace: Workspace, screen: str) -> list[str]:
    """Why there are no scores under some protocols of the spec, one sentence each."""
    provenance = Store(workspace.store).provenance(screen, "benchmarks") or {}
    return str(provenance.get("not_scored") or "").splitlines()


def quarantined(workspace: Workspace, screen: str) -> list[str]:
    """What each stage excluded, of how many, and why: the only reason, or the first; one line per stage and kind.

    A field counts once, also if several of its files are at fault.
    """
    store = Store(workspace.store)
    stored = store.tables(screen)
    lines = []
    for stage, used, table in (("fields", "field", "fields"), ("crops", "cell", "cells")):
        if f"quarantine_{stage}" not in stored:
            continue
        rows = store.read(screen, f"quarantine_{stage}").sort("shard", "file", maintain_order=True)
        kinds = {
            "field": rows.filter(pl.col("field_id").is_not_null()).unique("field_id", maintain_order=True),
            **{
                what: rows.filter(pl.col("field_id").is_null(), what=what)
                for what in ("file", "image", "cell")
            },
        }
        n_used = store.read(screen, table, columns=["shard"]).height if table in stored else 0
        for what, excluded in kinds.items():
            if excluded.is_empty():
                continue
            first = excluded.row(0, named=True)
            n = excluded.height
            total = f" of {n + n_used:,}" if what == used else ""
            if excluded["reason"].n_unique() == 1 < n:
                example = f": {first['reason']}"
            else:
                named = "" if first["file"] in first["reason"] else f"{first['file']}: "
                example = f", {'for example ' if n > 1 else ''}{named}{first['reason']}"
            lines.append(
                f"{n:,}{total} {what if n + (n_used if total else 0) == 1 else plural(what)} in "
                f"quarantine{example} "
                f"(all: SELECT file, reason FROM {screen}.quarantine WHERE stage = '{stage}')"
            )
    return lines


def score_table(workspace: Workspace, screen: str) -> tuple[str, Table]:
    """A heading, and the balanced accuracy by feature set and protocol, the best feature set first.

    The scores are those of 11 nearest neighbours, as in the paper, or of the largest number in the spec's
    `benchmark.ks` if 11 is not among them.

    Raises:
        PcipError: the screen is not published.
    """
    with connect(workspace.published) as con:
        counts = con.execute(
            "SELECT n_images, n_cells, simulated FROM main.screens WHERE screen = ?", [screen]
        ).fetchone()
        rows = con.execute(
            "SELECT CAST(replace(parameter, 'k=', '') AS INTEGER), feature_set, protocol, value, n, task "
            "FROM main.benchmarks WHERE screen = ? AND classifier = 'knn' AND label IS NULL "
            "AND metric = 'balanced_accuracy'",
            [screen],
        ).fetchall()
    if counts is None:
        raise PcipError(
            screen, found="no published screen", required="a finished run", remedy=f"pcip run {screen}"
        )
    n_images, n_cells, simulated = counts
    ks = {k for k, *_ in rows}
    n_scored = max((n for *_, n, _ in rows), default=n_cells)
    shown = _PAPER_K if _PAPER_K in ks else max(ks, default=_PAPER_K)
    scores = {(feature_set, protocol): value for k, feature_set, protocol, value, *_ in rows if k == shown}
    protocols = sorted({protocol for _, protocol in scores}, reverse=True)
    origin = "simulated images" if simulated else "real images"
    heading = f"{screen} ({origin}): {many(n_images, 'image')}, {many(n_cells, 'cell')}"
    if scores:
        tasks = " and ".join(sorted({task for *_, task in rows}))
        heading += f"; balanced accuracy of {shown} nearest neighbours in predicting {tasks}"
        if n_scored < n_cells:  # the others have no label, several, or are not drawn: the view exclusions
            heading += f", {n_scored:,} cells with one label scored"
    table = Table("feature set")
    for protocol in protocols:
        table.add_column(protocol.replace("_", " "), justify="right")
    for feature_set in sorted(
        {feature_set for feature_set, _ in scores},
        key=lambda name: ([-scores.get((name, protocol), 0.0) for protocol in protocols], name),
    ):
        values = (scores.get((feature_set, protocol)) for protocol in protocols)
        table.add_row(feature_set, *("-" if value is None else f"{value:.3f}" for value in values))
    return heading, table
