"""The screen that the tests of the page share with those of its core, and its application."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from starlette.types import ASGIApp

from pcip_assets.browse.actions import Actions
from pcip_assets.browse.application import application
from pcip_assets.browse.publishing import Publisher
from tests.core.browse.conftest import Browsed, browsed, original

__all__ = ["browsed", "original"]


@pytest.fixture
def app(browsed: Browsed) -> Iterator[ASGIApp]:
    """The application over a screen of the test's own, which is not published."""
    publisher = Publisher(lambda: None, lambda tables: None)
    yield application(Actions(browsed.session(), publisher))
    publisher.close()
