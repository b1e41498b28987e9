"""`pcip fetch`: download the Human Protein Atlas, or check an archive that was downloaded by hand.

The modules that download are imported when something is downloaded.
"""

import shlex
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pcip_core.words import escaped, many

if TYPE_CHECKING:
    from pcip_core.fetch.hpa import Result

_SHOWN = 5  # names or failures printed
_POLICY = ("rate_per_s", "connections", "attempts")
_PATH = click.Path(path_type=Path)


@click.group("fetch", invoke_without_command=True)
@click.pass_context
def command(context: click.Context) -> None:
    """Download images, or check images that you downloaded.

    Without a subcommand, list the image collections and how to get each.
    """
    if context.invoked_subcommand is None:
        print_sources()


@command.command("hpa", short_help="Download images of the Human Protein Atlas.")
@click.option(
    "--proteins", "list_file", required=True, type=_PATH, metavar="FILE",
    help="List of Ensembl gene ids or gene names: one per line, or a column of a CSV or TSV table.",
)  # fmt: skip
@click.option("--to", "root", required=True, type=_PATH, metavar="FOLDER", help="Folder for the images.")
@click.option("--column", metavar="NAME", help="Column of FILE that holds the genes; default: recognized.")
@click.option(
    "--genes-table", type=_PATH, metavar="FILE", help="Table to look up gene names; default: the atlas's own."
)
@click.option(
    "--base-url", metavar="URL", help="Address of the atlas; the paper used https://v18.proteinatlas.org."
)
@click.option(
    "--image-base-url", metavar="URL", help="Mirror of the images; default: the addresses of the atlas."
)
@click.option(
    "--channels", metavar="A,B,...", help="Of blue, red, green, yellow; default: blue_red_green (RGB)."
)
@click.option("--format", "extension", help="jpg, png, tif or tif.gz; default: jpg.")
@click.option("--rate", "rate_per_s", type=float, help="Requests per second; default: 2.")
@click.option("--connections", type=int, help="Simultaneous connections; default: 4.")
@click.option("--attempts", type=int, help="Attempts per file; default: 5.")
def fetch_hpa(list_file: Path, root: Path, column: str | None, **options: object) -> None:
    """Download the Human Protein Atlas images of the genes in FILE to FOLDER.

    Files that exist are not downloaded again. The exit code is 1 if anything is missing at the end; run the same
    command again to resume.
    """
    given = {name: value for name, value in options.items() if value is not None}
    if not fetch_atlas(list_file, root, column, given):
        sys.exit(1)


@command.command("check", short_help="Check an archive that you downloaded.")
@click.argument("name")
@click.argument("folder", type=_PATH)
def fetch_check(name: str, folder: Path) -> None:
    """Check whether FOLDER holds the archive NAME, which you downloaded by hand.

    The exit code is 1 if the screen cannot be run from it.
    """
    if not print_archive_check(name, folder):
        sys.exit(1)


def print_sources() -> None:
    """Print the collection that pcip downloads, and those that a user must request."""
    from pcip_core.fetch.archives import ARCHIVES

    click.secho("pcip downloads:", bold=True)
    click.echo("  human_protein_atlas   Human Protein Atlas, immunofluorescence of cells")
    click.echo("      pcip fetch hpa --proteins FILE --to FOLDER")
    click.secho("You download (docs/how-to/import-an-archive.md), and pcip checks:", bold=True)
    for name, archive in ARCHIVES.items():
        click.echo(f"  {name:<21} {archive.title}")
        click.echo(f"      from    {archive.source}")
        click.echo(f"      files   {archive.layout}")
        click.echo(f"      check   pcip fetch check {name} FOLDER")


def fetch_atlas(list_file: Path, root: Path, column: str | None, options: Mapping[str, Any]) -> bool:
    """Download the images of a list of proteins and print a summary; return True if nothing is missing."""
    from pcip_core.fetch.hpa import Source, fetch_hpa
    from pcip_core.fetch.hpa_entry import COMPOSITE
    from pcip_core.fetch.pace import Policy
    from pcip_core.fetch.proteins import read_proteins

    policy = Policy(**{name: options[name] for name in _POLICY if name in options})
    source = {name: value for name, value in options.items() if name not in _POLICY}
    if "channels" in source:
        source["channels"] = tuple(channel.strip() for channel in source["channels"].split(","))
    proteins = read_proteins(list_file, column=column)
    with _Bars() as bars:
        result = fetch_hpa(proteins, root, Source(**source), policy, progress=bars.stage)
    _print_result(result, root)
    if result.files.fetched or result.files.there:
        kind = "" if COMPOSITE in source.get("channels", (COMPOSITE,)) else "_channels"
        _print_next(f"human_protein_atlas{kind}", root)
    return result.complete


def _print_result(result: "Result", root: Path) -> None:
    from pcip_core.fetch.manifest import FAILURES

    known = result.listed - len(result.unknown)
    click.echo(f"proteins  {result.listed} listed = {known} known + {len(result.unknown)} unknown")
    click.echo(f"pages     {result.pages}")
    click.echo(
        f"images    {many(result.n_images, 'image')} (gene x antibody x cell line) of {many(result.n_fields, 'field')}"
    )
    click.echo(f"files     {result.files} ({result.files.bytes / 1e6:.1f} MB)")
    for what, n in result.left_out.items():
        click.echo(f"left out  {many(n, 'picture')}: {what}")
    if result.without_fields:
        click.echo(
            f"no images {many(len(result.without_fields), 'gene')}: {_shortened(result.without_fields)}"
        )
    if result.unknown:
        click.secho(f"unknown   {_shortened(result.unknown)}", fg="yellow")
    for failure in result.failures[:_SHOWN]:
        click.secho(escaped(f"failed    {failure.path}: {failure.reason}"), fg="yellow")
    if result.failures:
        click.secho(
            f"{many(len(result.failures), 'file')} failed, listed in {root / FAILURES}; run the command again.",
            fg="red",
        )


def print_archive_check(name: str, folder: Path) -> bool:
    """Print what a folder holds of an archive; return True if the screen can be run from it."""
    from pcip_core.fetch.archives import ARCHIVES, check_archive

    report = check_archive(name, folder)
    click.secho(f"{name}: {ARCHIVES[name].title}", bold=True)
    for what, n in report.counts.items():
        click.echo(f"  found       {n:,} {what}")
    for text in report.missing:
        click.secho(f"  missing     {escaped(text)}", fg="yellow")
    for text in report.problems:
        click.secho(f"  problem     {escaped(text)}", fg="red")
    if report.problems:
        click.echo(f"Expected: {ARCHIVES[name].layout}. From: {ARCHIVES[name].source}.")
        return False
    click.secho("  can be used" + (", but is incomplete" if report.missing else ""), fg="green")
    cropped = report.counts.get("cells, already cropped")
    _print_next("yeast_cells" if cropped else name, folder)
    return True


def _print_next(screen: str, root: Path) -> None:
    click.echo(f"Next: pcip init --from {screen} && pcip run {screen} --root {shlex.quote(str(root))}")


class _Bars:
    """One progress bar per stage, in a terminal only."""

    def __init__(self) -> None:
        self._bar: Any = None

    def __enter__(self) -> "_Bars":
        return self

    def __exit__(self, *error: object) -> None:
        self._close()

    def stage(self, label: str, total: int) -> Callable[[str], None]:
        """Begin a stage; call the result with the path of each file that is done."""
        from tqdm import tqdm

        self._close()
        self._bar = bar = tqdm(total=total, desc=label, unit="file", disable=not sys.stderr.isatty())

        def advance(path: str) -> None:
            bar.update()

        return advance

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()


def _shortened(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
