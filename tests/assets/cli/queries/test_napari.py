"""The command `pcip napari`: what it opens, and what it says where napari or a display lacks."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from pcip_assets.cli.queries.napari import command
from pcip_core.errors import PcipError
from tests.core.browse.conftest import Browsed, browsed, original

__all__ = ["browsed", "original"]


class Viewer:
    """Keeps what is added; stands for napari's, which needs a display."""

    opened: Viewer

    def __init__(self, title: str) -> None:
        self.title, self.layers = title, []
        self.scale_bar = SimpleNamespace(visible=None)
        self.canvas = SimpleNamespace(overlays=SimpleNamespace(scale_bar=self.scale_bar))
        Viewer.opened = self

    def add_layer(self, layer: Any) -> None:
        self.layers.append(layer)


@pytest.fixture
def workspace(original: Browsed, browsed: Browsed, monkeypatch: pytest.MonkeyPatch) -> str:
    """The spec of the screen, in a workspace with its results and a display."""
    monkeypatch.setenv("PCIP_DATA", str(browsed.folder))
    monkeypatch.setenv("DISPLAY", ":0")
    return str(original.folder / "tiny.yaml")


def test_a_field_is_opened(workspace: str, monkeypatch: pytest.MonkeyPatch) -> None:
    napari, layers = ModuleType("napari"), ModuleType("napari.layers")
    napari.Viewer, napari.run = Viewer, lambda: None  # type: ignore[attr-defined]
    layers.Layer = SimpleNamespace(create=lambda *layer: layer)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "napari", napari)
    monkeypatch.setitem(sys.modules, "napari.layers", layers)
    arguments = [workspace, "plate_2_A01", "--features", "inpainting_conv4"]
    done = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert done.output == "field plate_2_A01_1: close the window to end\n"
    assert Viewer.opened.title.endswith(": plate_2_A01_1")
    assert [kind for *_, kind in Viewer.opened.layers][-3:] == ["image", "labels", "points"]
    assert Viewer.opened.scale_bar.visible is False  # the spec does not tell the size of a pixel


def test_without_napari_the_extra_is_named(workspace: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "napari", None)
    with pytest.raises(PcipError, match=r"pip install 'pcip\[napari\]'"):
        CliRunner().invoke(command, [workspace], catch_exceptions=False)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere, a display has no name")
def test_without_a_display_the_page_is_named(workspace: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.delenv("QT_QPA_PLATFORM", raising=False)
    with pytest.raises(PcipError, match=r"no display.*`pcip browse tiny`.*`pcip export tiny --to ome-zarr`"):
        CliRunner().invoke(command, [workspace], catch_exceptions=False)
