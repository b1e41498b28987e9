"""Numbers of things, and names that users chose, in messages and pages."""

from __future__ import annotations


def many(count: int, noun: str, form: str = "", *, does: str = "") -> str:
    """A number with its noun, in the singular for one, and with a verb that agrees.

    Args:
        count: the number.
        noun: in the singular, with any adjectives before it.
        form: format of the number, such as `,`.
        does: the verb, as for `verb`; empty for none.

    >>> many(1, "field"), many(0, "field"), many(12000, "other class", ","), many(2, "entry"), many(3, "array")
    ('1 field', '0 fields', '12,000 other classes', '2 entries', '3 arrays')
    >>> many(1, "image", does="have"), many(2, "image", does="have")
    ('1 image has', '2 images have')
    """
    text = f"{count:{form}} {noun if count == 1 else plural(noun)}"
    return f"{text} {verb(count, does)}" if does else text


def share(count: int, total: int, noun: str, *, does: str = "") -> str:
    """How many of some things, with a verb that agrees with them.

    >>> share(1, 3, "image", does="have"), share(2, 3, "image", does="have"), share(0, 1, "image")
    ('1 of 3 images has', '2 of 3 images have', '0 of 1 image')
    """
    text = f"{count:,} of {many(total, noun, ',')}"
    return f"{text} {verb(count, does)}" if does else text


def verb(count: int, word: str) -> str:
    """A verb that agrees with a number of things.

    Args:
        count: the number.
        word: the verb as it follows several things.

    >>> verb(1, "do not have"), verb(1, "match"), verb(1, "are used"), verb(2, "cover")
    ('does not have', 'matches', 'is used', 'cover')
    """
    if count == 1:
        first, space, rest = word.partition(" ")
        return f"{_IRREGULAR.get(first) or plural(first)}{space}{rest}"
    return word


def escaped(text: str) -> str:
    r"""Text in which characters that are not printable, as of a file name, are written as escapes.

    They could break a line of a report, or command the terminal.

    >>> print(escaped("plate\n1\x1b[2J, \u03bcm"))
    plate\n1\x1b[2J, μm
    """
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def escaped_lines(text: str) -> str:
    r"""Lines of text, each escaped.

    >>> print(escaped_lines("first\n\x1b[2Jsecond"))
    first
    \x1b[2Jsecond
    """
    return "\n".join(map(escaped, text.split("\n")))


_IRREGULAR = {"have": "has", "are": "is", "were": "was", "do": "does"}


def plural(noun: str) -> str:
    """The plural of a regular noun.

    >>> plural("cell with a value")
    'cells with a value'
    >>> plural("batch"), plural("epoch")
    ('batches', 'epochs')
    """
    head, space, rest = noun.partition(" with ")
    if space:
        return f"{plural(head)}{space}{rest}"
    if noun.endswith(("s", "x", "ch", "sh")) and not noun.endswith("epoch"):
        return f"{noun}es"
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return f"{noun[:-1]}ies"
    return f"{noun}s"
