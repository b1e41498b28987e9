"""What the tests of several processes let those processes do; each of them imports this module, so it is small."""

from __future__ import annotations

import os

from pcip_core.errors import SpecError


def process(_):
    """The id of the process that cuts a field."""
    return os.getpid()


def refuse(planes):
    """A segmenter that raises a SpecError."""
    raise SpecError("field", found="a fault", required="none", remedy="Correct it.")
