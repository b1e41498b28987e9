"""The finished screen that the tests of assets share, too."""

from tests.assets.conftest import finished

__all__ = ["finished"]
