"""Grouping of files into fields and images, following the layout of the spec. No pixels are read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from pcip_core.errors import RootError, SpecError
from pcip_core.files import composed, natural_key
from pcip_core.images.annotations import describe_images
from pcip_core.images.field import Field
from pcip_core.images.inside import Tree
from pcip_core.images.layouts.grouping import without_links
from pcip_core.spec.bounds import meant
from pcip_core.spec.screen import Screen
from pcip_core.words import many

if TYPE_CHECKING:
    from pcip_core.images.listing import Listing

_SHOWN = 5  # values of a column


@dataclass(frozen=True)
class Layout:
    """The contents of a screen's root.

    Attributes:
        fields: sorted by image and field id.
        unclaimed: files that belong to no field and are no table of the spec, and folders that are not read, with a
            `/` at the end.
        excluded: files and folders that are left out by name (`files.exclude` and `ALWAYS_EXCLUDED`).
        notes: other observations, which `doubts` returns: links that are not followed, files that a list names and
            that do not exist.
        left_out: the fields of images that `images.only` leaves out, each with the reason.
        plates_left_out: plates of which `files.only` or `files.exclude` leaves nothing, in words.
    """

    fields: list[Field]
    unclaimed: list[str] = field(default_factory=list)
    excluded: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    left_out: list[tuple[Field, str]] = field(default_factory=list)
    plates_left_out: list[str] = field(default_factory=list)

    @cached_property
    def _by_shard(self) -> dict[str, list[Field]]:
        by_shard: dict[str, list[Field]] = {}
        for member in self.fields:
            by_shard.setdefault(member.shard, []).append(member)
        return by_shard

    def shards(self) -> list[str]:
        """Names of the shards in natural order (plate_2 before plate_10)."""
        return sorted(self._by_shard, key=natural_key)

    def problems(self) -> list[str]:
        """Why plates, wells or archives cannot be listed; each is one of the fields."""
        return [str(field.problem) for field in self.fields if field.problem is not None]

    def doubts(self, screen: Screen) -> list[str]:
        """What may have been misunderstood: wells that do not look like wells, parts that divide fields, links."""
        from pcip_core.images.layouts.doubts import doubts

        return doubts(screen, self.fields, self.unclaimed, self.notes)

    def listing(self, screen: Screen) -> Listing:
        """What is missing or doubtful, in the words of `pcip check` and `pcip run`. Reads headers of stacks."""
        from pcip_core.images.listing import looked_over

        return looked_over(screen, self.fields, [field for field, _ in self.left_out], self.doubts(screen))

    def of_shard(self, shard: str) -> list[Field]:
        """The fields of one shard, grouped by image."""
        return self._by_shard.get(shard, [])

    def with_left_out(self) -> list[Field]:
        """All fields, those that `images.only` leaves out at the end."""
        return [*self.fields, *(member for member, _ in self.left_out)]

    def left_out_of(self, shard: str) -> list[tuple[Field, str]]:
        """The fields of one shard that are left out; the first shard accounts for shards without any other field."""
        shards = self.shards()
        return [
            (field, reason)
            for field, reason in self.left_out
            if (field.shard if field.shard in self._by_shard else shards[0]) == shard
        ]


def scan(screen: Screen) -> Layout:
    """Group the files under the screen's root into fields.

    Args:
        screen: the spec; its sections `files`, `channels` and `shards` are used.

    Returns:
        The fields, sorted by image and field id, the files that belong to no field, and the fields of images that
        `images.only` leaves out.

    Raises:
        RootError: the root does not exist, no file matches the layout, two files hold the same plane, or a field
            stands twice in an image (`named_once`).
        SpecError: a table of the layout cannot be read, a template names a part that does not exist, `images.only`
            names an unknown column, or it leaves out all images.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from pcip_core.spec.loading import load_screen
    >>> spec = '''
    ... name: example
    ... organism: yeast
    ... root: images
    ... files: {pattern: "{plate}/{well}_{field}_{channel}.tif", image_id: "{plate}_{well}"}
    ... channels: {cytosol: {role: structural}, protein: {role: protein}}
    ... shards: {by: "{plate}"}
    ... segmentation: {method: whole}
    ... crops: {window_px: null}
    ... '''
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "example.yaml").write_text(spec)
    ...     (Path(folder) / "images" / "p1").mkdir(parents=True)
    ...     for name in ("A01_1_cytosol.tif", "A01_1_protein.tif", "notes.txt"):
    ...         (Path(folder) / "images" / "p1" / name).touch()
    ...     layout = scan(load_screen(Path(folder) / "example.yaml"))
    >>> [field.field_id for field in layout.fields], layout.shards(), layout.unclaimed
    (['p1_A01_1'], ['p1'], ['p1/notes.txt'])
    """
    from pcip_core.images.layouts import hdf5, manifest, ome_tiff, ome_zarr, opera, pattern
    from pcip_core.images.layouts.copies import require_once
    from pcip_core.images.layouts.exports import cv8000, imagexpress, incell
    from pcip_core.images.layouts.stacks import named_once
    from pcip_core.images.listing import plates_left_out, without_used

    layouts: dict[str, Callable[[Screen, Tree], tuple[list[Field], list[str]]]] = {
        "pattern": pattern.scan_pattern,
        "ome_tiff": ome_tiff.scan_ome_tiff,
        "vendor": ome_tiff.scan_ome_tiff,
        "opera": opera.scan_opera,
        "imagexpress": imagexpress.scan_imagexpress,
        "cv8000": cv8000.scan_cv8000,
        "incell": incell.scan_incell,
        "ome_zarr": ome_zarr.scan_ome_zarr,
        "hdf5": hdf5.scan_hdf5,
        "manifest": manifest.scan_manifest,
    }
    root = screen.folder()
    tree = Tree(root, screen.files.excluded)
    fields, unclaimed = layouts[screen.files.reader](screen, tree)
    fields, unclaimed = without_links(tree, fields, unclaimed)
    if not fields:
        example = f"; the first file there is {unclaimed[0]}" if unclaimed else "; the folder is empty"
        if tree.excluded:
            example += f", except for {many(len(tree.excluded), 'excluded file')}, such as {tree.excluded[0]}"
        files, names = screen.files, [channel.named or name for name, channel in screen.channels.items()]
        rule = f"the pattern {files.pattern!r}" if files.pattern else f"the layout {files.layout}"
        others = list(pattern.channels_of(screen, unclaimed))
        if others:
            likely = [f"{name!r}{like}" for name in names if (like := meant(name, others))]
            example += f"; the channels of files that match otherwise are {', '.join(others[:_SHOWN])}"
            example += "".join(f"; {text}" for text in likely)
        raise RootError(
            root,
            found=f"no file that matches {rule}{example}",
            required=f"files for the channels {', '.join(names)}",
            remedy="Correct the spec's files and channels.*.named, or the root.",
        )
    fields = named_once(screen, _sorted(fields))
    require_once(screen, fields)
    plates = plates_left_out(screen, tree, fields)
    unclaimed = without_used(screen, unclaimed, fields)
    fields, left_out = _chosen(screen, fields)
    return Layout(fields, unclaimed, sorted(tree.excluded), tree.notes, left_out, plates)


def _chosen(screen: Screen, fields: list[Field]) -> tuple[list[Field], list[tuple[Field, str]]]:
    """The fields of images that have the values of `images.only`, and all others with the reason."""
    only = {column: composed(str(value)) for column, value in screen.images.only.items()}
    if not only:
        return fields, []
    reasons: dict[str, str] = {}
    seen: dict[str, set[str]] = {}
    for record in describe_images(screen, fields):
        for column, value in record.values.items():
            seen.setdefault(column, set()).add(value or "none")
        differ = {
            column: value
            for column, value in only.items()
            if composed(record.values.get(column) or "") != value
        }
        if differ:
            reasons[record.image_id] = ", ".join(
                f"{column} is {record.values.get(column) or 'not given'}, not {value} (images.only)"
                for column, value in differ.items()
            )
    kept = [field for field in fields if field.image_id not in reasons]
    if not kept:
        unknown = sorted(only.keys() - seen.keys())
        values = "; ".join(
            f"{column}: {', '.join(sorted(seen[column])[:_SHOWN])}" for column in only if column in seen
        )
        raise SpecError(
            f"screen {screen.name}, images.only",
            found=f"no column {', '.join(unknown)}{meant(unknown[0], seen)}"
            if unknown
            else f"no image with {only}; there are {values}",
            required=f"some of the columns {', '.join(sorted(seen))}"
            if unknown
            else "a value that images have",
            remedy="Correct the spec.",
        )
    return kept, [(field, reasons[field.image_id]) for field in fields if field.image_id in reasons]


def _sorted(fields: list[Field]) -> list[Field]:
    """The fields by image and field id. Only the keys of the images and of one image's fields are in memory."""
    by_image: dict[str, list[Field]] = {}
    for member in fields:
        by_image.setdefault(member.image_id, []).append(member)
    return [
        member
        for image_id in sorted(by_image, key=natural_key)
        for member in sorted(by_image[image_id], key=lambda member: natural_key(member.field_id))
    ]
