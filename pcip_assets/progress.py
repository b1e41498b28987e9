"""Output of a run: log lines, and progress as a bar in a terminal or one log line per minute."""

import logging
import sys
import time
from typing import Any

import dagster as dg
from tqdm import tqdm

_LOG_EVERY_S = 60.0


class Progress:
    """Progress of a task: call it with the amount done so far; close it, or use it in a `with` block.

    Args:
        log: Dagster's log of the running asset.
        label: label in front of the count.
        total: total amount.
        unit: unit of the count, in the singular.
    """

    def __init__(self, log: Any, label: str, total: int, unit: str) -> None:
        self._log, self._label, self._total, self._unit = log, label, total, unit
        self._logged_at = time.monotonic()
        self._bar = tqdm(
            total=total, desc=f"  {label}", unit=unit, leave=False, disable=not sys.stderr.isatty()
        )

    def __call__(self, done: int) -> None:
        self._bar.update(done - self._bar.n)
        if self._bar.disable and time.monotonic() - self._logged_at > _LOG_EVERY_S:
            self._logged_at = time.monotonic()
            self._log.info(f"{self._label}: {done} of {self._total} {self._unit}s")

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove the bar."""
        self._bar.close()


@dg.logger
def plain_console(context: dg.InitLoggerContext) -> logging.Logger:
    """The messages of assets, one line each. Dagster's own events stay in its event log."""
    logger = logging.getLogger("pcip")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("  %(message)s"))
    handler.addFilter(_comes_from_an_asset)
    logger.handlers = [handler]
    return logger


def _comes_from_an_asset(record: logging.LogRecord) -> bool:
    """False for Dagster's events and for its list of steps skipped after a failure."""
    metadata = getattr(record, "dagster_meta", {})
    record.msg = metadata.get("orig_message", record.msg)
    return metadata.get("dagster_event") is None and not record.msg.startswith("Dependencies for step")
