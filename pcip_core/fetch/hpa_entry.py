"""The XML page of one gene in the Human Protein Atlas and its immunofluorescence fields.

    entry > name, identifier[@id] > xref[@db="Uniprot/..."]
    entry > antibody[@id] > cellExpression > subAssay[@type, @subtype] > data
    data > cellLine, location*, assayImage > image > imageUrl     (one imageUrl per field or per channel)

The address of a field ends in `<plate>_<well>_<field>[_<suffix>]_<channel>.<extension>`. The channel is one colour
or several joined colours; `blue_red_green` is the composite. docs/reference/fetching.md states which
parts of this form were verified.
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
    rf"(?P<folder>\S+/)(?P<plate>[0-9]{{1,12}})_(?P<well>[A-Z]{{1,2}}[0-9]{{1,4}})_(?P<field>[0-9]{{1,9}})"
    rf"(?P<suffix>_[a-z0-9]{{1,100}}?)?"
    rf"_(?P<channel>{_COLOUR}(?:_{_COLOUR})*)\.(?P<extension>jpe?g|png|tiff?(?:\.gz)?)"
)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.\-]{0,60}")
_LONGEST = 1_000  # characters of an address, a name or a term
_MAX_ELEMENTS, _MAX_DEPTH = 5_000_000, 50
_HUMAN_SUBTYPES = (None, "", "human cell lines")
_SKIPPED = {  # unused elements, which make up most of the file
    "tissueExpression",
    "rnaExpression",
    "cellTypeExpression",
    "patient",
}


@dataclass(frozen=True)
class AtlasField:
    """One field of view: its annotations, and the addresses on the page by (channel, extension)."""

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
        """Gene, antibody and cell line, which define an image in the paper."""
        return f"{self.ensembl}_{self.antibody}_{re.sub(r'[^A-Za-z0-9.]+', '-', self.cell_line)}"

    def path(self, channel: str, extension: str) -> str:
        """Path of the file of a channel, relative to the root."""
        return f"{self.ensembl}/{self.antibody}/{self._name(channel, extension)}"

    def url(self, channel: str, extension: str, image_base_url: str | None = None) -> str:
        """Address of a channel: the address on the page, or one of the same form; on the mirror if there is one."""
        url = self.listed.get((channel, extension)) or self.folder_url + self._name(channel, extension)
        if image_base_url is None:
            return url
        return "/".join([image_base_url.rstrip("/"), *url.rsplit("/", 2)[1:]])

    def _name(self, channel: str, extension: str) -> str:
        return f"{self.plate}_{self.well}_{self.number}_{channel}.{extension}"


@dataclass
class Entry:
    """The contents of a page: the usable fields, and reason -> number of other images of cells."""

    ensembl: str
    gene: str
    fields: list[AtlasField]
    left_out: Counter[str]


def read_entry(path: Path) -> Entry:
    """Read the page of one gene, with little memory for any number of tissues.

    Only human cell lines are used. Other species, z-stacks of ciliated cells and sperm, and images that are not
    named `<plate>_<well>_<field>_<channel>` (siRNA and GFP controls) are counted in `left_out`.

    Raises:
        FetchError: the file is not a page of the atlas.

    >>> import tempfile
    >>> url = "https://images.proteinatlas.org/36770/410_D12_1_blue_red_green.jpg"
    >>> page = (
    ...     "<proteinAtlas><entry><name>ALPHA1</name><identifier id='ENSG00000000001'/><antibody id='HPA000001'>"
    ...     "<cellExpression><subAssay type='human'><data><cellLine>U-2 OS</cellLine><location>cytosol</location>"
    ...     f"<assayImage><image><imageUrl>{url}</imageUrl></image></assayImage></data></subAssay>"
    ...     "</cellExpression></antibody></entry></proteinAtlas>"
    ... )
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "page.xml").write_text(page)
    ...     entry = read_entry(Path(folder) / "page.xml")
    >>> entry.gene, entry.fields[0].image_id, entry.fields[0].localization
    ('ALPHA1', 'ENSG00000000001_HPA000001_U-2-OS', ('Cytosol',))
    """
    gene = ensembl = uniprot = ""
    fields: dict[tuple[str, ...], AtlasField] = {}
    left_out: Counter[str] = Counter()
    try:
        depth = count = 0
        for event, element in ElementTree.iterparse(path, events=("start", "end")):
            depth += 1 if event == "start" else -1
            count += event == "start"
            if depth > _MAX_DEPTH or count > _MAX_ELEMENTS:
                raise _not_a_page(path, f"over {_MAX_DEPTH} levels or {_MAX_ELEMENTS:,} elements")
            if event == "start":
                continue
            tag = _tag(element)
            if tag == "name" and not gene:
                gene = _text(element)
            elif tag == "identifier" and not ensembl:
                ensembl, uniprot = _identifiers(element)
            elif tag == "antibody":
                for new in _antibody(element, left_out):
                    key = (new.antibody, new.plate, new.well, new.number)
                    known = fields.setdefault(key, new)
                    known.listed.update(new.listed)
                element.clear()
            elif tag in _SKIPPED:
                element.clear()
    except (ElementTree.ParseError, OSError, LookupError, ValueError) as error:
        raise _not_a_page(path, str(error)) from error
    if not _NAME.fullmatch(ensembl):
        raise _not_a_page(path, f"no usable Ensembl id ({ensembl[:40]!r})")
    gene = gene or ensembl
    named = [replace(known, gene=gene, ensembl=ensembl, uniprot=uniprot) for known in fields.values()]
    return Entry(ensembl, gene, named, left_out)


def _antibody(antibody: ElementTree.Element, left_out: Counter[str]) -> Iterator[AtlasField]:
    name = antibody.get("id", "")
    for expression in _children(antibody, "cellExpression"):
        for assay in _children(expression, "subAssay"):
            urls = sum(1 for element in assay.iter() if _tag(element) == "imageUrl")
            if assay.get("type", "human") != "human" or assay.get("subtype") not in _HUMAN_SUBTYPES:
                left_out[assay.get("subtype") or assay.get("type") or ""] += urls
                continue
            if not _NAME.fullmatch(name):
                left_out[f"antibody named {name[:40]!r}"] += urls
                continue
            for data in _children(assay, "data"):
                yield from _fields(data, name, left_out)


def _fields(data: ElementTree.Element, antibody: str, left_out: Counter[str]) -> Iterator[AtlasField]:
    cell_line = next((_text(element) for element in _children(data, "cellLine")), "")
    terms = dict.fromkeys(term(_text(element)) for element in _children(data, "location") if _text(element))
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
    """Convert a location from the spelling of the pages to that of `subcellular_location.tsv`.

    >>> term("cytosol")
    'Cytosol'
    """
    return "Rods & Rings" if text.lower() == "rods & rings" else text[:1].upper() + text[1:]


def _identifiers(element: ElementTree.Element) -> tuple[str, str]:
    refs = [ref for ref in _children(element, "xref") if ref.get("db", "").lower().startswith("uniprot")]
    return element.get("id", ""), ";".join(ref.get("id", "") for ref in refs)


def _children(element: ElementTree.Element, tag: str) -> list[ElementTree.Element]:
    return [child for child in element if _tag(child) == tag]


def _tag(element: ElementTree.Element) -> str:
    """The tag without its namespace."""
    return element.tag.rpartition("}")[2]


def _text(element: ElementTree.Element) -> str:
    return (element.text or "").strip()[:_LONGEST]


def _not_a_page(path: Path, found: str) -> FetchError:
    return FetchError(
        path,
        found=found,
        required="the XML page of one gene",
        remedy="Delete the file and download it again.",
    )
