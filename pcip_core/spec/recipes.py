"""Named settings of the encoder, from which a spec starts: `encoder: {recipe: NAME, ...}`.

A recipe gives defaults of keys of `encoder`; keys beside it replace them. Reading a spec replaces the name by the
settings, so whatever records a training records the settings.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pcip_core.errors import SpecError

_AGREEMENT: dict[str, Any] = {
    "task": "agreement",
    "block": "norm_first",
    "initial_weights": "torch",
    "batch_size": 32,
    "learning_rate": 1e-3,
    "schedule": "cosine",
    "warm_up": 0.1,
    "augment": {"turns": True, "blur": 0.7, "intensity": 0.2},
}
_SMALL: dict[str, Any] = {"width": 0.25, "epochs": 10, "learning_rate": 3e-4}  # beside a `start`
RECIPES: dict[str, dict[str, Any]] = {
    "paper": {},  # the defaults
    "agreement": _AGREEMENT | {"projector": 256},
    "small_screen": _AGREEMENT | _SMALL,  # vectors of the starts' length, the default
}


def with_recipe(values: dict[str, Any], path: Path) -> dict[str, Any]:
    """Replace the recipe in the values of a spec by its settings.

    Raises:
        SpecError: no recipe has this name.

    >>> with_recipe({"encoder": {"recipe": "paper", "epochs": 5}}, Path("example.yaml"))
    {'encoder': {'epochs': 5}}
    """
    encoder = values.get("encoder")
    if not isinstance(encoder, dict) or "recipe" not in encoder:
        return values
    given = {key: value for key, value in encoder.items() if key != "recipe"}
    name = encoder["recipe"]
    if not isinstance(name, str) or name not in RECIPES:
        raise SpecError(
            path,
            found=f"encoder.recipe {name!r}",
            required=f"one of {', '.join(RECIPES)}",
            remedy="Correct the spec.",
        )
    return {**values, "encoder": RECIPES[name] | given}
