"""Files that hold one image or several, of all channels: OME-TIFF, ImageJ hyperstacks, and files of microscopes.

Parts: those of the pattern, and scene, the number of the image in its file, if there are several; it is the field if
the pattern names nothing within an image. If a template names {time}, each time point is a field.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pcip_core.errors import ImageFileError
from pcip_core.images.field import Field
from pcip_core.images.formats import times_of_images
from pcip_core.images.inside import Tree, require_inside
from pcip_core.images.layouts.grouping import Fields, channel_of
from pcip_core.images.layouts.pattern import matches, parts_of_folder
from pcip_core.images.layouts.stacks import with_keys
from pcip_core.spec.screen import Screen
from pcip_core.spec.sections import PART, TIME_PARTS, Z_PARTS


def scan_ome_tiff(screen: Screen, tree: Tree) -> tuple[list[Field], list[str]]:
    """Make one field per image of each file; channels are selected by their names in the metadata or by `plane`.

    Headers are read to count the images. A file whose header cannot be read has one image, so that reading its pixels
    reports the damage.

    Raises:
        MissingPackageError: a reader of these files is not installed.
    """
    templates = f"{screen.files.image_id} {screen.shards.by or ''}"
    named = set(PART.findall(templates))
    unclaimed: list[str] = []
    fields: Fields | None = None
    root, paths = tree.root, tree.files()
    for path, parts in zip(paths, matches(str(screen.files.pattern), paths), strict=True):
        if parts is None:
            unclaimed.append(path)
            continue
        fields = fields or Fields(screen, (*parts, "scene"))
        used = False
        for further, select in _images(root, path, parts, named):
            whole = {**parts, **further}
            if fields.wants({"scene": select.get("scene", "1"), **whole}):
                used = True
                files = {
                    name: with_keys(channel_of(path, name, channel), select)
                    for name, channel in screen.channels.items()
                }
                fields.add(whole, files)
        if not used:
            unclaimed.append(path)
    if fields:
        fields.add_unread(tree, lambda folder: parts_of_folder([str(screen.files.pattern)], folder))
    return fields.done() if fields else [], unclaimed


def _images(
    root: Path, path: str, parts: dict[str, str], named: set[str]
) -> Iterator[tuple[dict[str, str], dict[str, str]]]:
    """Yield further parts and the keys of references of each image, or of each time point if a template names it."""
    try:
        require_inside(root, root / path)
        times = times_of_images(root / path)
    except ImageFileError:
        times = [1]  # reading the pixels reports the damage
    lone = not (parts.keys() - named - {*Z_PARTS, *TIME_PARTS})
    for scene, count in enumerate(times, 1):
        further: dict[str, str] = {}
        select: dict[str, str] = {}
        if len(times) > 1:
            select["scene"] = str(scene)
        if len(times) > 1 or "scene" in named:
            further["scene"] = str(scene)
        if "field" not in parts and ("field" in named or (lone and len(times) > 1)):
            further["field"] = str(scene)
        if "time" not in named or "time" in parts:
            yield further, select
            continue
        for time in range(1, count + 1):
            key = {"t": str(time)} if count > 1 else {}
            yield {**further, "time": str(time)}, {**select, **key}
