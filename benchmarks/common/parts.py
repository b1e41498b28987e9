"""The parts of a benchmark that are run: all, or those that the environment variable PCIP_BENCH_PART names."""

from __future__ import annotations

import os
from collections.abc import Sequence

from pcip_core.errors import PcipError

PART = "PCIP_BENCH_PART"


def chosen(names: Sequence[str]) -> list[str]:
    """The names of the parts to run: those that contain the text of the variable, or all.

    Raises:
        PcipError: no name contains it.
    """
    text = os.environ.get(PART, "")
    parts = [name for name in names if text in name]
    if not parts:
        raise PcipError(
            f"{PART}={text}",
            found="no part of this benchmark and size with this text in its name",
            required=f"a text in one of: {'; '.join(names)}",
            remedy="Correct the variable, or ask for a larger size (--medium, --long).",
        )
    return parts
