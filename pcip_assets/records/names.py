"""Names of runs and short descriptions of settings, as people read them in MLflow's tables."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

DATE = "%Y-%m-%d %H:%M"


def run_name(subject: str, what: str, overrides: str = "") -> str:
    """The name of a run: its screen or its encoder, what it did, the local time, and settings for this run alone.

    Args:
        subject: a screen, or a model version such as `tiny/1`.
        what: `inpainting`, `knn_benchmark`, ...
        overrides: as `settings_text` writes them.
    """
    name = f"{subject} {what} {datetime.now():{DATE}}"
    return f"{name} ({overrides})" if overrides else name


def settings_text(settings: Mapping[str, Any]) -> str:
    """Settings in one line.

    >>> settings_text({"epochs": 5, "learning_rate": 0.001})
    'epochs=5, learning_rate=0.001'
    """
    return ", ".join(f"{name}={value}" for name, value in settings.items())


def differences_text(differences: Mapping[str, tuple[Any, Any]]) -> str:
    """Settings with their former and present values.

    >>> differences_text({"width": (1.0, 0.25), "start": ("none", "simulated_yeast")})
    'width 1.0 → 0.25, start none → simulated_yeast'
    """
    return ", ".join(f"{name} {before} → {now}" for name, (before, now) in differences.items())
