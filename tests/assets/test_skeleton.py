"""One rule decides whether a result is made: not what is up to date, unless `force` is given."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from pcip_assets.assets.results import Made, Page, Tables
from pcip_assets.assets.skeleton import Work, asset
from pcip_assets.definitions import screen_assets
from pcip_assets.resources import Library
from pcip_assets.workspace import Workspace
from pcip_core.errors import StoreError
from pcip_core.report.page import page
from pcip_core.spec.screen import Screen
from pcip_core.store.partitions import Store
from tests.assets.conftest import EVERYTHING, FEATURES
from tests.conftest import write_spec

Inputs = dict[str, Any]


@pytest.fixture(autouse=True)
def _code_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """Assets of tests are no part of the packages whose code has versions."""
    monkeypatch.setattr("pcip_assets.assets.skeleton.code_version", lambda *_, **__: "first")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "data")


@pytest.fixture
def screen(tmp_path: Path, workspace: Workspace) -> Screen:
    return workspace.find(str(write_spec(tmp_path)))


def built(screen: Screen, work: Callable[[Library], Work]) -> dg.AssetsDefinition:
    @asset(screen, "noun", kinds=set(), figures=True)
    def noun(context: dg.AssetExecutionContext, library: Library) -> Work:
        """A noun."""
        return work(library)

    return noun


def run(
    built: dg.AssetsDefinition, workspace: Workspace, *, force: bool | None = None
) -> dict[str, dg.MetadataValue]:
    """Materialize an asset; its metadata."""
    config = {} if force is None else {"ops": {"tiny__noun": {"config": {"force": force}}}}
    library = Library(data=str(workspace.data))
    with dg.DagsterInstance.ephemeral() as instance:
        done = dg.materialize([built], instance=instance, resources={"library": library}, run_config=config)
    (event,) = done.asset_materializations_for_node("tiny__noun")
    return dict(event.metadata)


def test_a_result_is_made_again_if_one_of_its_tables_is_gone(screen: Screen, workspace: Workspace) -> None:
    made: list[str | None] = []

    def make(shard: str | None) -> Made:
        made.append(shard)
        return Made({name: pl.DataFrame({"number": [1]}) for name in ("noun", "truth_notes")})

    noun = built(screen, lambda _: Tables("noun", lambda _: {}, make))
    run(noun, workspace)
    (second,) = workspace.store.glob("tiny/truth_notes/part.parquet")
    second.write_bytes(b"damaged")
    with pytest.raises(StoreError, match=r"Remove the file. Run `pcip run tiny`, or materialize tiny/fields"):
        Store(workspace.store).read("tiny", "truth_notes")
    second.unlink()
    run(noun, workspace)
    assert len(made) == 2
    assert second.is_file()
    run(noun, workspace)
    assert len(made) == 2


@pytest.mark.parametrize("kind", ["tables", "page"])
def test_what_is_up_to_date_is_made_by_force_alone(kind: str, screen: Screen, workspace: Workspace) -> None:
    made: list[Inputs] = []
    value = {"value": 1}

    def work(library: Library) -> Work:
        def table(_: str | None) -> Made:
            made.append(dict(value))
            return Made(
                {"noun": pl.DataFrame({"number": [value["value"]]})}, metadata={"told": value["value"]}
            )

        def html(made_from: str) -> tuple[str, dict[str, Any]]:
            made.append(dict(value))
            return page("A page", [], made_from=made_from), {"told": value["value"]}

        path = library.workspace.analysis_report(screen.name)
        if kind == "tables":
            return Tables("noun", lambda _: dict(value), table)
        return Page(path, lambda _: dict(value), html)

    noun = built(screen, work)
    first = run(noun, workspace)
    assert (first["partitions_made"].value, first["told"].value) == (1, 1)
    again = run(noun, workspace)
    assert (again["partitions_up_to_date"].value, again["up_to_date"].value) == (1, True)
    assert run(noun, workspace, force=False)["partitions_made"].value == 0
    assert made == [{"value": 1}]
    assert run(noun, workspace, force=True)["partitions_made"].value == 1
    assert made == [{"value": 1}] * 2
    value["value"] = 2
    assert run(noun, workspace)["told"].value == 2
    assert made == [{"value": 1}, {"value": 1}, {"value": 2}]


def test_other_code_makes_a_result_again(
    screen: Screen, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []

    def work(_: Library) -> Work:
        def table(_: str | None) -> Made:
            made.append(1)
            return Made({"noun": pl.DataFrame({"number": [1]})})

        return Tables("noun", lambda _: {}, table)

    for version in ("first", "first", "second"):
        monkeypatch.setattr("pcip_assets.assets.skeleton.code_version", lambda *_, **__: version)  # noqa: B023
        run(built(screen, work), workspace)
    assert len(made) == 2


def test_work_that_is_yielded_is_done_before_the_function_goes_on(
    screen: Screen, workspace: Workspace
) -> None:
    order: list[str] = []

    @asset(screen, "noun", kinds=set())
    def noun(context: dg.AssetExecutionContext, library: Library) -> Iterator[Tables]:
        def make(_: str | None) -> Made:
            order.append("make")
            return Made({"noun": pl.DataFrame({"number": [1]})})

        order.append("before")
        yield Tables("noun", lambda _: {}, make)
        order.append("after")

    run(noun, workspace)
    assert order == ["before", "make", "after"]


@pytest.mark.parametrize(
    ("metadata", "reasons"),
    [
        ({"not_scored: a": "no labels", "not_scored: b": "no labels"}, ": no labels"),
        ({"no_units": "one label"}, ": one label"),
        (
            {f"not_scored: {number}": f"reason {number}" for number in range(5)},
            ": reason 0; reason 1; reason 2; 2 other reasons",
        ),
        ({"feature_sets": ["a"], "cells_without_label": 3}, ""),
    ],
)
def test_the_log_says_why_there_are_no_rows(
    metadata: dict[str, Any], reasons: str, screen: Screen, workspace: Workspace
) -> None:
    resources = {"library": Library(data=str(workspace.data))}

    def of(rows: int) -> list[str]:
        made = Made({"noun": pl.DataFrame({"a": list(range(rows))})}, metadata=metadata)
        noun = built(screen, lambda _: Tables("noun", lambda _: {"rows": rows}, lambda _: made))
        with dg.DagsterInstance.ephemeral() as instance:
            done = dg.materialize([noun], instance=instance, resources=resources)
            logged = [entry.user_message for entry in instance.all_logs(done.run_id)]
        return [text.removeprefix("tiny/noun: ") for text in logged if text.startswith("tiny/noun: ")]

    (nothing,) = of(0)
    assert re.fullmatch(rf"0 rows in [\d.]+ s{re.escape(reasons)}", nothing)
    (something,) = of(2)
    assert re.fullmatch(r"2 rows in [\d.]+ s", something)


def test_figures_are_kept_only_where_the_version_counts_them(screen: Screen, workspace: Workspace) -> None:
    @asset(screen, "noun", kinds=set())
    def noun(context: dg.AssetExecutionContext, library: Library) -> Tables:
        return Tables("noun", lambda _: {}, lambda _: Made({"noun": pl.DataFrame()}, figures={"one": None}))  # type: ignore[dict-item]

    with pytest.raises(AssertionError, match="needs `figures=True`"):
        run(noun, workspace)


def test_every_asset_goes_through_the_skeleton(tmp_path: Path, workspace: Workspace) -> None:
    spec = write_spec(
        tmp_path,
        baselines=EVERYTHING,
        features=FEATURES,
    )
    for made in screen_assets(workspace.find(str(spec))):
        function = made.op.compute_fn.decorated_fn  # type: ignore[union-attr]
        assert function.__code__.co_filename.endswith("skeleton.py"), made.key
        fields = made.op.config_field.config_type.fields  # type: ignore[union-attr]
        assert ("force" in fields) == (made.key.path[-1] != "like"), made.key  # which is kept nowhere
