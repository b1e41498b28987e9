"""Every link between the documents, and every page that the code names, exists."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "SECURITY.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "pcip_core").rglob("*.md")),
]
LINK = re.compile(r"\]\(([^)\s]+)\)")
NAMED = re.compile(r"\bdocs/[\w./-]+\.(?:md|png)\b")


def prose(page: Path) -> str:
    """The text of a page without its code blocks."""
    return re.sub(r"^ *```.*?^ *```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def relative_name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=relative_name)
def test_every_relative_link_resolves(page: Path) -> None:
    broken = []
    for link in LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_anchors_are_those_of_github(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# `pcip run SCREEN`\n\n```\n# no heading\n```\n\n## What was verified, and what could not be\n"
    )
    assert anchors(page) == {"pcip-run-screen", "what-was-verified-and-what-could-not-be"}


def test_the_index_links_every_page() -> None:
    index = ROOT / "docs" / "README.md"
    linked = {(index.parent / link.partition("#")[0]).resolve() for link in LINK.findall(prose(index))}
    decisions = index.parent / "decisions"
    linked |= {(decisions / link).resolve() for link in LINK.findall(prose(decisions / "README.md"))}
    pages = set((ROOT / "docs").rglob("*.md")) - {index}
    assert sorted(map(relative_name, pages - linked)) == []


def test_every_image_is_shown_on_a_page() -> None:
    shown = {
        (page.parent / link).resolve()
        for page in PAGES
        for link in LINK.findall(prose(page))
        if link.endswith(".png")
    }
    assert shown == set((ROOT / "docs" / "images").iterdir())


def test_every_page_that_the_code_names_exists() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    files = [
        ROOT / name for name in listed.splitlines() if name.endswith((".py", ".yaml", ".toml", "Makefile"))
    ]
    named = {
        (relative_name(file), path)
        for file in files
        if file.is_file()
        for path in NAMED.findall(file.read_text())
    }
    assert len(named) > 20
    assert sorted((file, path) for file, path in named if not (ROOT / path).exists()) == []


def test_every_module_that_a_page_names_exists() -> None:
    pages = [page for page in PAGES if page.parent.name != "decisions"]  # those keep the names of their time
    named = {
        (relative_name(page), path)
        for page in pages
        for path in re.findall(r"`((?:[\w-]+/)+[\w-]+\.py)`", page.read_text())
    }
    assert len(named) > 10
    places = (ROOT, ROOT / "pcip_core", ROOT / "pcip_assets")
    missing = [pair for pair in named if not any((place / pair[1]).is_file() for place in places)]
    assert sorted(missing) == []


def test_every_test_that_a_page_names_exists() -> None:
    named = {
        (relative_name(page), file, name)
        for page in PAGES
        for file, name in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page.read_text())
    }
    assert len(named) > 20
    missing = [
        entry
        for entry in named
        if not (ROOT / entry[1]).is_file()
        or not re.search(rf"^def {entry[2]}\(", (ROOT / entry[1]).read_text(), re.MULTILINE)
    ]
    assert sorted(missing) == []


def test_every_promise_is_held_by_a_test_or_a_row() -> None:
    text = (ROOT / "docs" / "reliability.md").read_text()
    promises = re.findall(r"^- (.*?)(?=^- |^#|\Z)", text, re.MULTILINE | re.DOTALL)
    assert len(promises) > 20
    assert [promise for promise in promises if "`tests/" not in promise and "row `" not in promise] == []
    results = json.loads((ROOT / "benchmarks" / "results" / "faults.json").read_text())
    known = {row["what"] for row in results["rows"] if row["aim"] is not None}
    assert sorted(set(re.findall(r"\brow\s+`([^`]+)`", text)) - known) == []
