"""What names of channels mean: a structure or the protein; and what letters in front of numbers mean."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from pcip_core.spec.validation import RESERVED

PROTEIN = "protein"
STRUCTURES: Mapping[str, str] = {
    "nucleus": r"nucle(?:us|i|ar)|nuc|dapi|hoechst(?: ?\d+)?|dna|h33342|hst|bfp|blue|draq5|405|uv|histone|h2b",
    "microtubules": r"microtubules?|tubulin|tub|mt|cytoskeleton",
    "actin": r"actin|phalloidin|phall|agp",
    "er": r"er|endoplasmic ?reticulum|calnexin|cona",
    "mitochondria": r"mito(?:chondria|tracker)?",
    "rna": r"rna|syto ?14?",
    "cytosol": r"cyto(?:sol|plasm)?|cell ?mask|cytosolic|cell",
    "membrane": r"membrane|wga|cellbrite|plasma ?membrane|pm",
    "nuclear_pore": r"nuclear ?pores?|nup49|nup",
    "brightfield": r"bright ?field|bf|brf|dic|phase(?: ?contrast)?|ph\d?|trans(?:mitted|mission)?|tl|pgc",
}
_PROTEIN = (
    r"e?gfp|m?neon ?green|mng|m?venus|[em]?yfp|citrine|fitc|alexa ?(?:fluor)? ?488|af ?488|a488|488|prot(?:ein)?|"
    r"green|antibody|ab|target|origgfp|emerald"
)
_MARKER = r"m?cherry|rfp|tdtomato|tomato|mkate2?|txred|texas ?red|cy ?[357](?:\.5)?|tritc|561|640|647|594|mscarlet\w*"
_ATLAS = {"blue": "nucleus", "red": "microtubules", "green": PROTEIN, "yellow": "er"}
"""Channels of the Human Protein Atlas, by colour."""
_SAYS_NOTHING = frozenset(
    {
        *("data", "dataset", "export", "exports", "files", "image", "images", "img", "imgs", "microscopy"),
        *("pictures", "pngs", "raw", "raw_data", "raw_images", "tif", "tiff", "tiffs", "tifs"),
    }
)  # names of folders
_EDGES = r"(?<![a-z]){}(?![a-z])"

PREFIXES: Mapping[str, Sequence[str]] = {
    "field": ("f", "s", "fld", "site", "field", "fov", "pos", "position", "xy", "tile", "scene", "series"),
    "z": ("z", "zstep", "slice", "plane", "stack"),
    "time": ("t", "time", "tp", "timepoint", "frame"),
    "channel": ("ch", "c", "w", "channel", "chan", "wave", "wv", "wavelength"),
    "plate": ("p", "plate", "pl", "plt"),
    "cell": ("cell", "obj", "object"),
    "replicate": ("rep", "replicate"),
}
"""Part -> the letters that files write in front of its number."""


def meaning(name: str, others: Sequence[str] = ()) -> str | None:
    """What a channel shows: `protein`, the name of a structure, `marker` (a dye that marks some structure), or None.

    Args:
        name: the name of the channel in file names or metadata.
        others: the names of all channels, as colours have a meaning together.

    >>> meaning("DAPI"), meaning("Alexa 488"), meaning("mCherry"), meaning("w3"), meaning("OrigRFP")
    ('nucleus', 'protein', 'marker', None, 'marker')
    >>> meaning("red", ["blue", "green", "red"]), meaning("HOECHST 33342"), meaning("w1")
    ('microtubules', 'nucleus', 'marker')
    """
    plain = re.sub(r"[\W_]+", " ", re.sub(r"([a-z])([A-Z])", r"\1 \2", name)).strip().lower()
    colours = {other.lower() for other in others}
    if colours <= _ATLAS.keys() and {"blue", "green", "red"} <= colours:
        return _ATLAS.get(plain)
    joined = plain.replace(" ", "")
    for text in (plain, joined):
        for structure, pattern in STRUCTURES.items():
            if re.search(_EDGES.format(f"(?:{pattern})"), text):
                return structure
        if re.search(_EDGES.format(f"(?:{_PROTEIN})"), text):
            return PROTEIN
        if re.search(_EDGES.format(f"(?:{_MARKER})"), text):
            return "marker"
    return "marker" if joined == "w1" else None  # ImageXpress: the stain of the nuclei, as a rule


def structure_of(name: str) -> str | None:
    """The structure that a name is another word for, as a whole; None if it says more, less or something else.

    >>> structure_of("DAPI"), structure_of("tubulin"), structure_of("hoechst_33342"), structure_of("nucleus")
    ('nucleus', 'microtubules', 'nucleus', 'nucleus')
    >>> structure_of("nuclear speckles"), structure_of("w1")
    (None, None)
    """
    plain = re.sub(r"[\W_]+", " ", name).strip().lower()
    return next((structure for structure, words in STRUCTURES.items() if re.fullmatch(words, plain)), None)


def prefix_part(letters: str) -> str | None:
    """The part whose number stands behind some letters: `field` for `s`.

    >>> prefix_part("Ch"), prefix_part("s"), prefix_part("AAC")
    ('channel', 'field', None)
    """
    return next((part for part, known in PREFIXES.items() if letters.lower() in known), None)


def slug(text: str) -> str:
    """A name that a spec can use, of a channel or a screen.

    >>> slug("HOECHST 33342"), slug("2023 Screen-P1"), slug("---")
    ('hoechst_33342', 'screen_2023_screen_p1', 'screen')
    """
    plain = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")[:50].strip("_")
    return plain if plain[:1].isalpha() else f"screen_{plain}".rstrip("_")


def screen_name(text: str) -> str:
    """A name that a screen can have, which also names its schema in SQL.

    >>> screen_name("My plates"), screen_name("main"), screen_name("2024")
    ('my_plates', 'main_screen', 'screen_2024')
    """
    plain = slug(text)
    return f"{plain}_screen" if plain in RESERVED else plain


def name_of_folder(folder: Path) -> str:
    """The name of the screen of a folder: its own, or if that says nothing, the nearest name above it that does.

    >>> [name_of_folder(Path(each)) for each in ("/data/My plates", "/data/kinases/raw/images", "/raw")]
    ['my_plates', 'kinases', 'raw']
    """
    names = [each.name for each in (folder, *folder.parents) if each.name]
    telling = (name for name in names if slug(name) not in _SAYS_NOTHING)
    return screen_name(next(telling, names[0] if names else ""))
