"""Progress of long work: a bar in a terminal, a line a minute in the log elsewhere."""

import sys
import time
from typing import Any

from tqdm import tqdm

_EVERY_S = 60.0


class Progress:
    """Called with how much is done so far; to be closed, or used in a `with`.

    Args:
        log: Dagster's log of the running asset.
        what: named in front of the count.
        total: how much there is to do.
        unit: of what.
    """

    def __init__(self, log: Any, what: str, total: int, unit: str) -> None:
        self._log, self._what, self._total, self._unit = log, what, total, unit
        self._told = time.monotonic()
        self._bar = tqdm(
            total=total, desc=f"  {what}", unit=unit, leave=False, disable=not sys.stderr.isatty()
        )

    def __call__(self, done: int) -> None:
        self._bar.update(done - self._bar.n)
        if self._bar.disable and time.monotonic() - self._told > _EVERY_S:
            self._told = time.monotonic()
            self._log.info(f"{self._what}: {done} of {self._total} {self._unit}s")

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Take the bar away."""
        self._bar.close()
