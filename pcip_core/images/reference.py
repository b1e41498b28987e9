"""References to planes: a path relative to the screen's root and, after `#`, the selected plane of the file.

plate_1/A01_f1_dna.tif                  the only plane of a file
410_D12_1_blue_red_green.jpg#rgb=blue   one colour of an RGB image; rgb=max is the maximum of the three
A01_f1.ome.tif#c=1                      a channel by its number, from 0
A01_f1.ome.tif#channel=GFP              a channel by its name in the metadata of the file
plate.zarr/A/1/0#c=1                    a channel of an OME-Zarr image, which is a folder
Chong_train_set.hdf5#row=17&c=0         a channel of one row of an archive of cells
A01.ome.tif#scene=2&channel=GFP         a channel of the second image of a file
A01_f1.ome.tif#c=1&z=3&t=2              the third focal plane at the second time point
A01_f1.ome.tif#c=1&project=max          the maximum of all focal planes of a file
z1/A01.tif#project=mean&with=z2%2FA01.tif   the mean of two files, each of which holds one focal plane

Scenes, focal planes and times count from 1, channels and rows from 0.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode

Select = Mapping[str, str]
"""Which plane of a file: some of the keys rgb, c, channel, row, scene, z, t and project. Decoders are also given
`role=labels` for a label image, of which a palette is no obstacle: its pixels are numbers."""

_KEYS = "rgb|c|channel|row|scene|z|t|project"
_TEXT = re.compile(rf"(?P<path>.*)#(?P<select>(?:{_KEYS})=[^#/]*)", re.DOTALL)


@dataclass(frozen=True)
class Reference:
    """A plane of a file, or of several files that hold its focal planes.

    Attributes:
        path: the file, or the first one.
        select: the keys of the plane (`Select`); empty for the only plane.
        further: the other files, in the order of the focal planes.

    >>> Reference.parse("A01_f1.ome.tif#channel=GFP")
    Reference(path='A01_f1.ome.tif', select={'channel': 'GFP'}, further=())
    >>> str(Reference("A01_f1.ome.tif", {"c": "1"}))
    'A01_f1.ome.tif#c=1'
    >>> str(Reference("z1.tif", {"project": "max"}, ("z2.tif", "z3.tif")))
    'z1.tif#project=max&with=z2.tif&with=z3.tif'
    """

    path: str
    select: dict[str, str] = field(default_factory=dict)
    further: tuple[str, ...] = ()

    @property
    def paths(self) -> tuple[str, ...]:
        """All files of the plane."""
        return (self.path, *self.further)

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Parse the text form. A `#` that is not followed by a known key is part of the file name."""
        match = _TEXT.fullmatch(text)
        if match is None:
            return cls(text)
        pairs = parse_qsl(match["select"])
        further = tuple(value for key, value in pairs if key == "with")
        return cls(match["path"], dict(pair for pair in pairs if pair[0] != "with"), further)

    def __str__(self) -> str:
        pairs = [*self.select.items(), *(("with", path) for path in self.further)]
        return f"{self.path}#{urlencode(pairs)}" if pairs else self.path


def by_path(files: Mapping[str, str]) -> dict[str, dict[str, dict[str, str]]]:
    """Group references by file: channel -> reference becomes path -> channel -> selected plane."""
    gathered: dict[str, dict[str, dict[str, str]]] = {}
    for name, text in files.items():
        reference = Reference.parse(text)
        for path in reference.paths:
            gathered.setdefault(path, {})[name] = reference.select
    return gathered
