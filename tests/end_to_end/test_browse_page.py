"""A user at the page of `pcip browse`: selects, filters, labels, trains, and finds the labels in SQL.

The name of one protein is hostile, and another page in the same browser tries to write labels.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import duckdb
import pytest
from playwright.sync_api import Page, expect

from benchmarks.common.browser import CHROMIUM, chromium_page, draw_around, served
from pcip_assets.cli.queries.browse import opened
from pcip_assets.workspace import Workspace
from pcip_core.store.publish import connect
from tests.core.browse.conftest import HOSTILE, Browsed, browsed, original

__all__ = ["browsed", "original"]
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium on this machine (Debian: apt-get install chromium)"
)


@pytest.fixture
def address(original: Browsed, browsed: Browsed, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The page over a screen of the test's own; Dagster is not told."""
    monkeypatch.setattr("pcip_assets.browse.publishing.report_in_process", lambda *_: None)
    spec = str(original.folder / "tiny.yaml")
    with opened(Workspace(browsed.folder), spec, user="ada") as app, served(app) as url:
        yield url


@pytest.fixture
def page() -> Iterator[Page]:
    expect.set_options(timeout=60_000)
    with chromium_page() as page:
        yield page


@pytest.fixture
def other_page(tmp_path: Path) -> Iterator[str]:
    """An empty page of another server on this machine."""
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "index.html").write_text("<!doctype html><title>another page</title>")

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def rows_in_sql(browsed: Browsed, query: str, least: int = 1) -> list[tuple[object, ...]]:
    """The rows of a query, once it has so many: changes are published within seconds, and several may be at once."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        with suppress(duckdb.CatalogException), connect(browsed.published) as con:  # not published yet
            if len(rows := con.sql(query).fetchall()) >= least:
                return rows
        time.sleep(0.1)
    raise AssertionError(f"no rows within 60 s: {query}")


ATTACK = """async (address) => {
    const body = JSON.stringify({rows: [5], label: "forged", feature_set: "inpainting_conv4"});
    const sent = (type, mode) => ({method: "POST", body, mode, headers: {"Content-Type": type}});
    const send = (type, mode) => fetch(`${address}/do/label`, sent(type, mode))
        .then((answer) => answer.type, () => "error");
    const form = document.createElement("form");
    Object.assign(form, {method: "post", action: `${address}/do/undo`, target: "f"});
    const frame = Object.assign(document.createElement("iframe"), {name: "f"});
    document.body.append(frame, form);
    const loaded = new Promise((resolve) => { frame.onload = () => resolve("load"); });
    form.submit();
    const shown = await loaded;
    return [await send("application/json", "cors"), await send("text/plain", "no-cors"), shown];
}"""


def test_select_filter_label_train_and_find_it_in_sql(
    address: str, page: Page, browsed: Browsed, other_page: str
) -> None:
    problems: list[str] = []
    page.on("dialog", lambda dialog: problems.append(f"dialog {dialog.message}"))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(address)
    page.locator("body[data-ready=yes][data-pictures]").wait_for()

    draw_around(page)  # select
    page.mouse.up()
    expect(page.locator("#total")).to_have_text(re.compile(r"^[1-9]\d cells \(selected on the map\)$"))
    expect(page.locator(".tile")).to_have_count(int(page.inner_text("#total").split()[0]))

    page.select_option("#filter-column", "protein")  # filter: by a hostile name, then by SQL
    page.fill("#filter-value", HOSTILE)
    page.click("#filter-add")
    expect(page.locator("#total")).to_have_text("9 cells (filtered)")
    expect(page.locator(".tile .caption").first).to_have_text(HOSTILE)
    page.locator(".tile").first.dblclick()
    expect(page.locator("#values")).to_contain_text(HOSTILE)
    page.keyboard.press("Escape")

    for name in ("in", "out"):  # label
        page.fill("#class-name", name)
        page.keyboard.press("Enter")
    page.keyboard.press("a")
    page.keyboard.press("1")
    expect(page.locator("[data-label=in]")).to_contain_text("9")
    page.fill("#condition", "'Cytosol' IN localization")
    page.keyboard.press("Enter")
    expect(page.locator("#total")).to_have_text("36 cells (filtered)")
    page.locator(".tile").nth(3).click()
    page.locator(".tile").nth(14).click(modifiers=["Shift"])
    page.keyboard.press("2")
    expect(page.locator("[data-label=out]")).to_contain_text("12")
    page.keyboard.press("Control+z")
    expect(page.locator("[data-label=out]")).to_contain_text("0")
    page.keyboard.press("a")
    page.keyboard.press("2")
    expect(page.locator("[data-label=out]")).to_contain_text("36")

    page.click("#filter-clear")  # train and rank
    page.click("#train")
    expect(page.locator("#trained")).to_contain_text("45 labels")
    page.click("#uncertain")
    expect(page.locator("#total")).to_have_text("27 cells (unlabelled, most uncertain first)")
    page.locator("[data-label=in]").get_by_role("button", name="likely").click()
    expect(page.locator("#total")).to_contain_text("most probable in first")

    assert page.context.browser
    other = page.context.browser.new_page()  # another page can do nothing
    other.goto(other_page)
    assert other.evaluate(ATTACK, address)[:2] == ["error", "error"]

    labelled = rows_in_sql(
        browsed,
        "SELECT label, count(*), min(labelled_by) FROM tiny.labels_manual GROUP BY ALL ORDER BY ALL",
        2,
    )
    assert labelled == [("in", 9, "ada"), ("out", 36, "ada")]
    right = rows_in_sql(
        browsed,
        "SELECT count(*) FROM tiny.predictions_manual p JOIN tiny.images USING (image_id) "
        "WHERE (p.label = 'out') = list_contains(localization, 'Cytosol')",
    )
    assert right == [(72,)]
    assert problems == []


def test_a_mistake_in_a_filter_is_explained(address: str, page: Page) -> None:
    page.goto(address)
    page.locator("body[data-ready=yes]").wait_for()
    page.fill("#condition", "1; DROP TABLE cells")
    page.click("#filter-apply")
    expect(page.locator("#message")).to_contain_text("required: one condition in SQL")


def test_a_lasso_that_begins_late_selects_and_one_picture_is_drawn_at_a_time(
    address: str, page: Page
) -> None:
    """Bokeh takes a button that is held still for 0.3 s for a press; so does a slow browser."""
    asked, most = 0, 0

    def counted(change: int, url: str) -> None:
        nonlocal asked, most
        asked += change * url.endswith("/do/picture")
        most = max(most, asked)

    page.on("request", lambda request: counted(1, request.url))
    page.on("requestfinished", lambda request: counted(-1, request.url))
    page.route("**/do/picture", lambda route: (time.sleep(0.2), route.continue_()))
    page.goto(address)
    page.locator("body[data-ready=yes][data-pictures]").wait_for()
    for _ in range(6):
        page.mouse.move(300, 400)
        page.mouse.wheel(0, 40)
        page.wait_for_timeout(60)
    draw_around(page, held_ms=600)
    page.mouse.up()
    expect(page.locator("#total")).to_contain_text("(selected on the map)")
    assert most == 1
