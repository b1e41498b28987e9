"""Do learned features beat the controls: the kNN score of each layer, from a run of the whole platform."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.common.harness import Row
from pcip_assets.cli.run import run_screen
from pcip_assets.cli.simulated import ensure_simulated
from pcip_assets.workspace import REPOSITORY, Workspace
from pcip_core.spec.templates import TEMPLATES
from pcip_core.store.publish import connect

DESCRIPTION = "11-NN balanced accuracy by layer, against untrained and intensity controls"
SECONDS = 700
LONG = True
_REAL = REPOSITORY.parent / "shared" / "data"
_LAYERS = tuple(f"conv{number}" for number in range(1, 6))


def run() -> list[Row]:
    """Train on each screen in a workspace of its own, and read its scores by SQL."""
    rows = []
    for screen in ("simulated_human", "simulated_yeast"):
        rows += _judged(screen, None)
    root = _REAL / "human_labelled_cells"
    if root.is_dir():
        rows += _judged("human_labelled_cells", str(root))
    else:
        rows.append(Row(what="human_labelled_cells: not run, its images cannot be distributed", value=None))
    return rows


def _judged(name: str, root: str | None) -> list[Row]:
    method, scores, n = _scores(name, root)
    control, best_control = max(
        ((feature_set, value) for feature_set, value in scores.items() if not feature_set.startswith(method)),
        key=lambda pair: pair[1],
    )
    about = f"{name} ({'real' if root else 'SIMULATED'} images), 11-NN, leave image out"
    rows = [
        Row(
            what=f"{about}: {method} {layer}",
            value=scores[f"{method}_{layer}"],
            unit="balanced accuracy",
            against=f"untrained {layer}",
            against_value=scores[f"untrained_{layer}"],
            ratio=scores[f"{method}_{layer}"] / scores[f"untrained_{layer}"],
            n=n,
            aim="above the same layer untrained" if root else None,
            held=scores[f"{method}_{layer}"] > scores[f"untrained_{layer}"] if root else None,
        )
        for layer in _LAYERS
    ]
    rows.append(Row(what=f"{about}: intensity", value=scores["intensity"], unit="balanced accuracy", n=n))
    layer, best = max(((layer, scores[f"{method}_{layer}"]) for layer in _LAYERS), key=lambda pair: pair[1])
    rows.append(
        Row(
            what=f"{about}: best layer ({layer}) above the best control ({control})",
            value=best - best_control,
            unit="balanced accuracy",
            against=control,
            against_value=best_control,
            ratio=best / best_control,
            n=n,
            aim=None if root else "at least 0.10 above both controls",
            held=None if root else best - best_control >= 0.10,
        )
    )
    return rows


def _scores(name: str, root: str | None) -> tuple[str, dict[str, float], int]:
    """The method of the encoder, feature set -> balanced accuracy, and the number of cells that were scored."""
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder))
        screen = workspace.find(str(TEMPLATES[name]), root=root)
        ensure_simulated(screen)
        outcome = run_screen(workspace, screen)
        if not outcome.success:
            raise RuntimeError(outcome.error)
        with connect(workspace.published) as con:
            found = con.execute(
                "SELECT feature_set, value, n FROM main.benchmarks WHERE label IS NULL "
                "AND metric = 'balanced_accuracy' AND parameter = 'k=11' AND protocol = 'leave_image_out'"
            ).fetchall()
    return screen.encoder.method, {feature_set: value for feature_set, value, _ in found}, found[0][2]
