"""Previews against the figure drawn at the same resolution."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from pcip_core.plots.pictures import PRINT_DPI, preview, save_figure, save_png


def figure_of(noise: float) -> Figure:
    figure = Figure(figsize=(6, 6))
    rng = np.random.default_rng(0)
    across = np.linspace(0, 1, 600)
    pixels = across + across[:, None] + noise * rng.normal(size=(600, 600))
    figure.subplots().imshow(pixels, interpolation="nearest")
    return figure


def opened(data: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(data))
    assert picture.format == "WEBP"
    return picture.convert("RGB")


@pytest.mark.parametrize("file", [False, True])
def test_a_preview_looks_as_the_figure_does(tmp_path: Path, *, file: bool) -> None:
    figure = figure_of(noise=0)
    plain = io.BytesIO()
    figure.savefig(plain, format="png", dpi=110)
    drawn = np.asarray(Image.open(plain).convert("RGB"), float)
    found = opened(preview(save_png(figure, tmp_path / "figure.png") if file else figure))
    assert found.size == (660, 660)
    assert np.abs(np.asarray(found, float) - drawn).mean() < 3  # of 255


@pytest.mark.parametrize(("max_bytes", "dpi"), [(10_000_000, 110), (100_000, 80), (20_000, 40), (100, 25)])
def test_the_resolution_is_the_highest_that_fits(max_bytes: int, dpi: int) -> None:
    data = preview(figure_of(noise=1), max_bytes=max_bytes)
    found = opened(data)
    assert found.size == (6 * dpi, 6 * dpi)
    assert len(data) <= max_bytes or dpi == 25


def test_a_figure_too_tall_for_the_format_is_smaller() -> None:
    assert opened(preview(Figure(figsize=(1, 160)))).size == (80, 160 * 80)


def test_a_figure_is_drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    figure, render, drawn = figure_of(noise=1), Figure.savefig, []
    monkeypatch.setattr(
        Figure, "savefig", lambda *args, **options: (drawn.append(options["dpi"]), render(*args, **options))
    )
    preview(figure, max_bytes=20_000)
    assert drawn == [110]


def test_the_file_for_print_is_whole_or_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save_png(figure_of(noise=0), tmp_path / "deep" / "figure.png")
    before = path.read_bytes()
    with Image.open(path) as picture:
        assert picture.size == (6 * PRINT_DPI, 6 * PRINT_DPI)

    def fails(*args: object, **options: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Figure, "savefig", fails)
    with pytest.raises(OSError, match="disk full"):
        save_png(figure_of(noise=1), path)
    assert path.read_bytes() == before


def test_figures_are_also_vector_files_of_equal_bytes_but_pictures_are_not(tmp_path: Path) -> None:
    def drawn(*, colour: bool) -> Figure:
        figure = Figure(figsize=(2, 1), layout="constrained")
        axes = figure.add_subplot()
        axes.scatter([1, 2], [3, 4], label="a")
        axes.legend()
        if colour:
            axes.imshow(np.zeros((2, 2, 3)))
        return figure

    paths = [save_figure(drawn(colour=False), tmp_path / str(number) / "a.png") for number in range(2)]
    for kind in ("png", "svg", "pdf"):
        first, second = (path.with_suffix(f".{kind}").read_bytes() for path in paths)
        assert first == second
        assert b"CreationDate" not in first
    assert b"<dc:date>" not in paths[0].with_suffix(".svg").read_bytes()
    save_figure(drawn(colour=True), paths[0])
    assert [path.name for path in paths[0].parent.iterdir()] == ["a.png"]
