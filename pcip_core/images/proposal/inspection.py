"""What a folder is: one of the layouts of a spec, recognized by its names, lists and metadata."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from pcip_core.errors import ImageFileError, PcipError, RootError, SpecError
from pcip_core.images.formats.ngff import group_metadata
from pcip_core.images.proposal.arrangement import Arrangement, mixed, of_export, of_names, one_form
from pcip_core.images.proposal.channels import Candidate
from pcip_core.images.proposal.contents import Contents, contents_of, pixel_um_of_lists
from pcip_core.images.proposal.exports import EXPORTS, exports_in
from pcip_core.images.proposal.listing import Listing, list_folder, no_images
from pcip_core.images.proposal.naming.names import Names
from pcip_core.images.proposal.tables import Manifest, manifests_in
from pcip_core.words import many

LAYOUTS = ("pattern", *EXPORTS, "ome_tiff", "ome_zarr", "vendor", "manifest", "hdf5")
_FEW = 0.02  # share of images that may be named otherwise


def inspect_folder(
    root: Path,
    *,
    layout: str | None = None,
    pattern: str | None = None,
    exclude: Sequence[str] = (),
    progress: Callable[[int], None] = lambda _: None,
) -> Arrangement:
    """Recognize how the images of a folder are arranged. Headers of a few files are read, and no pixels.

    Args:
        root: the folder.
        layout: the layout, if the user knows it.
        pattern: the pattern of the names, if the user knows it.
        exclude: names of files and folders to leave out, as `files.exclude`.
        progress: receives the number of files that have been listed so far.

    Raises:
        RootError: there is no such folder, no image, or more than one arrangement.
        SpecError: the folder is not of the layout or pattern that the user gives.
        ImageFileError: no image of a sample can be read.
    """
    listing = list_folder(root, exclude, progress=progress)
    if pattern is not None:
        arrangement = of_names(listing, Names(_images(listing), [], ""), pattern=pattern)
    else:
        arrangement = _recognized(listing, layout)
    arrangement.tables = listing.tables
    arrangement.exclude = [*exclude, *(each for each in arrangement.exclude if each not in exclude)]
    if not listing.complete:
        count = len(listing.images) + len(listing.masks) + len(listing.others)
        arrangement.notes.append(
            f"Only the first {count:,} files were looked at; pcip check reads all names."
        )
    if arrangement.contents.pixel_um is None:
        size = pixel_um_of_lists(root, listing.others)
        if size is not None:
            arrangement.contents = replace(arrangement.contents, pixel_um=size)
    return arrangement


def _images(listing: Listing) -> list[str]:
    return listing.images or list(listing.groups)


def _recognized(listing: Listing, layout: str | None) -> Arrangement:
    """The arrangement by the most special layout that the folder has, or by the layout that the user gives."""
    manifests = manifests_in(listing.root, listing.tables) if layout in (None, "manifest") else []
    if manifests:
        return _of_manifest(listing, manifests)
    if listing.groups and layout in (None, "ome_zarr"):
        if listing.images and layout is None and len(listing.images) > _FEW * len(listing.groups):
            raise mixed(
                listing.root,
                [
                    ("OME-Zarr images", list(listing.groups)),
                    (many(len(listing.images), "file"), listing.images),
                ],
            )
        return _of_zarr(listing)
    if not listing.images and (layout is None or not listing.groups):
        raise no_images(listing)
    if layout in ("manifest", "ome_zarr") or not listing.images:
        raise _not_of(listing, str(layout))
    exports = exports_in(listing) if layout is None or layout in EXPORTS else []
    if layout is not None:
        exports = [export for export in exports if export.layout == layout]
        if layout in EXPORTS:
            if not exports:
                raise _not_of(listing, layout)
            return of_export(listing, exports[0])
    if exports:
        export = exports[0]
        rest = [path for path in listing.images if path not in export.claimed]
        if len(rest) > _FEW * len(listing.images):
            raise mixed(
                listing.root,
                [
                    (
                        f"{many(len(export.claimed), 'file')} of layout {export.layout}",
                        sorted(export.claimed),
                    ),
                    (many(len(rest), "file"), rest),
                ],
            )
        arrangement = of_export(listing, export)
        if rest:
            arrangement.notes.append(_named_otherwise(rest))
        return arrangement
    names = one_form(listing, listing.images)
    arrangement = of_names(listing, names)
    if layout not in (None, arrangement.layout):
        raise _not_of(listing, str(layout), arrangement.layout)
    rest = sorted(set(listing.images) - set(names.paths))
    if rest:
        arrangement.notes.append(_named_otherwise(rest))
    return arrangement


def _named_otherwise(rest: Sequence[str]) -> str:
    return f"Not used, as they are named otherwise: {many(len(rest), 'image')}, such as {rest[0]}."


def _of_manifest(listing: Listing, manifests: Sequence[Manifest]) -> Arrangement:
    if len(manifests) > 1:
        raise RootError(
            listing.root,
            found=f"several tables that list images: {', '.join(each.path for each in manifests[:5])}",
            required="one",
            remedy=f'Leave the others out with --exclude "{manifests[1].path}", or pass the folder of one of them.',
        )
    manifest = manifests[0]
    contents = Contents("plane", (0, 0))
    for path in listing.images[:3]:
        try:
            contents = contents_of(listing.root / path)
            break
        except ImageFileError:
            continue
    arrangement = Arrangement(
        "manifest", contents, manifest.channels, table=manifest.path, image_id=manifest.image_id
    )
    arrangement.values = manifest.values
    arrangement.protein = manifest.protein
    arrangement.shards = "{plate}" if "plate" in manifest.values else None
    return arrangement


def _of_zarr(listing: Listing) -> Arrangement:
    """The arrangement of OME-Zarr plates, or of single images."""
    plates = [path for path, kind in listing.groups.items() if kind == "plate"]
    images = [path for path, kind in listing.groups.items() if kind == "image"]
    if plates and images:
        raise mixed(listing.root, [("OME-Zarr plates", plates), ("single OME-Zarr images", images)])
    if images and images != ["."]:
        return of_names(listing, one_form(listing, images))
    image = listing.root if images else _first_image(listing.root, plates)
    contents = contents_of(image)
    names = contents.names or tuple(f"plane_{number}" for number in range(contents.channels))
    channels = [
        Candidate(name, (), None if contents.names else number, len(plates), image.name)
        for number, name in enumerate(names)
    ]
    arrangement = Arrangement(
        "ome_zarr", contents, channels, image_id="{image}" if images else "{plate}_{well}"
    )
    arrangement.shards = None if images else "{plate}"
    if contents.depth > 1:
        arrangement.project = {"z": "max"}
        arrangement.notes.append(
            f"{contents.depth} focal planes are projected to their maximum; or take one: only: {{z: 1}}, or "
            "project: {z: sharpest}."
        )
    if contents.times > 1:
        arrangement.only = {"time": 1}
        arrangement.notes.append(
            f"Of {contents.times} times, only the first is used. For each time as an image of its own, remove "
            "`only` and add {time} to image_id."
        )
    return arrangement


def _first_image(root: Path, plates: Sequence[str]) -> Path:
    """The first field of the first plate whose metadata can be read.

    Raises:
        ImageFileError: there is none.
    """
    problem: PcipError | None = None
    for plate in plates[:3]:
        folder = root / plate
        try:
            for well in group_metadata(folder)["plate"]["wells"][:3]:
                inside = folder / str(well["path"])
                for image in group_metadata(inside)["well"]["images"][:1]:
                    return inside / str(image["path"])
        except (KeyError, TypeError, IndexError):
            continue
        except ImageFileError as error:
            problem = problem or error
    raise problem or ImageFileError(
        root / plates[0],
        found="a plate without wells or fields",
        required="the metadata of its wells",
        remedy="Copy the plate again.",
    )


def _not_of(listing: Listing, layout: str, other: str = "") -> SpecError:
    if layout not in LAYOUTS:
        return SpecError(
            "--layout", found=layout, required=f"one of {', '.join(LAYOUTS)}", remedy="Correct the name."
        )
    examples = [*listing.images, *listing.groups, *listing.tables, *listing.others]
    return SpecError(
        listing.root,
        found=f"images of layout {other}"
        if other
        else f"no image of layout {layout}; the first file is {examples[0]}",
        required=f"layout {layout}",
        remedy="Leave --layout out, so that pcip looks which it is.",
    )
