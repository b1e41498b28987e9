"""The figures of a page as files for print beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from matplotlib.figure import Figure

from pcip_core.files import file_name
from pcip_core.plots.pictures import VECTOR, is_vector
from pcip_core.report.page import Picture, Section


def with_files(sections: Sequence[Section], folder: str) -> dict[str, Figure]:
    """Name each figure after its section, and link its files.

    Args:
        sections: of the page, whose pictures get the links.
        folder: folder of the files, relative to the page; "" for no links.

    Returns:
        name of the files, without a suffix -> figure.
    """
    files: dict[str, Figure] = {}
    for section in sections:
        heading, number = section.heading.partition(" (")[0].lower(), 0
        for place, block in enumerate(section.blocks):
            if not isinstance(block, Picture):
                continue
            number += 1
            name = file_name(f"{heading} {number}")
            files[name] = block.figure
            kinds = ("png", *VECTOR) if is_vector(block.figure) else ("png",)
            links = [(kind.upper(), f"{folder}/{name}.{kind}") for kind in kinds] if folder else []
            section.blocks[place] = replace(block, links=links)
    return files
