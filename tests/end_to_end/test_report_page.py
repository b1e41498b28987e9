"""The page of analyses as a person opens it: from a file, without a network; hover, zoom."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, sync_playwright

from tests.assets.conftest import Finished

CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium on this machine (Debian: apt-get install chromium)"
)
BAD = "<img src=x onerror=window.hacked=1>"
_PLACE = """([name, told]) => {
  const figure = Bokeh.documents[0].get_model_by_name(name), view = Bokeh.index.find_one(figure);
  for (const renderer of figure.renderers) {
    const data = renderer.data_source.data, glyph = renderer.glyph;
    const row = [...(data.text_0 ?? [])].indexOf(told);
    if (row < 0) continue;
    const at = view.el.getBoundingClientRect();
    return [at.left + view.frame.x_scale.compute(data[glyph.x.field][row]),
            at.top + view.frame.y_scale.compute(data[glyph.y.field][row])];
  }
}"""
_RANGE = """(name) => {
  const figure = Bokeh.documents[0].get_model_by_name(name);
  return [figure.x_range, figure.y_range].map((one) => Math.abs(one.end - one.start));
}"""


@pytest.fixture(scope="module")
def report(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a tiny screen, one of whose proteins has a name that a browser must not obey."""
    folder = tmp_path_factory.mktemp("report")
    analyses = {
        "feature_set": "inpainting_conv2",
        "clusters": {"number": 2, "heights": {"ward": 0.0}},  # methods that agree are shown once
        "compartments": [["Nucleoplasm", "Cytosol"]],
        "least_cells": 5,
    }
    made = finished.copied(folder, baselines={"sets": []}, analyses=analyses)
    table = folder / "images" / "images.csv"
    table.write_text(table.read_text().replace(",P10,", f",{BAD},"))
    outcome = made.again(analyses=True)
    assert outcome.success, outcome.error
    return made.workspace.analysis_report("tiny")


@pytest.fixture
def opened(report: Path) -> Iterator[Page]:
    """The page in a browser that has no network; what it says and asks for is kept."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_context(viewport={"width": 1300, "height": 900}, offline=True).new_page()
        page.set_default_timeout(600_000)  # a loaded machine
        trouble: list[Any] = []
        page.on("pageerror", lambda error: trouble.append(error))
        page.on("console", lambda said: said.type in ("error", "warning") and trouble.append(said.text))
        page.on(
            "request", lambda asked: asked.url.startswith(("data:", "file:")) or trouble.append(asked.url)
        )
        page.goto(report.as_uri())
        page.wait_for_function("window.Bokeh && Bokeh.documents.length && Bokeh.documents[0].is_idle")
        yield page
        browser.close()
        assert trouble == []


def _hover(page: Page, name: str, told: str) -> None:
    """The mouse onto a point of a plot, in view."""
    page.evaluate(
        "(name) => Bokeh.index.find_one(Bokeh.documents[0].get_model_by_name(name)).el.scrollIntoView()", name
    )
    x, y = page.evaluate(_PLACE, [name, told])
    page.mouse.move(x - 40, y - 40)
    page.mouse.move(x, y, steps=4)


def test_hover_a_point_see_its_cells(opened: Page) -> None:
    _hover(opened, "protein_map", "P11")
    picture = opened.locator(".bk-tooltip-content img").first
    picture.wait_for()
    assert str(picture.get_attribute("src")).startswith("data:image/webp;base64,")
    width, height = picture.evaluate("one => [one.naturalWidth, one.naturalHeight]")
    assert (width, height) == (3 * 64, 64)
    assert "P11" in opened.locator(".bk-tooltip-content").first.inner_text()


def test_a_name_is_text_in_the_tooltip(opened: Page) -> None:
    _hover(opened, "protein_map", BAD)
    opened.locator(".bk-tooltip-content img").first.wait_for()
    assert any(BAD in one for one in opened.locator(".bk-tooltip-content").all_inner_texts())
    assert opened.evaluate("window.hacked") is None


def _zoom(page: Page) -> None:
    """Ctrl and the wheel, where the mouse is."""
    page.keyboard.down("Control")
    page.mouse.wheel(0, -400)
    page.keyboard.up("Control")


def test_the_wheel_scrolls_the_page_and_with_ctrl_zooms_a_map(opened: Page) -> None:
    _hover(opened, "protein_map", "P11")
    before, place = opened.evaluate(_RANGE, "protein_map"), opened.evaluate("window.scrollY")
    opened.mouse.wheel(0, 400)
    opened.wait_for_function(f"window.scrollY == {place} + 400")
    assert opened.evaluate(_RANGE, "protein_map") == before
    _hover(opened, "protein_map", "P11")
    place = opened.evaluate("window.scrollY")
    _zoom(opened)
    opened.wait_for_function(
        f"({_RANGE})('protein_map')[0] < {before[0]} && ({_RANGE})('protein_map')[1] < {before[1]}"
    )
    assert opened.evaluate("window.scrollY") == place


def test_ctrl_and_the_wheel_zoom_tree_rows_and_bars_of_a_heat_map_together(opened: Page) -> None:
    parts = [f"heat_1_{part}" for part in ("tree", "heat", "bars")]
    before = [opened.evaluate(_RANGE, name) for name in parts]
    assert [up for _, up in before] == [8, 8, 8]  # proteins
    view = "Bokeh.index.find_one(Bokeh.documents[0].get_model_by_name('heat_1_tree')).el"
    opened.evaluate(f"{view}.scrollIntoView()")
    left, top = opened.evaluate(f"[{view}.getBoundingClientRect().left, {view}.getBoundingClientRect().top]")
    opened.mouse.move(left + 60, top + 120)
    _zoom(opened)
    opened.wait_for_function(f"({_RANGE})('heat_1_heat')[1] < 8")
    after = [opened.evaluate(_RANGE, name) for name in parts]
    assert len({up for _, up in after}) == 1
    assert [across for across, _ in after] == [across for across, _ in before]
    assert opened.evaluate(_RANGE, "heat_2_heat")[1] == 8


def test_two_heat_maps_of_the_same_rows_show_each_row_the_same(opened: Page) -> None:
    """The second is put together by the page from the first."""
    lines = """(name) => {
      const heat = Bokeh.documents[0].get_model_by_name(name + "_heat");
      const image = heat.renderers[0].data_source.data.image[0], data = heat.renderers[1].data_source.data;
      const leaf = data[heat.renderers[1].glyph.y.field], columns = image.length / leaf.length;
      const found = {};
      for (let row = 0; row < leaf.length; row++)
        found[data.text_0[row]] = [...image.slice(leaf[row] * columns, (leaf[row] + 1) * columns)];
      return found;
    }"""
    first, second = (opened.evaluate(lines, name) for name in ("heat_1", "heat_2"))
    assert len(first) == 8
    assert len(next(iter(first.values()))) > 1
    assert first == second
