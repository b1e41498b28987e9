"""From a folder of files to fields and images, as the layout of the spec says. No pixel is read here."""

from __future__ import annotations

from dataclasses import dataclass, field

from pcip_core.errors import RootError
from pcip_core.files import natural_key
from pcip_core.images.field import Field
from pcip_core.spec.screen import Screen


@dataclass(frozen=True)
class Layout:
    """What a screen's root holds: fields in the order of their ids, and files that no field claims."""

    fields: list[Field]
    unclaimed: list[str] = field(default_factory=list)

    def shards(self) -> list[str]:
        """Names of the shards, sorted naturally (plate_2 before plate_10)."""
        return sorted({one.shard for one in self.fields}, key=natural_key)

    def of_shard(self, shard: str) -> list[Field]:
        """The fields of one shard, those of one image together."""
        return [one for one in self.fields if one.shard == shard]


def scan(screen: Screen) -> Layout:
    """Group the files under the screen's root into fields.

    Raises:
        RootError: there is no root, nothing in it is of the layout, or two files are one plane.
        SpecError: a table of the layout cannot be read, or a template names a part that is not there.
    """
    from pcip_core.images.layouts import hdf5, manifest, ome_zarr, opera, pattern

    layouts = {
        "pattern": pattern.scan_pattern,
        "ome_tiff": pattern.scan_ome_tiff,
        "opera": opera.scan_opera,
        "ome_zarr": ome_zarr.scan_ome_zarr,
        "hdf5": hdf5.scan_hdf5,
        "manifest": manifest.scan_manifest,
    }
    root = screen.folder()
    fields, unclaimed = layouts[screen.files.layout](screen, root)
    if not fields:
        example = f"; the first file there is {unclaimed[0]}" if unclaimed else "; the folder is empty"
        files, names = screen.files, [one.named or name for name, one in screen.channels.items()]
        like = f"matches {files.pattern!r}" if files.pattern else f"is of layout {files.layout}"
        raise RootError(
            root,
            found=f"no file that {like}{example}",
            required=f"files for the channels {', '.join(names)}",
            remedy="Correct the spec's files and channels.*.named, or the root.",
        )
    return Layout(
        sorted(fields, key=lambda one: (natural_key(one.image_id), natural_key(one.field_id))), unclaimed
    )
