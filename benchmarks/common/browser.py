"""An application served to chromium, for benchmarks, pictures and tests."""

from __future__ import annotations

import io
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn

if TYPE_CHECKING:
    from playwright.sync_api import Page
    from starlette.types import ASGIApp

CHROMIUM = shutil.which("chromium")
_STOPS_S = 30
_WAIT_MS = 120_000
_MOVE_MS = 10  # as a hand moves


@contextmanager
def served(app: ASGIApp) -> Iterator[str]:
    """The address of an application that is served in a thread."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(_STOPS_S)


@contextmanager
def chromium_page(width: int = 1500, height: int = 950) -> Iterator[Page]:
    """A page of Debian's chromium, of this size in px."""
    from playwright.sync_api import sync_playwright

    if CHROMIUM is None:
        raise SystemExit("chromium is not installed (Debian: apt-get install chromium)")

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": width, "height": height})
        page.set_default_timeout(_WAIT_MS)
        yield page
        browser.close()


def save(png: bytes, to: Path, *, colours: int = 256) -> None:
    """Save a picture with few colours, a third of its size."""
    from PIL import Image

    Image.open(io.BytesIO(png)).convert("RGB").quantize(colours).save(to, optimize=True)


def draw_around(page: Page, share: float = 0.96, corners: int = 40, *, held_ms: int = _MOVE_MS) -> None:
    """Draw an ellipse on the map of `pcip browse`, but do not release the button.

    Args:
        page: the page.
        share: of the sides of the map.
        corners: of the polygon.
        held_ms: how long the button is held before it moves.
    """
    import math

    box = page.locator("#map").bounding_box()
    assert box is not None
    for number in range(corners):
        angle = 2 * math.pi * number / corners
        x = box["x"] + box["width"] * (0.5 + share / 2 * math.cos(angle))
        y = box["y"] + box["height"] * (0.5 + share / 2 * math.sin(angle))
        page.mouse.move(x, y)
        if number == 0:
            page.mouse.down()
        page.wait_for_timeout(held_ms if number == 0 else _MOVE_MS)
