"""Each field stands once in its image: one cell must never be source and target of a pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

from pcip_core.images.field import Field
from pcip_core.images.layouts.stacks import twice
from pcip_core.spec.screen import Screen

_PLACES = ("plate", "well", "row", "column")


def named_once(screen: Screen, fields: Sequence[Field]) -> list[Field]:
    """Give each field a number that no other field of its image has.

    Fields of several wells or plates in one image may have the same numbers; the well or plate is then part of the
    number. Fields of cropped cells (segmentation method `whole`) may hold cells of one field and are not changed.

    Args:
        screen: the spec, for errors.
        fields: sorted by image.

    Raises:
        RootError: two fields of an image have the same number and place: they are one position.
    """
    if screen.segmentation.method == "whole":
        return list(fields)
    named: list[Field] = []
    for _, group in groupby(fields, key=lambda field: field.image_id):
        members = list(group)
        if len({field.number for field in members}) < len(members):
            members = _of_one_image(screen, members)
        named += members
    return named


def _of_one_image(screen: Screen, members: list[Field]) -> list[Field]:
    places = [
        part
        for part in _PLACES
        if len({field.parts.get(part) for field in members if field.problem is None}) > 1
    ]
    seen: dict[str, Field] = {}
    named = []
    for field in members:
        if field.problem is None:
            name = "_".join([*(field.parts.get(part, "") for part in places), field.number])
            other = seen.setdefault(name, field)
            if other is not field:
                raise twice(screen, other, field)
            field = replace(field, name=name)
        named.append(field)
    return named
