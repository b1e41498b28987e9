"""What `pcip fetch` prints: what can be had, a download's progress and summary, the check of an archive."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from pcip_core.fetch.archives import ARCHIVES, check_archive
from pcip_core.fetch.hpa import Result, Source, fetch_hpa
from pcip_core.fetch.hpa_entry import COMPOSITE
from pcip_core.fetch.manifest import FAILURES
from pcip_core.fetch.pace import Policy
from pcip_core.fetch.proteins import read_proteins

_SHOWN = 5
_POLICY = ("rate_per_s", "connections", "attempts")


def print_sources() -> None:
    """What pcip fetches itself, and what a user must ask for, with how to import it."""
    click.secho("pcip fetches:", bold=True)
    click.echo("  human_protein_atlas   Human Protein Atlas, immunofluorescence of cells")
    click.echo("      pcip fetch hpa --proteins FILE --to FOLDER")
    click.secho("You fetch by hand (docs/how-to/import-an-archive.md), and pcip checks:", bold=True)
    for name, archive in ARCHIVES.items():
        click.echo(f"  {name:<21} {archive.title}")
        click.echo(f"      from    {archive.source}")
        click.echo(f"      files   {archive.layout}")
        click.echo(f"      check   pcip fetch check {name} FOLDER")


def fetch_atlas(list_file: Path, root: Path, column: str | None, options: Mapping[str, Any]) -> bool:
    """Fetch a list of proteins and print what became of it; True when nothing is missing."""
    policy = Policy(**{name: options[name] for name in _POLICY if name in options})
    chosen = {name: value for name, value in options.items() if name not in _POLICY}
    if "channels" in chosen:
        chosen["channels"] = tuple(one.strip() for one in chosen["channels"].split(","))
    proteins = read_proteins(list_file, column=column)
    with _Bars() as bars:
        result = fetch_hpa(proteins, root, Source(**chosen), policy, progress=bars.stage)
    _print_result(result, root)
    if result.files.fetched or result.files.there:
        kind = "" if COMPOSITE in chosen.get("channels", (COMPOSITE,)) else "_channels"
        click.echo(f"Next: pcip run human_protein_atlas{kind} --root {root}")
    return result.complete


def _print_result(result: Result, root: Path) -> None:
    known = result.listed - len(result.unknown)
    click.echo(f"proteins  {result.listed} listed = {known} known + {len(result.unknown)} unknown")
    click.echo(f"pages     {result.pages}")
    click.echo(
        f"images    {result.n_images} images (gene x antibody x cell line) of {result.n_fields} fields"
    )
    click.echo(f"files     {result.files} ({result.files.bytes / 1e6:.1f} MB)")
    for what, n in result.left_out.items():
        click.echo(f"left out  {n} pictures: {what}")
    if result.without_fields:
        click.echo(f"no images {len(result.without_fields)} genes: {_some(result.without_fields)}")
    if result.unknown:
        click.secho(f"unknown   {_some(result.unknown)}", fg="yellow")
    for failure in result.failures[:_SHOWN]:
        click.secho(f"failed    {failure.path}: {failure.reason}", fg="yellow")
    if result.failures:
        click.secho(f"{len(result.failures)} files failed, all in {root / FAILURES}; run again.", fg="red")


def print_archive_check(name: str, folder: Path) -> bool:
    """Print what a folder holds of an archive; True when it can be used."""
    report = check_archive(name, folder)
    click.secho(f"{name}: {ARCHIVES[name].title}", bold=True)
    for what, n in report.counts.items():
        click.echo(f"  found       {n:,} {what}")
    for text in report.missing:
        click.secho(f"  missing     {text}", fg="yellow")
    for text in report.problems:
        click.secho(f"  problem     {text}", fg="red")
    if report.problems:
        click.echo(f"Expected: {ARCHIVES[name].layout}. From: {ARCHIVES[name].source}.")
        return False
    click.secho("  can be used" + (", though not all of it is here" if report.missing else ""), fg="green")
    cropped = report.counts.get("cells, already cropped")
    click.echo(f"Next: pcip run {'yeast_cells' if cropped else name} --root {folder}")
    return True


class _Bars:
    """A progress bar a stage, in a terminal only."""

    def __init__(self) -> None:
        self._bar: Any = None

    def __enter__(self) -> "_Bars":
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def stage(self, what: str, total: int) -> Callable[[str], None]:
        """Begin a stage; call the result with each path that is settled."""
        from tqdm import tqdm

        if self._bar is not None:
            self._bar.close()
        self._bar = bar = tqdm(total=total, desc=what, unit="file", disable=not sys.stderr.isatty())
        return lambda path: _advance(bar)


def _advance(bar: Any) -> None:
    bar.update()


def _some(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
