"""Numbers of things in messages and pages."""

from __future__ import annotations


def many(count: int, noun: str, form: str = "") -> str:
    """A number with its noun, in the singular for one.

    Args:
        count: the number.
        noun: in the singular, with any adjectives before it.
        form: format of the number, such as `,`.

    >>> many(1, "field"), many(0, "field"), many(12000, "other class", ","), many(2, "entry"), many(3, "array")
    ('1 field', '0 fields', '12,000 other classes', '2 entries', '3 arrays')
    """
    return f"{count:{form}} {noun if count == 1 else plural(noun)}"


def plural(noun: str) -> str:
    """The plural of a regular noun.

    >>> plural("cell with a value")
    'cells with a value'
    """
    head, space, rest = noun.partition(" with ")
    if space:
        return f"{plural(head)}{space}{rest}"
    if noun.endswith(("s", "x", "ch", "sh")):
        return f"{noun}es"
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return f"{noun[:-1]}ies"
    return f"{noun}s"
