"""Pictures of the reports for the documentation, of SIMULATED images.

Run `python -m benchmarks.common.report_figures`. It takes a copy of `simulated_human` to its analyses, described by the
encoder that comes with pcip, so that nothing is trained, and asks `pcip like`. With `--inpainting` it draws instead the
pictures of encoders that learn inpainting, and trains two of them first. With `--demo` it draws the scores of the demo,
in whose workspace it runs.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import mlflow
from click.testing import CliRunner
from matplotlib.figure import Figure
from PIL import Image

from benchmarks.common.screens import INPAINTING, run_changed
from pcip_assets.assets.benchmarks.scoring import KNN
from pcip_assets.cli.main import cli
from pcip_assets.cli.queries.like import figure_name
from pcip_assets.tracking import Tracking
from pcip_assets.workspace import REPOSITORY, Workspace
from pcip_core.locks import temporary_folder
from pcip_core.plots.pictures import save_png
from pcip_core.plots.scores.benchmarks import accuracy_by_layer
from pcip_core.plots.scores.chance import classes_of
from pcip_core.spec.screen import Screen
from pcip_core.store.partitions import Store

IMAGES = REPOSITORY / "docs" / "images"
HUMAN, YEAST, SEED, COUNT = "simulated_human", "simulated_yeast", "SIMP005", 10
_AS_IT_COMES: dict[str, Any] = {"encoder": {"recipe": "small_screen", "start": HUMAN, "epochs": 0}}
_INPAINTING: dict[str, Any] = {"encoder": {"recipe": "paper", **INPAINTING, "epochs": 16}}
_MOST_PX = 1500  # width of a picture; twice its pixels on a page
FIGURES = {  # picture -> name of the figure among the reports
    "clusters": "clusters_maximum_likelihood",
    "clusters_within": "clusters_ward within nuclear",
    "enrichment": "enrichment_maximum_likelihood",
    "localization_scores": "localization_scores_Cytosol_Nuclear membrane",
    "variability": "variability",
}


def main() -> None:
    """Run the screens unless their workspace is given, and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="workspace to use and keep; by default a temporary one")
    parser.add_argument("--to", type=Path, default=IMAGES, help="folder of the pictures")
    parser.add_argument(
        "--inpainting", action="store_true", help="the pictures of encoders that learn inpainting"
    )
    parser.add_argument(
        "--demo", action="store_true", help="the scores of the demo, from the current workspace"
    )
    options = parser.parse_args()
    options.to.mkdir(parents=True, exist_ok=True)
    with temporary_folder() as folder:
        workspace = Workspace(options.data.resolve() if options.data else folder / "data")
        if options.demo:
            scores_of_the_demo(Workspace.current(), options.to)
        elif options.inpainting:
            inpainting(workspace, options.to)
        else:
            analyses(workspace, options.to)


def analyses(workspace: Workspace, to: Path) -> None:
    """The figures of the analyses, and those of the most variable protein; nearest proteins."""
    screen = run_changed(workspace, HUMAN, HUMAN, _AS_IT_COMES, analyses=True)
    for picture, name in FIGURES.items():
        copy(workspace.figure(HUMAN, name), to / f"{picture}.png")
    ranked = Store(workspace.store).read(HUMAN, "variability").sort("rank").row(0, named=True)
    tree = f"phenotypes_{ranked['protein']}"  # with its cell line, if it has several
    if not workspace.figure(HUMAN, tree).exists():
        tree = f"{tree}_{ranked['cell_line']}"
    copy(workspace.figure(HUMAN, tree), to / "phenotypes.png")
    copy(workspace.figure(HUMAN, f"{tree}_fields"), to / "phenotypes_fields.png")
    nearest(workspace, screen, to / "like.png")


def nearest(workspace: Workspace, screen: Screen, to: Path) -> None:
    """The gallery of `pcip like`."""
    asked = ["like", screen.name, SEED, "-n", str(COUNT)]
    answer = CliRunner(env={"PCIP_DATA": str(workspace.data)}).invoke(cli, asked, catch_exceptions=False)
    if answer.exit_code:
        raise SystemExit(answer.output)
    copy(workspace.figure(screen.name, figure_name((SEED,), screen.feature_set, COUNT)), to)


def inpainting(workspace: Workspace, to: Path) -> None:
    """Mismatched pairs of yeast, and predictions for human cells."""
    run_changed(workspace, YEAST, YEAST, _INPAINTING, analyses=True)
    copy(workspace.figure(YEAST, "mismatch"), to / "mismatch.png")
    run_changed(workspace, HUMAN, HUMAN, _INPAINTING)
    mlflow.set_tracking_uri(workspace.mlflow_uri)
    run = Tracking(data=str(workspace.data)).champion(HUMAN).run_id
    with temporary_folder() as folder:
        path = mlflow.artifacts.download_artifacts(
            run_id=run, artifact_path="preview.png", dst_path=str(folder)
        )
        copy(Path(path), to / "inpainting.png")


def scores_of_the_demo(workspace: Workspace, to: Path) -> None:
    """Accuracies by layer, as MLflow shows them with the training."""
    rows = Store(workspace.store).read(HUMAN, KNN).to_dicts()
    figure: Figure = accuracy_by_layer(rows, f"{HUMAN} (simulated images)", classes=classes_of(rows))
    print(save_png(figure, to / "knn_benchmark.png"))


def copy(figure: Path, to: Path) -> None:
    """Copy a figure with few colours, among them the strongest ones, which are those of the channels."""
    with Image.open(figure) as picture:
        small = picture.convert("RGB")
    small.thumbnail((_MOST_PX, _MOST_PX * 2))
    small.quantize(256, method=Image.Quantize.MAXCOVERAGE).save(to, optimize=True)
    print(f"{to.name}: {to.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
