"""Download of proteins of the Human Protein Atlas: a folder of images and two tables that describe them.

<root>/xml/<ensembl>.xml                                             the page of a gene
<root>/<ensembl>/<antibody>/<plate>_<well>_<field>_<channel>.<ext>   its images
<root>/images.csv       one row per image: gene x antibody x cell line, as in the paper
<root>/fields.csv       one row per file, with the image it belongs to
<root>/downloads.jsonl  the files that were fetched
<root>/failures.csv     the files that could not be fetched
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
    """The site of the atlas and the selection of its files.

    Args:
        base_url: the site; `https://v18.proteinatlas.org` is the paper's version.
        image_base_url: a mirror, which replaces everything before `<number>/<file>` in image addresses. By default
            the addresses on the pages are used.
        channels: channels as in the file names. The composite `blue_red_green` is one RGB file per field, as
            used in the paper: blue is the nucleus, red microtubules, green the protein, yellow the ER.
        extension: jpg, png, tif or tif.gz.
        genes_table: local copy of `proteinatlas.tsv` or `subcellular_location.tsv` to look up gene names. By
            default the table is downloaded if the list contains names.
    """

    base_url: str = BASE_URL
    image_base_url: str | None = None
    channels: tuple[str, ...] = (COMPOSITE,)
    extension: str = "jpg"
    genes_table: Path | None = None


@dataclass
class Result:
    """The result for a list of proteins. It accounts for every entry, page, field and file.

    Args:
        listed: entries of the list.
        unknown: entries without an Ensembl id.
        repeated: entries that repeat an earlier gene.
        pages: the downloaded pages of genes.
        files: the downloaded image files.
        n_images: images (gene x antibody x cell line) on the pages.
        n_fields: fields of view on the pages.
        without_fields: genes without a usable field.
        left_out: reason -> number of addresses of images that are not used.
    """

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
        """All files that could not be downloaded."""
        return self.pages.failed + self.files.failed

    @property
    def complete(self) -> bool:
        """Whether all proteins of the list are known and all files are present."""
        return not self.unknown and not self.failures


def fetch_hpa(
    proteins: Sequence[str],
    root: Path,
    source: Source | None = None,
    policy: Policy | None = None,
    *,
    progress: Callable[[str, int], Callable[[str], None]] = lambda what, total: lambda path: None,
) -> Result:
    """Download the fields of these proteins and write the tables that describe them.

    A second call downloads only what is missing. A longer list adds to the folder and its tables.

    Args:
        proteins: Ensembl gene ids or gene names.
        root: the folder.
        source: the site, channels and file format.
        policy: rate, connections and timeouts.
        progress: called with the name and size of each stage; returns a function that is called with each path.

    Raises:
        FetchError: the atlas does not have a channel or the extension, the table of gene names cannot be
            downloaded, or `download` raises it.
    """
    source = source or Source()
    _check(source)
    gene_ids: dict[str, list[str]] = {}
    if needs_table(proteins):
        gene_ids = read_gene_ids(source.genes_table or _fetch_table(root, source, policy))
    mapped = to_ensembl(proteins, gene_ids)
    base = source.base_url.rstrip("/")
    pages = [Task(f"{base}/{gene}.xml", f"xml/{gene}.xml") for gene in mapped.ensembl]
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
    result.n_images, result.n_fields = len({field.image_id for field in fields}), len(fields)
    tasks = [
        Task(
            field.url(channel, source.extension, source.image_base_url),
            field.path(channel, source.extension),
            None if source.image_base_url else f"{base}/{field.ensembl}.xml",
        )
        for field in fields
        for channel in source.channels
    ]
    result.files = download(tasks, root, policy, progress=progress("images", len(tasks)))
    write_failures(root, result.failures)
    return result


def _check(source: Source) -> None:
    for key, names, known in (
        ("channels", source.channels, CHANNELS),
        ("extension", (source.extension,), EXTENSIONS),
    ):
        unknown = [name for name in names if name not in known]
        if unknown or not names:
            raise FetchError(
                key,
                found=", ".join(unknown) or "none",
                required=f"one or more of {', '.join(known)}",
                remedy="Correct the name.",
            )


def _fetch_table(root: Path, source: Source, policy: Policy | None) -> Path:
    """Download the table of all genes."""
    task = Task(f"{source.base_url.rstrip('/')}/download/proteinatlas.tsv.zip", "proteinatlas.tsv.zip")
    summary = download([task], root, policy)
    if summary.failed:
        raise FetchError(
            task.url,
            found=summary.failed[0].reason,
            required="the table that maps gene names to Ensembl ids",
            remedy="Pass a copy of proteinatlas.tsv or subcellular_location.tsv (--genes-table FILE), "
            "or list Ensembl ids.",
        )
    return root / task.path


def _fields(root: Path, pages: Sequence[Task], result: Result) -> Iterator[AtlasField]:
    """Yield the fields of all downloaded pages. An invalid page is deleted and becomes a failure."""
    failed = {failure.path for failure in result.pages.failed}
    seen: set[str] = set()
    for task in pages:
        if task.path in failed:
            continue
        try:
            entry = read_entry(root / task.path)
            if entry.ensembl in seen:
                raise FetchError(
                    task.path, found=f"a second page of {entry.ensembl}", required="one", remedy=""
                )
            seen.add(entry.ensembl)
        except FetchError as error:
            (root / task.path).unlink(missing_ok=True)
            for paths in (result.pages.fetched, result.pages.there):
                if task.path in paths:
                    paths.remove(task.path)
            result.pages.failed.append(Failure(task.path, task.url, error.found))
            continue
        result.left_out.update(entry.left_out)
        if entry.fields:
            yield from entry.fields
        else:
            result.without_fields.append(entry.ensembl)


def write_tables(root: Path, fields: Iterable[AtlasField], source: Source) -> None:
    """Update `images.csv` and `fields.csv`; the rows of earlier runs are kept."""
    images: dict[str, dict[str, str]] = {}
    terms: dict[str, dict[str, None]] = {}
    files = []
    for atlas_field in fields:
        terms.setdefault(atlas_field.image_id, {}).update(dict.fromkeys(atlas_field.localization))
        images[atlas_field.image_id] = {
            "image_id": atlas_field.image_id,
            "protein": atlas_field.gene,
            "gene": atlas_field.gene,
            "ensembl": atlas_field.ensembl,
            "uniprot": atlas_field.uniprot,
            "antibody": atlas_field.antibody,
            "cell_line": atlas_field.cell_line,
            "localization": ";".join(terms[atlas_field.image_id]),
        }
        files += [
            {
                "image_id": atlas_field.image_id,
                "ensembl": atlas_field.ensembl,
                "antibody": atlas_field.antibody,
                "plate": atlas_field.plate,
                "well": atlas_field.well,
                "field": atlas_field.number,
                "channel": channel,
                "path": atlas_field.path(channel, source.extension),
            }
            for channel in source.channels
        ]
    _merge(root / "images.csv", IMAGE_COLUMNS, "image_id", list(images.values()))
    _merge(root / "fields.csv", FIELD_COLUMNS, "path", files)


def _merge(path: Path, columns: Sequence[str], key: str, rows: list[dict[str, str]]) -> None:
    """Add rows to a table, or replace rows with the same key."""
    merged: dict[str, dict[str, str]] = {}
    if path.is_file():
        with path.open(newline="", encoding="utf-8") as stream:
            merged = {row[key]: row for row in csv.DictReader(stream)}
    merged |= {row[key]: row for row in rows}
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns)
        writer.writeheader()
        writer.writerows(merged[value] for value in sorted(merged))
