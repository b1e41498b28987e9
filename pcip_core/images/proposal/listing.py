"""The files of a folder, sorted by what they can be: images, label images, tables, OME-Zarr groups."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pcip_core.errors import ImageFileError, RootError
from pcip_core.images.formats import HDF5, PICTURES, TIFF, VENDOR
from pcip_core.images.formats.ngff import METADATA_FILES, group_metadata, is_array
from pcip_core.images.inside import Tree, printable
from pcip_core.spec.sections import ALWAYS_EXCLUDED
from pcip_core.words import many

MOST_FILES = 300_000
"""Files that are looked at; `pcip check` counts all of them."""
_FIRST = 10_000  # files that `holds_images` lists
TABLES = (".csv", ".tsv", ".parquet", ".xlsx", ".xlsm", ".csv.gz", ".tsv.gz", ".txt")
_IMAGES = (*TIFF, *PICTURES, *HDF5, *VENDOR)
_MASK = re.compile(
    r"(?:^|[^a-z])(?:(?:cp_)?masks?|label(?:s|ed|led)?|label[_ -]?images?|segmentations?|seg|outlines?"
    r"|object[_ -]identities)(?:[^a-z]|$)",
    re.IGNORECASE,
)


@dataclass
class Listing:
    """The files of a folder, as paths relative to it, sorted.

    Attributes:
        root: the folder.
        images: image files that are no label images by their names.
        masks: image files that are label images by their names.
        tables: tables.
        groups: OME-Zarr plates and single images: path -> `plate` or `image`.
        others: other files.
        complete: whether all files are listed, not only the first `MOST_FILES`.
    """

    root: Path
    images: list[str] = field(default_factory=list)
    masks: list[str] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)
    groups: dict[str, str] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)
    complete: bool = True


def list_folder(
    root: Path,
    exclude: Sequence[str] = (),
    *,
    most: int = MOST_FILES,
    progress: Callable[[int], None] = lambda _: None,
) -> Listing:
    """List a folder and its subfolders, up to a number of files.

    Args:
        root: the folder.
        exclude: names of files and folders to leave out, as `files.exclude` of a spec.
        most: number of files at which to stop.
        progress: receives the number of files so far.

    Raises:
        RootError: the folder does not exist, cannot be listed, or holds no image.
    """
    if not os.path.isdir(root):  # noqa: PTH112, as Path.is_dir raises for a name that is too long
        kind = "a file" if root.is_file() else "no such folder"
        raise RootError(root, found=kind, required="a folder of images", remedy="Correct the path.")
    listing, count = Listing(root), 0
    for inside, folders, names in Tree(root, [*ALWAYS_EXCLUDED, *exclude]).walk():
        count += len(names)
        progress(count)
        group = _group(root / inside) if any(name in METADATA_FILES for name in names) else None
        if group is not None:
            folders.clear()
            if group:
                listing.groups[printable(inside.rstrip("/")) or "."] = group
            continue
        for name in names:
            _sort(listing, inside, name)
        if count > most:
            listing.complete = False
            break
    for paths in (listing.images, listing.masks, listing.tables, listing.others):
        paths.sort()
    if not listing.images and not listing.groups:
        listing.images, listing.masks = listing.masks, []  # a folder of masks, or a screen of that name
    if not listing.images and not listing.groups and not listing.tables:
        raise no_images(listing)
    return listing


def holds_images(folder: Path) -> bool:
    """Whether a folder holds an image among the first files that are listed."""
    count = 0
    for inside, _, names in Tree(folder, ALWAYS_EXCLUDED).walk():
        if any(name.lower().endswith(_IMAGES) for name in names):
            return True
        if any(name in METADATA_FILES for name in names) and _group(folder / inside):
            return True
        count += len(names) + 1
        if count > _FIRST:
            break
    return False


def is_mask(path: str) -> bool:
    """Whether the name of a file, or of its folder, says that it is a label image.

    >>> is_mask("masks/r01c01f01.tiff"), is_mask("A01_cp_masks.png"), is_mask("AAC1_labelled_cells/A01.tif")
    (True, True, False)
    """
    folder, _, name = path.rpartition("/")
    return _MASK.search(name) is not None or _MASK.fullmatch(folder.rpartition("/")[2]) is not None


def word_of_mask(path: str) -> str:
    """The part of a name that says that a file is a label image.

    >>> word_of_mask("P1/A01_cp_masks.png")
    'cp_masks'
    """
    match = _MASK.search(path.rpartition("/")[2])
    return match[0].strip("_-. ") if match else ""


def extension(path: str) -> str:
    """The extension of an image file as in its name, all parts of it.

    >>> extension("A01_f1.ome.tif"), extension("A01.1.TIFF"), extension("A01.tif.gz"), extension("A01.ome.zarr")
    ('.ome.tif', '.TIFF', '.tif.gz', '.ome.zarr')
    """
    first = path.rfind("/") + 1
    start = path.rfind(".", first)
    if start <= first:
        return ""
    inner = path.rfind(".", first, start)
    if inner > first and (path[start:].lower() == ".gz" or path[inner:start].lower() == ".ome"):
        return path[inner:]
    return path[start:]


def _sort(listing: Listing, inside: str, name: str) -> None:
    path, lower = inside + name, name.lower()
    if lower.endswith(_IMAGES):
        (listing.masks if is_mask(path) else listing.images).append(path)
    elif lower.endswith(TABLES):
        listing.tables.append(path)
    else:
        listing.others.append(path)


def _group(folder: Path) -> str | None:
    """`plate` or `image` for an OME-Zarr group; empty for one that cannot be read; None for a folder to look into."""
    if is_array(folder):
        return ""
    try:
        metadata = group_metadata(folder)
    except ImageFileError:
        return None
    return "plate" if "plate" in metadata else "image" if "multiscales" in metadata else None


def no_images(listing: Listing) -> RootError:
    """The error for a folder without images."""
    rest = [*listing.others, *listing.tables]
    endings = sorted({Path(path).suffix.lower() or "(none)" for path in rest})
    found = "an empty folder"
    if rest:
        extensions = ", ".join(endings[:10])
        found = (
            f"{many(len(rest), 'file')}, none of them an image (extensions {extensions}), such as {rest[0]}"
        )
    return RootError(
        listing.root,
        found=found,
        required=f"images: {', '.join((*TIFF[:2], *PICTURES, *VENDOR, *HDF5))}, or OME-Zarr folders",
        remedy="Pass the folder that holds the images, or export them in one of these formats.",
    )
