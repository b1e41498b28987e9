"""`pcip export`: results in files of other programs, and the encoder as a program that runs without pcip."""

from collections.abc import Callable
from pathlib import Path

import click

from pcip_assets.workspace import Workspace
from pcip_core.errors import EncoderError
from pcip_core.exports.cells import ExportedCells, provenance
from pcip_core.exports.target import check_target, require_outside
from pcip_core.store.partitions import Store
from pcip_core.words import many

_CELLS = {"h5ad": ".h5ad", "zarr": ".zarr", "parquet": ".parquet", "csv": ".csv"}
_KINDS = (*_CELLS, "ome-zarr", "encoder")


@click.command("export")
@click.argument("screen")
@click.option(
    "--to", "kind", type=click.Choice(_KINDS), required=True,
    help="h5ad, zarr: cells as AnnData. parquet, csv: cells as cytomining profiles. ome-zarr: crops. encoder: the "
    "trained network.",
)  # fmt: skip
@click.option("--features", "feature_set", metavar="SET",
              help="Feature set; default: `analyses.feature_set` of the spec.")  # fmt: skip
@click.option("--where", metavar="CONDITION",
              help="Only cells of the images that meet a condition in SQL: \"plate = 'plate_1'\".")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), metavar="PATH",
              help="File or folder to write; default: in data/exports/SCREEN/.")  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace an earlier export of this name.")
def command(
    screen: str, kind: str, feature_set: str | None, where: str | None, out: Path | None, *, overwrite: bool
) -> None:
    """Write results of SCREEN for other programs.

    The target is complete, or it is not there. Memory does not grow with the number of cells.
    """
    workspace = Workspace.current()
    store = Store(workspace.store)
    name = screen
    if screen not in store.screens():
        name = workspace.load(workspace.spec_path(screen)).name
    if kind == "ome-zarr" and feature_set:
        raise click.UsageError(
            "--features: crops have no features; leave it out, or export to another format."
        )
    if kind == "encoder" and where:
        raise click.UsageError("--where: an encoder has no images; leave it out.")
    chosen = feature_set or str(store.read(name, "screen", columns=["feature_set"])["feature_set"][0])
    file = {"ome-zarr": "crops", "encoder": f"encoder_{chosen}"}.get(kind, f"{chosen}{_CELLS.get(kind, '')}")
    target = out or workspace.data / "exports" / name / file
    require_outside(target, data=workspace.data, exports=workspace.data / "exports")
    check_target(target, overwrite=overwrite, folder=kind in ("zarr", "ome-zarr", "encoder"))
    if kind == "encoder":
        _encoder(workspace, store, screen, chosen, target, overwrite=overwrite)
    elif kind == "ome-zarr":
        from pcip_core.exports.ome_zarr import write_crops

        n = write_crops(store, name, target, where=where, overwrite=overwrite)
        click.echo(f"{target}: the crops of {many(n, 'cell', ',')}, and the spec {name}_crops.yaml")
    else:
        cells = ExportedCells(store, name, chosen, where=where)
        _writer(kind)(cells, target, overwrite=overwrite)
        click.echo(f"{target}: {many(cells.shape[0], 'cell', ',')} x {cells.shape[1]} features of {chosen}")
        if kind == "csv" and (columns := cells.formulas):
            click.secho(
                f"texts of {', '.join(columns)} begin with =, +, - or @: spreadsheets execute them, unless you "
                "import these columns as text",
                fg="yellow",
            )
        if cells.without:
            click.secho(f"{many(cells.without, 'cell', ',')} without a vector left out", fg="yellow")


def _writer(kind: str) -> Callable[..., None]:
    """The function that writes cells in a format."""
    from pcip_core.exports import anndata_file, profiles

    return {
        "h5ad": anndata_file.write_h5ad,
        "zarr": anndata_file.write_zarr,
        "parquet": profiles.write_parquet,
        "csv": profiles.write_csv,
    }[kind]


def _encoder(
    workspace: Workspace, store: Store, screen: str, feature_set: str, target: Path, *, overwrite: bool
) -> None:
    """Write the network of a feature set."""
    from pcip_assets.assets.units.shown import model_of
    from pcip_assets.tracking import Tracking
    from pcip_core.exports.encoder import export_encoder
    from pcip_core.features.names import split_name

    loaded = workspace.load(workspace.spec_path(screen))
    model, layer = model_of(loaded, feature_set), split_name(feature_set).layer
    if model is None or layer is None:
        raise EncoderError(
            f"{loaded.name}: {feature_set}",
            found="a feature set without a trained network of pcip",
            required=f"one of the encoder, such as {loaded.encoder.method}_{loaded.encoder.layer}, of the autoencoder "
            "or of the supervised network",
            remedy="Name such a set with --features, or leave it out.",
        )
    champion = Tracking(data=str(workspace.data)).champion(model)
    origin = provenance(store, loaded.name) | {
        "encoder_version": champion.version,
        "mlflow_run_id": champion.run_id,
        "precision": champion.precision,
        **{name: champion.tags[name] for name in ("weights_sha256", "commit") if name in champion.tags},
    }
    export_encoder(champion.folder, target, layer=layer, origin=origin, overwrite=overwrite)
    click.echo(f"{target}: {champion.version}, its card and encoder.pt2, a program of torch.export")
