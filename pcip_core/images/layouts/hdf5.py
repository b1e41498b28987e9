"""Archives of cropped, labelled cells (`pcip_core.images.formats.hdf5.cell_archive`); each row is a field.

Parts: those of the pattern that matches the archives (`**/Chong_{set}_set.hdf5`), row and class.
"""

from __future__ import annotations

import numpy as np

from pcip_core.errors import ImageFileError
from pcip_core.images.field import Field
from pcip_core.images.formats.hdf5.cell_archive import read_classes, read_info
from pcip_core.images.inside import Tree, require_inside
from pcip_core.images.layouts.grouping import UNREADABLE, Fields
from pcip_core.images.layouts.pattern import matches, parts_of_folder
from pcip_core.images.reference import Reference
from pcip_core.spec.screen import Screen


def scan_hdf5(screen: Screen, tree: Tree) -> tuple[list[Field], list[str]]:
    """Make one field per row of each archive. Channels are those of `plane`, otherwise in the spec's order.

    An archive that cannot be read becomes one unreadable field.
    """
    root, paths = tree.root, tree.files()
    numbers: dict[str, int | str] = {
        name: number if channel.plane is None else channel.plane
        for number, (name, channel) in enumerate(screen.channels.items())
    }
    unclaimed: list[str] = []
    fields: Fields | None = None
    for path, parts in zip(paths, matches(str(screen.files.pattern), paths), strict=True):
        if parts is None:
            unclaimed.append(path)
            continue
        fields = fields or Fields(screen, (*parts, "row"))
        try:
            require_inside(root, root / path)
            classes = read_classes(root / path)
        except ImageFileError as problem:
            fields.add_unreadable({**parts, "class": UNREADABLE}, path, problem)
            continue
        for row, name in enumerate(classes):
            whole = {**parts, "row": str(row), "class": name}
            if fields.wants(whole):
                fields.add(whole, _files(path, row, numbers))
    if fields:
        fields.add_unread(tree, lambda folder: parts_of_folder([str(screen.files.pattern)], folder))
    return fields.done() if fields else [], unclaimed


def cell_info(screen: Screen) -> tuple[list[str], list[str], np.ndarray]:
    """Read the CellProfiler features in the archives: field ids, feature names, (fields, features) float64.

    Archives without features are skipped.
    """
    root = screen.folder()
    ids: list[str] = []
    names: list[str] = []
    values: list[np.ndarray] = []
    tables: dict[str, np.ndarray] = {}
    for field in scan_hdf5(screen, Tree(root, screen.files.excluded))[0]:
        reference = Reference.parse(next(iter(field.files.values())))
        if "row" not in reference.select:
            continue
        if reference.path not in tables:
            columns, tables[reference.path] = read_info(root / reference.path)
            names = names or columns
        table = tables[reference.path]
        if table.shape[1] == len(names) > 0:
            ids.append(field.field_id)
            values.append(table[int(reference.select["row"])])
    return ids, names, np.array(values).reshape(len(values), len(names))


def _files(path: str, row: int, numbers: dict[str, int | str]) -> dict[str, str]:
    return {name: str(Reference(path, {"row": str(row), "c": str(c)})) for name, c in numbers.items()}
