"""The channels of a folder, and which of them is the protein, which are structural: from names, or from the user."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pcip_core.errors import SpecError
from pcip_core.images.proposal.naming.words import PREFIXES, PROTEIN, meaning, slug, structure_of
from pcip_core.words import verb


@dataclass(frozen=True)
class Candidate:
    """A channel that is in the files.

    Attributes:
        named: its name in file names, tables or metadata.
        others: further names of it, such as its dye in the list of an export.
        plane: its plane within a file, for files that hold several without names.
        files: number of its files; 0 if not counted.
        example: one of its files.
    """

    named: str
    others: tuple[str, ...] = ()
    plane: int | str | None = None
    files: int = 0
    example: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """All names of the channel."""
        return (self.named, *self.others)

    @property
    def label(self) -> str:
        """Its names, for messages."""
        return f"{self.named} ({', '.join(self.others)})" if self.others else self.named


@dataclass(frozen=True)
class Choice:
    """A channel of the spec.

    Attributes:
        name: its name in the spec.
        role: `protein` or `structural`.
        candidate: the channel in the files.
        reason: why, for a comment.
    """

    name: str
    role: str
    candidate: Candidate
    reason: str = ""


def suggestions(candidates: Sequence[Candidate]) -> dict[str, tuple[str | None, str]]:
    """Name of a channel -> what it shows, and why: `protein`, a structure, `marker`, or None if nothing tells.

    >>> suggestions([Candidate("dapi"), Candidate("ch2")])
    {'dapi': ('nucleus', 'by its name'), 'ch2': ('protein', 'the only channel that is no known marker')}
    """
    all_names = [candidate.named for candidate in candidates]
    known: dict[str, tuple[str | None, str]] = {}
    for candidate in candidates:
        meanings = [meaning(name, all_names) for name in candidate.names]
        found = next((each for each in meanings if each not in (None, "marker")), None)
        found = found or next((each for each in meanings if each), None)
        known[candidate.named] = (found, "by its name" if found else "")
    proteins = [name for name, (what, _) in known.items() if what == PROTEIN]
    unknown = [name for name, (what, _) in known.items() if what is None]
    sure = [name for name, (what, _) in known.items() if what and name.lower() != "w1"]
    if not proteins and len(unknown) == 1 and sure:
        known[unknown[0]] = (PROTEIN, "the only channel that is no known marker")
    if len(proteins) == 1:
        known |= dict.fromkeys(unknown, ("marker", "not the protein"))
    return known


def chosen_channels(
    candidates: Sequence[Candidate],
    *,
    protein: Sequence[str] = (),
    structural: Sequence[str] = (),
) -> list[Choice]:
    """The channels of the spec: those that the user names, the others as `suggestions` says.

    Args:
        candidates: the channels in the files.
        protein: names of protein channels in the files, or `NAME=CHANNEL` with a name for the spec.
        structural: the same, of structural channels. If both are given, channels that neither names are left out.
            Another word for a known structure becomes its name, by which the segmentation and the start of the
            encoder are chosen: `dapi=w1` is `nucleus`.

    Raises:
        SpecError: a name is unknown, nothing tells the role of a channel, or there is no protein or no marker.
    """
    of_protein = [_named(candidates, text, "--protein") for text in protein]
    of_structure = [_named(candidates, text, "--structural") for text in structural]
    guesses = suggestions(candidates)
    given = {each.named for _, each in (*of_protein, *of_structure)}
    rest = [] if of_protein and of_structure else [each for each in candidates if each.named not in given]
    choices = [Choice(name or "protein", "protein", each, "as given") for name, each in of_protein]
    twice = {each.named for _, each in of_protein}  # a protein channel that also shows the shape of the cells
    for given_name, each in of_structure:
        known = None if each.named in twice else structure_of(given_name)
        reason = f"as given: {given_name}" if known not in (None, given_name) else "as given"
        name = known or given_name or _structure(each, guesses[each.named][0])
        choices.append(Choice(name, "structural", each, reason))
    unclear = []
    for candidate in rest:
        what, reason = guesses[candidate.named]
        if of_protein and what in (None, PROTEIN):
            what, reason = "marker", "not the protein"
        elif of_structure and what in (None, "marker") and len(rest) == 1:
            what, reason = PROTEIN, "the only channel that is not structural"
        if what is None:
            unclear.append(candidate)
        elif what == PROTEIN:
            choices.append(Choice("protein", "protein", candidate, reason))
        else:
            choices.append(Choice(_structure(candidate, what), "structural", candidate, reason))
    proteins = [choice for choice in choices if choice.role == "protein"]
    if unclear or len(proteins) != max(1, len(of_protein)) or len(proteins) == len(choices):
        raise _unclear(candidates, unclear, proteins)
    order = {each.named: place for place, each in enumerate(candidates)}
    choices.sort(key=lambda choice: (choice.role == "protein", order[choice.candidate.named]))
    return _with_different_names(choices)


def _structure(candidate: Candidate, what: str | None) -> str:
    """The name of a structural channel in the spec: what it shows, otherwise its own name."""
    if what not in (None, "marker", PROTEIN):
        return str(what)
    return (
        slug(candidate.named)
        if candidate.named[:1].isalpha()
        else f"channel_{slug('c' + candidate.named)[1:]}"
    )


def _with_different_names(choices: Sequence[Choice]) -> list[Choice]:
    counts = Counter(choice.name for choice in choices)
    out: list[Choice] = []
    for choice in choices:
        name = choice.name
        if counts[name] > 1:
            name = f"{name}_{slug(choice.candidate.named)}"
        out.append(Choice(name, choice.role, choice.candidate, choice.reason))
    return out


def _named(candidates: Sequence[Candidate], text: str, option: str) -> tuple[str, Candidate]:
    """The name for the spec, if any, and the channel that an option names."""
    name, equals, wanted = text.partition("=")
    if not equals:
        name, wanted = "", text
    for form in (str.lower, _number):  # ch1 and 1 are one channel, unless the files have both
        fitting = [each for each in candidates if form(wanted.strip()) in set(map(form, each.names))]
        if len(fitting) == 1:
            return (slug(name) if name else "", fitting[0])
    raise SpecError(
        f"{option} {text}",
        found=f"no channel {wanted}",
        required=f"one of {', '.join(candidate.label for candidate in candidates)}",
        remedy="Correct the name; `NAME=CHANNEL` gives the channel another name in the spec.",
    )


def _number(text: str) -> str:
    """The number of a channel without the letters before it, otherwise the text.

    >>> _number("ch01"), _number("W2"), _number("488"), _number("cy5")
    ('1', '2', '488', 'cy5')
    """
    match = re.fullmatch(rf"(?:{'|'.join(PREFIXES['channel'])})?[_ -]?0*(\d+)", text.lower())
    return match[1] if match else text.lower()


def _unclear(
    candidates: Sequence[Candidate], unclear: Sequence[Candidate], proteins: Sequence[Choice]
) -> SpecError:
    labels = ", ".join(candidate.label for candidate in candidates)
    does = verb(len(unclear), "show")
    if len(candidates) == 1:
        only = candidates[0].named
        return SpecError(
            "channels",
            found=f"one channel, {candidates[0].label}",
            required="a protein channel and at least one structural channel, which shows the same in all images",
            remedy="Pass the folder that holds the other channels too. If the background of this channel shows the "
            f"shape of the cells, use it twice: --protein {_quoted(only)} --structural {_quoted('cell=' + only)}",
        )
    if len(proteins) > 1 and not unclear:
        several = ", ".join(each.candidate.label for each in proteins)
        found = f"the channels {labels}, of which {several} may be the protein"
    elif not unclear:
        found = (
            f"the channels {labels}, all of them known markers" if not proteins else f"no marker in {labels}"
        )
    else:
        found = (
            f"the channels {labels}; nothing tells what {', '.join(each.label for each in unclear)} {does}"
        )
    first = (unclear or candidates)[0].named
    others = [each.named for each in candidates if each.named != first]
    guesses = suggestions(candidates)
    likely = [name for wanted in ("nucleus", "marker") for name in others if guesses[name][0] == wanted]
    nucleus = (likely or others)[0]
    texts = (f"nucleus={name}" if name == nucleus else name for name in others)
    example = " ".join([f"--protein {_quoted(first)}", *(f"--structural {_quoted(text)}" for text in texts)])
    return SpecError(
        "channels",
        found=found,
        required="which channel is the protein, and which show a structure that is the same in all images",
        remedy=f"Name them, for example {example}",
    )


def _quoted(text: str) -> str:
    return text if text.replace("=", "").replace("_", "").isalnum() else f'"{text}"'


def spec_names(choices: Sequence[Choice]) -> Mapping[str, Choice]:
    """Name in the spec -> channel."""
    return {choice.name: choice for choice in choices}
