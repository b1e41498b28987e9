"""The README names every folder of the code, and its results are the reference results."""

from __future__ import annotations

import json
import re
from pathlib import Path

from PIL import Image

from benchmarks.common.readme_figure import FIGURE, LAYERS, read_scores, trained_method

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
MAP = README.split("| folder | content |")[1].split("\n\n")[0]
ROWS = dict(re.findall(r"^\| `([\w./-]+/)` \| (.*) \|$", MAP, re.MULTILINE))


def subfolders(row: str) -> list[Path]:
    """The folders that a row names: its own, and those in its text."""
    return [
        ROOT / row,
        *(ROOT / row / name for name in re.findall(r"`([\w-]+/)`", ROWS[row]) if name != "data/"),
    ]


def test_every_folder_of_the_map_exists() -> None:
    assert len(ROWS) > 20
    assert [str(path) for row in ROWS for path in subfolders(row) if not path.is_dir()] == []


def test_every_folder_of_the_code_is_in_the_map() -> None:
    named = {path.resolve() for row in ROWS for path in subfolders(row)}
    code = {
        folder
        for package in ("pcip", "pcip_core", "pcip_assets", "benchmarks")
        for folder in {path.parent for path in (ROOT / package).rglob("*.py")}
        if folder != ROOT / "pcip_core"
    }
    pages = {path.parent for path in (ROOT / "docs").rglob("*.md")} - {
        ROOT / "docs" / "reference" / "screens"
    }
    assert sorted(str(path.relative_to(ROOT)) for path in (code | pages) - named) == []


def test_the_figure_shows_the_reference_results() -> None:
    with Image.open(FIGURE) as picture:
        plotted = json.loads(picture.info["Description"])
    assert plotted == read_scores(), "run `python -m benchmarks.common.readme_figure`"


def test_the_caption_gives_the_reference_results() -> None:
    scores = read_scores()
    method = trained_method(scores)
    best = max(LAYERS, key=lambda layer: scores[f"{method}_{layer}"])
    control = max(LAYERS, key=lambda layer: scores[f"untrained_{layer}"])
    caption = " ".join(README.split("*Real cells:")[1].split("*\n")[0].split())
    assert caption.startswith(f"{scores['cells']:.0f} cells of the Human Protein Atlas in five compartments")
    assert (
        f"The best layer ({best}) reaches a balanced accuracy of {scores[f'{method}_{best}']:.3f}; the same network"
        f" before training reaches at most {scores[f'untrained_{control}']:.3f} ({control}), and channel intensities"
        f" {scores['intensity']:.3f}."
    ) in caption
