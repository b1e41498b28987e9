"""A picture of the page of `pcip browse` for the documentation: simulated cells, labelled and ranked, in chromium.

Run `pcip demo`, then `python -m benchmarks.common.browse_screenshot`. The labels of the picture are removed at its end.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.common.browser import chromium_page, save, served
from pcip_assets.cli.queries.browse import opened
from pcip_assets.workspace import REPOSITORY, Workspace
from pcip_core.store.partitions import Store
from pcip_core.store.publish import publish

if TYPE_CHECKING:
    from playwright.sync_api import Page

PICTURE = REPOSITORY / "docs" / "images" / "browse.png"
SCREEN, LABELS = "simulated_human", "example"
_TERMS = {"nuclear": "Nucleoplasm", "cytoplasmic": "Cytosol"}
_EACH = 12  # cells that are labelled
_DRAWN_MS = 1_500


def main() -> None:
    """Serve the screen of the demo, label, train, and take the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="workspace with the demo; default: the current one")
    parser.add_argument("--to", type=Path, default=PICTURE, help="file of the picture")
    options = parser.parse_args()
    workspace = Workspace(options.data.resolve()) if options.data else Workspace.current()
    try:
        with (
            opened(workspace, SCREEN, labels=LABELS) as app,
            served(app) as address,
            chromium_page(1600, 950) as page,
        ):
            page.goto(address)
            page.locator("body[data-ready=yes][data-pictures]").wait_for()
            label(page)
            save(page.screenshot(), options.to)
    finally:
        store = Store(workspace.store)
        for table in (f"labels_{LABELS}", f"predictions_{LABELS}"):
            store.remove(SCREEN, table)
        publish(store, workspace.published)


def label(page: Page) -> None:
    """Label some cells of two compartments, train, and show the most uncertain ones and the details of one."""
    page.select_option("#colour", "column:localization")
    for number, (name, term) in enumerate(_TERMS.items(), 1):
        page.fill("#class-name", name)
        page.keyboard.press("Enter")
        page.fill("#condition", f"localization = ['{term}']")
        page.evaluate("delete document.body.dataset.selection")
        page.click("#filter-apply")
        page.locator("body[data-selection]").wait_for()
        page.wait_for_timeout(_DRAWN_MS)
        page.locator(".tile").first.click()
        page.locator(".tile").nth(_EACH - 1).click(modifiers=["Shift"])
        page.keyboard.press(str(number))
        page.locator(f"[data-label={name}]").get_by_text(str(_EACH), exact=True).wait_for()
    page.click("#filter-clear")
    page.get_by_text("(all cells)").wait_for()
    page.click("#train")
    page.get_by_text("balanced accuracy").wait_for()
    page.click("#uncertain")
    page.get_by_text("most uncertain first").wait_for()
    page.locator(".tile").nth(2).dblclick()
    page.click("#field")
    page.locator("#field-picture img").wait_for()
    page.wait_for_timeout(_DRAWN_MS)


if __name__ == "__main__":
    main()
