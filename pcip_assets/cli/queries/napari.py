"""`pcip napari`: a field with its cells and their features in the viewer napari."""

import os
import sys
from typing import TYPE_CHECKING, Any

import click

from pcip_assets.workspace import Workspace
from pcip_core.errors import PcipError

if TYPE_CHECKING:
    from pcip_core.exports.field_layers import LayerData

_DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")


@click.command("napari")
@click.argument("screen")
@click.argument("field", required=False)
@click.option("--features", "feature_set", metavar="SET",
              help="Feature set whose features are columns of the cells; default: none.")  # fmt: skip
def command(screen: str, field: str | None, feature_set: str | None) -> None:
    """Open a field of SCREEN in napari: its channels, and its cells with all their columns.

    FIELD is the id of a field or of an image; by default, the first field with cells. napari is not part of pcip:
    install pcip[napari].
    """
    from pcip_core.exports.field_layers import chosen_field, field_layers
    from pcip_core.store.partitions import Store

    workspace = Workspace.current()
    path = workspace.spec_path(screen)
    loaded = workspace.load(path)  # `find` would record it, which needs permission to write
    workspace.check_unique(loaded.name, path)
    store = Store(workspace.store)
    field_id, shard = chosen_field(store, loaded.name, field)
    viewer = _viewer(f"{loaded.title}: {field_id}", loaded.name)
    add_layers(viewer, field_layers(store, loaded, field_id, shard, feature_set=feature_set))
    click.echo(f"field {field_id}: close the window to end")
    import napari

    napari.run()


def add_layers(viewer: Any, layers: "list[LayerData]") -> None:
    """Add layers to a viewer of napari, and show the size of a pixel if it is known."""
    from napari.layers import Layer

    for data, arguments, kind in layers:
        viewer.add_layer(Layer.create(data, dict(arguments), kind))
    viewer.canvas.overlays.scale_bar.visible = "units" in layers[0][1]


def _viewer(title: str, screen: str) -> Any:
    """An empty window of napari.

    Raises:
        PcipError: napari, its windows or a display are missing.
    """
    if sys.platform == "linux" and not any(os.environ.get(name) for name in _DISPLAYS):
        raise PcipError(
            "napari",
            found="no display",
            required="a machine with a screen, or a connection with windows such as `ssh -X`",
            remedy=f"Look at cells in a browser: `pcip browse {screen}`. Or take them with you: "
            f"`pcip export {screen} --to ome-zarr`.",
        )
    try:
        import napari

        return napari.Viewer(title=title)
    except ImportError as error:  # also of Qt
        raise PcipError(
            "napari",
            found=f"it cannot be imported ({str(error).strip().splitlines()[0] if str(error).strip() else error!r})",
            required="the package napari with windows of Qt",
            remedy="Install them: pip install 'pcip[napari]'",
        ) from error
