"""The page of one gene in the Human Protein Atlas, as XML: its immunofluorescence fields.

    entry > name, identifier[@id] > xref[@db="Uniprot/..."]
    entry > antibody[@id] > cellExpression > subAssay[@type, @subtype] > data
    data > cellLine, location*, assayImage > image > imageUrl     (one imageUrl a field, or one a channel)

A field's address ends in `<plate>_<well>_<field>[_<suffix>]_<channel>.<extension>`, where the channel is a
colour or several joined, `blue_red_green` being the composite. docs/reference/fetching.md says which of this was seen.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from xml.etree import ElementTree

from pcip_core.errors import FetchError

COMPOSITE = "blue_red_green"
_COLOUR = "(?:blue|red|green|yellow)"
_ADDRESS = re.compile(
    rf"(?P<folder>\S+/)(?P<plate>\d+)_(?P<well>[A-Z]{{1,2}}\d+)_(?P<field>\d+)(?P<suffix>_[a-z0-9]+?)?"
    rf"_(?P<channel>{_COLOUR}(?:_{_COLOUR})*)\.(?P<extension>jpe?g|png|tiff?(?:\.gz)?)"
)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.\-]*")
_HUMAN_SUBTYPES = (None, "", "human cell lines")
_HEAVY = {
    "tissueExpression",
    "rnaExpression",
    "cellTypeExpression",
    "patient",
}  # not ours, and most of the file


@dataclass(frozen=True)
class AtlasField:
    """One field of view: what it shows, and its addresses by (channel, extension) as the page lists them."""

    gene: str
    ensembl: str
    uniprot: str
    antibody: str
    cell_line: str
    plate: str
    well: str
    number: str
    localization: tuple[str, ...]
    folder_url: str
    listed: dict[tuple[str, str], str] = field(default_factory=dict)

    @property
    def image_id(self) -> str:
        """The paper's image: gene, antibody and cell line."""
        return f"{self.ensembl}_{self.antibody}_{re.sub(r'[^A-Za-z0-9.]+', '-', self.cell_line)}"

    def path(self, channel: str, extension: str) -> str:
        """Where a channel's file lies under the root."""
        return f"{self.ensembl}/{self.antibody}/{self._name(channel, extension)}"

    def url(self, channel: str, extension: str, image_base_url: str | None = None) -> str:
        """A channel's address: the listed one, or made after it; on a mirror where one is given."""
        url = self.listed.get((channel, extension)) or self.folder_url + self._name(channel, extension)
        if image_base_url is None:
            return url
        return "/".join([image_base_url.rstrip("/"), *url.rsplit("/", 2)[1:]])

    def _name(self, channel: str, extension: str) -> str:
        return f"{self.plate}_{self.well}_{self.number}_{channel}.{extension}"


@dataclass
class Entry:
    """What a page holds: the fields to have, and why other pictures of cells are left out, counted."""

    ensembl: str
    gene: str
    fields: list[AtlasField]
    left_out: Counter[str]


def read_entry(path: Path) -> Entry:
    """Read one page; memory stays small, however many tissues it shows.

    Human cell lines only: other species and the z-stacks of ciliated cells and sperm are left out and
    counted, and so are pictures not named `<plate>_<well>_<field>_<channel>` (siRNA and GFP controls).

    Raises:
        FetchError: the file is not a page of the atlas.
    """
    gene = ensembl = uniprot = ""
    fields: dict[tuple[str, ...], AtlasField] = {}
    left_out: Counter[str] = Counter()
    try:
        for _, element in ElementTree.iterparse(path):
            tag = _tag(element)
            if tag == "name" and not gene:
                gene = _text(element)
            elif tag == "identifier" and not ensembl:
                ensembl, uniprot = _identifiers(element)
            elif tag == "antibody":
                for one in _antibody(element, left_out):
                    key = (one.antibody, one.plate, one.well, one.number)
                    known = fields.setdefault(key, one)
                    known.listed.update(one.listed)
                element.clear()
            elif tag in _HEAVY:
                element.clear()
    except (ElementTree.ParseError, OSError) as error:
        raise _not_a_page(path, str(error)) from error
    if not _NAME.fullmatch(ensembl):
        raise _not_a_page(path, f"no usable Ensembl id ({ensembl[:40]!r})")
    named = [replace(one, gene=gene or ensembl, ensembl=ensembl, uniprot=uniprot) for one in fields.values()]
    return Entry(ensembl, gene or ensembl, named, left_out)


def _antibody(antibody: ElementTree.Element, left_out: Counter[str]) -> Iterator[AtlasField]:
    name = antibody.get("id", "")
    for expression in _children(antibody, "cellExpression"):
        for assay in _children(expression, "subAssay"):
            urls = sum(1 for one in assay.iter() if _tag(one) == "imageUrl")
            if assay.get("type", "human") != "human" or assay.get("subtype") not in _HUMAN_SUBTYPES:
                left_out[assay.get("subtype") or assay.get("type") or ""] += urls
                continue
            if not _NAME.fullmatch(name):
                left_out[f"antibody named {name[:40]!r}"] += urls
                continue
            for data in _children(assay, "data"):
                yield from _fields(data, name, left_out)


def _fields(data: ElementTree.Element, antibody: str, left_out: Counter[str]) -> Iterator[AtlasField]:
    cell_line = next((_text(one) for one in _children(data, "cellLine")), "")
    terms = dict.fromkeys(term(_text(one)) for one in _children(data, "location") if _text(one))
    for element in data.iter():
        if _tag(element) != "imageUrl":
            continue
        match = _ADDRESS.fullmatch(_text(element))
        if match is None:
            left_out["unknown form of name"] += 1
            continue
        yield AtlasField(
            *("", "", "", antibody, cell_line, match["plate"], match["well"], match["field"]),
            localization=tuple(terms),
            folder_url=match["folder"],
            listed={(match["channel"], match["extension"]): match[0]},
        )


def term(text: str) -> str:
    """A location as `subcellular_location.tsv` spells it: pages write `cytosol`, the table `Cytosol`."""
    return "Rods & Rings" if text.lower() == "rods & rings" else text[:1].upper() + text[1:]


def _identifiers(element: ElementTree.Element) -> tuple[str, str]:
    refs = [one for one in _children(element, "xref") if one.get("db", "").lower().startswith("uniprot")]
    return element.get("id", ""), ";".join(one.get("id", "") for one in refs)


def _children(element: ElementTree.Element, tag: str) -> list[ElementTree.Element]:
    return [one for one in element if _tag(one) == tag]


def _tag(element: ElementTree.Element) -> str:
    """The tag without its namespace."""
    return element.tag.rpartition("}")[2]


def _text(element: ElementTree.Element) -> str:
    return (element.text or "").strip()


def _not_a_page(path: Path, found: str) -> FetchError:
    return FetchError(
        path, found=found, required="the XML page of one gene", remedy="Remove the file and fetch it again."
    )
