"""The questions of `pcip init` in a terminal. An answer that cannot be meant so is asked for again."""

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches

import click

from pcip_core.errors import PcipError
from pcip_core.images.proposal.arrangement import Arrangement
from pcip_core.images.proposal.channels import suggestions
from pcip_core.images.proposal.naming.words import (
    PREFIXES,
    PROTEIN,
    STRUCTURES,
    meaning,
    screen_name,
    slug,
    structure_of,
)
from pcip_core.words import escaped_lines

_NO = ("none", "no", "-")
_KNOWN = (PROTEIN, *STRUCTURES, "none")


def asked_channels(
    arrangement: Arrangement, protein: Sequence[str], structural: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Ask what each channel shows, with the proposal as default; options answer beforehand."""
    click.echo(
        f"What does each channel show? `{PROTEIN}` (varies from image to image), a structure that is the same in all "
        "images (nucleus, cytosol, microtubules, er, brightfield, ...), or `none` to leave it out."
    )
    given: Mapping[str, str] = {
        **{text.rpartition("=")[2]: PROTEIN for text in protein},
        **{text.rpartition("=")[2]: text.partition("=")[0] for text in structural},
    }
    guesses = suggestions(arrangement.channels)
    proteins, structures = list(protein), list(structural)
    for candidate in arrangement.channels:
        if candidate.named in given:
            continue
        guess = guesses[candidate.named][0]
        default = None if guess == "marker" and not _tells(candidate.named) else guess
        answer = _asked_channel(candidate.label, slug(candidate.named) if default == "marker" else default)
        if answer.lower() == PROTEIN:
            proteins.append(candidate.named)
        elif answer.lower() not in _NO:
            name, known = slug(answer), structure_of(answer)
            if known not in (None, name):
                click.echo(f"  {candidate.named} is {known} in the spec")
            structures.append(f"{name}={candidate.named}")
    return tuple(proteins), tuple(structures)


def _tells(name: str) -> bool:
    """Whether the name of a channel is more than a number.

    >>> _tells("rfp"), _tells("w1"), _tells("561")
    (True, False, False)
    """
    letters = name.lower().rstrip("0123456789").rstrip("_- ")
    return bool(letters) and letters not in PREFIXES["channel"]


def _asked_channel(label: str, default: str | None) -> str:
    """What a channel shows; asked again after no answer, and once after one that may be a slip."""
    former = None
    while True:
        answer = str(click.prompt(f"  {label}", default=default or "", show_default=bool(default))).strip()
        doubt = doubt_about(answer)
        if doubt is None or (answer and answer in (default, former)):
            return answer
        click.secho(f"  {doubt}", fg="yellow")
        former = answer


def doubt_about(answer: str) -> str | None:
    """Why an answer is asked for again; None if it can be taken.

    A slip in `protein` would make a structure of the protein, and every result wrong.

    >>> print(doubt_about("nucleus"), doubt_about("nuclei"), doubt_about("vacuole"), doubt_about("none"))
    None None None None
    >>> print(doubt_about("protien"))
    `protien` would be a structure, the same in all images. Did you mean `protein`? Otherwise type it again.
    """
    plain = answer.lower()
    if not answer:
        return "No name tells what this channel shows: type one of the words above."
    if plain in _NO or plain in _KNOWN or (what := meaning(answer)) in STRUCTURES:
        return None
    again = "Otherwise type it again."
    would = f"`{answer}` would be a structure, the same in all images."
    if close := get_close_matches(plain, _KNOWN, n=1, cutoff=0.75):
        return f"{would} Did you mean `{close[0]}`? {again}"
    return f"{would} If it is the protein, type `{PROTEIN}`. {again}" if what == PROTEIN else None


def asked_name(default: str, require_free: Callable[[str], None]) -> str:
    """A name for the screen that is free; asked again otherwise, so that no other answer is lost."""
    while True:
        name = screen_name(click.prompt("  name of the screen", default=default))
        try:
            require_free(name)
        except PcipError as error:
            click.secho(escaped_lines(f"  {error.found.capitalize()}: {error.where}"), fg="yellow")
            continue
        return name
