"""References to planes: a path relative to the screen's root and, after `#`, the selected plane of the file.

plate_1/A01_f1_dna.tif                  the only plane of a file
410_D12_1_blue_red_green.jpg#rgb=blue   one colour of an RGB image; rgb=max is the maximum of the three
A01_f1.ome.tif#c=1                      a channel by its number, from 0
A01_f1.ome.tif#channel=GFP              a channel by its name in the metadata of the file
plate.zarr/A/1/0#c=1                    a channel of an OME-Zarr image, which is a folder
Chong_train_set.hdf5#row=17&c=0         a channel of one row of an archive of cells
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode

Select = Mapping[str, str]
"""Which plane of a file: some of the keys rgb, c, channel, row."""

_TEXT = re.compile(r"(?P<path>.*)#(?P<select>(?:rgb|c|channel|row)=[^#/]*)", re.DOTALL)


@dataclass(frozen=True)
class Reference:
    """A plane of a file. `select` has some of the keys rgb, c, channel and row; it is empty for the only plane.

    >>> Reference.parse("A01_f1.ome.tif#channel=GFP")
    Reference(path='A01_f1.ome.tif', select={'channel': 'GFP'})
    >>> str(Reference("A01_f1.ome.tif", {"c": "1"}))
    'A01_f1.ome.tif#c=1'
    """

    path: str
    select: dict[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Parse the text form. A `#` that is not followed by a known key is part of the file name."""
        match = _TEXT.fullmatch(text)
        return cls(match["path"], dict(parse_qsl(match["select"]))) if match else cls(text)

    def __str__(self) -> str:
        return f"{self.path}#{urlencode(self.select)}" if self.select else self.path


def by_path(files: dict[str, str]) -> dict[str, dict[str, dict[str, str]]]:
    """Group references by file: channel -> reference becomes path -> channel -> selected plane."""
    gathered: dict[str, dict[str, dict[str, str]]] = {}
    for name, text in files.items():
        reference = Reference.parse(text)
        gathered.setdefault(reference.path, {})[name] = reference.select
    return gathered
