"""The Human Protein Atlas: a list of proteins becomes a folder of images and two tables that describe it.

<root>/xml/<ensembl>.xml                                             a gene's page
<root>/<ensembl>/<antibody>/<plate>_<well>_<field>_<channel>.<ext>   its images
<root>/images.csv     one row an image: gene x antibody x cell line, as in the paper
<root>/fields.csv     one row a file: to which image it belongs
<root>/downloads.jsonl, failures.csv                                 what was fetched, what was not
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pcip_core.errors import FetchError
from pcip_core.fetch.download import Summary, Task, download
from pcip_core.fetch.hpa_entry import COMPOSITE, AtlasField, read_entry
from pcip_core.fetch.manifest import Failure, write_failures
from pcip_core.fetch.pace import Policy
from pcip_core.fetch.proteins import needs_table, read_gene_ids, to_ensembl
from pcip_core.files import replacing

BASE_URL = "https://www.proteinatlas.org"
CHANNELS = ("blue", "red", "green", "yellow", COMPOSITE)
EXTENSIONS = ("jpg", "png", "tif", "tif.gz")
IMAGE_COLUMNS = (
    *("image_id", "protein", "gene", "ensembl", "uniprot", "antibody", "cell_line", "localization"),
)
FIELD_COLUMNS = ("image_id", "ensembl", "antibody", "plate", "well", "field", "channel", "path")


@dataclass(frozen=True)
class Source:
    """Where the atlas is, and which of its files are wanted.

    Args:
        base_url: the site; `https://v18.proteinatlas.org` is the paper's version.
        image_base_url: takes the place of everything before `<number>/<file>` in image addresses (a mirror);
            by default the pages' own addresses are used.
        channels: names as files carry them. The composite `blue_red_green` is one RGB file a field, as the
            paper used; blue is the nucleus, red microtubules, green the protein, yellow the ER.
        extension: jpg, png, tif or tif.gz.
        genes_table: `proteinatlas.tsv` or `subcellular_location.tsv` on this disk, to look up gene names;
            by default it is fetched where the list holds names.
    """

    base_url: str = BASE_URL
    image_base_url: str | None = None
    channels: tuple[str, ...] = (COMPOSITE,)
    extension: str = "jpg"
    genes_table: Path | None = None


@dataclass
class Result:
    """What became of a list of proteins. Nothing is dropped: each count here adds up to the one before it."""

    listed: int
    unknown: list[str]
    repeated: int
    pages: Summary
    files: Summary
    n_images: int
    n_fields: int
    without_fields: list[str] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)

    @property
    def failures(self) -> list[Failure]:
        """Every file that is missing."""
        return self.pages.failed + self.files.failed

    @property
    def complete(self) -> bool:
        """Whether every protein of the list was known and every file is here."""
        return not self.unknown and not self.failures


def fetch_hpa(
    proteins: Sequence[str],
    root: Path,
    source: Source | None = None,
    policy: Policy | None = None,
    *,
    progress: Callable[[str, int], Callable[[str], None]] = lambda what, total: lambda path: None,
) -> Result:
    """Fetch the fields of these proteins and describe them.

    Running it again fetches what is missing; a longer list adds to the folder and its tables.

    Args:
        proteins: Ensembl gene ids or gene names.
        progress: called with the name and size of each stage; what it returns is called with each path.

    Raises:
        FetchError: a channel or extension that the atlas has not, no table to look names up in, or what
            `download` raises.
    """
    source = source or Source()
    _check(source)
    gene_ids: dict[str, list[str]] = {}
    if needs_table(proteins):
        gene_ids = read_gene_ids(source.genes_table or _fetch_table(root, source, policy))
    mapped = to_ensembl(proteins, gene_ids)
    base = source.base_url.rstrip("/")
    pages = [Task(f"{base}/{one}.xml", f"xml/{one}.xml") for one in mapped.ensembl]
    result = Result(
        len(proteins),
        mapped.unknown,
        mapped.repeated,
        download(pages, root, policy, progress=progress("pages", len(pages))),
        Summary(),
        0,
        0,
    )
    fields = list(_fields(root, pages, result))
    write_tables(root, fields, source)
    result.n_images, result.n_fields = len({one.image_id for one in fields}), len(fields)
    wanted = [
        Task(one.url(channel, source.extension, source.image_base_url), one.path(channel, source.extension))
        for one in fields
        for channel in source.channels
    ]
    result.files = download(wanted, root, policy, progress=progress("images", len(wanted)))
    write_failures(root, result.failures)
    return result


def _check(source: Source) -> None:
    for what, given, known in (
        ("channels", source.channels, CHANNELS),
        ("extension", (source.extension,), EXTENSIONS),
    ):
        wrong = [one for one in given if one not in known]
        if wrong or not given:
            raise FetchError(
                what,
                found=", ".join(wrong) or "none",
                required=f"of {', '.join(known)}",
                remedy="Correct the name.",
            )


def _fetch_table(root: Path, source: Source, policy: Policy | None) -> Path:
    """The site's table of all genes."""
    task = Task(f"{source.base_url.rstrip('/')}/download/proteinatlas.tsv.zip", "proteinatlas.tsv.zip")
    summary = download([task], root, policy)
    if summary.failed:
        raise FetchError(
            task.url,
            found=summary.failed[0].reason,
            required="the table that maps gene names to Ensembl ids",
            remedy="Give proteinatlas.tsv or subcellular_location.tsv yourself (--genes-table FILE), "
            "or list Ensembl ids.",
        )
    return root / task.path


def _fields(root: Path, pages: Sequence[Task], result: Result) -> Iterator[AtlasField]:
    """The fields of every page that is here; one that is no page is removed and becomes a failure."""
    failed = {one.path for one in result.pages.failed}
    for task in pages:
        if task.path in failed:
            continue
        try:
            entry = read_entry(root / task.path)
        except FetchError as error:
            (root / task.path).unlink(missing_ok=True)
            for settled in (result.pages.fetched, result.pages.there):
                if task.path in settled:
                    settled.remove(task.path)
            result.pages.failed.append(Failure(task.path, task.url, error.found))
            continue
        result.left_out.update(entry.left_out)
        if entry.fields:
            yield from entry.fields
        else:
            result.without_fields.append(entry.ensembl)


def write_tables(root: Path, fields: Iterable[AtlasField], source: Source) -> None:
    """Bring `images.csv` and `fields.csv` up to date; what earlier runs have described stays in them."""
    images: dict[str, dict[str, str]] = {}
    terms: dict[str, dict[str, None]] = {}
    files = []
    for one in fields:
        terms.setdefault(one.image_id, {}).update(dict.fromkeys(one.localization))
        images[one.image_id] = {
            "image_id": one.image_id,
            "protein": one.gene,
            "gene": one.gene,
            "ensembl": one.ensembl,
            "uniprot": one.uniprot,
            "antibody": one.antibody,
            "cell_line": one.cell_line,
            "localization": ";".join(terms[one.image_id]),
        }
        files += [
            {
                "image_id": one.image_id,
                "ensembl": one.ensembl,
                "antibody": one.antibody,
                "plate": one.plate,
                "well": one.well,
                "field": one.number,
                "channel": channel,
                "path": one.path(channel, source.extension),
            }
            for channel in source.channels
        ]
    _merge(root / "images.csv", IMAGE_COLUMNS, "image_id", list(images.values()))
    _merge(root / "fields.csv", FIELD_COLUMNS, "path", files)


def _merge(path: Path, columns: Sequence[str], key: str, rows: list[dict[str, str]]) -> None:
    """Add rows to a table, those with the same key replaced."""
    merged: dict[str, dict[str, str]] = {}
    if path.is_file():
        with path.open(newline="", encoding="utf-8") as stream:
            merged = {row[key]: row for row in csv.DictReader(stream)}
    merged |= {row[key]: row for row in rows}
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns)
        writer.writeheader()
        writer.writerows(merged[value] for value in sorted(merged))
