"""Harmony's illumination profiles, which an export of an Opera or Operetta may hold.

They are in the index beside the images (`Maps/Map/Entry/FlatfieldProfile`), or in `FFC_Profile/*.xml` beside the folder
of the images. Each is a text in a notation like JSON without quotation marks, with a polynomial for the background and
sometimes one for the foreground.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from pcip_core.errors import ImageFileError
from pcip_core.images.illumination.profile import Polynomial, Profile
from pcip_core.images.inside import require_inside
from pcip_core.images.layouts.harmony_index import read_profiles

_INDICES = ("index.xml", "index.idx.xml", "index.ref.xml")
_FFC_FOLDERS = ("ffc_profile", "flatfieldcorrection")
_TOKEN = re.compile(r'[{}\[\],]|"[^"]*"|[^{}\[\],"]+')
_DEEPEST, _LARGEST_DEGREE = 20, 12
_CHANNEL = re.compile(r"-ch(\d+)", re.IGNORECASE)


def channel_number(path: str) -> str | None:
    """The number of the channel in the name of an exported file.

    >>> channel_number("P1/Images/r01c01f01p01-ch2sk1fk1fl1.tiff")
    '2'
    """
    match = _CHANNEL.search(Path(path).name)
    return str(int(match[1])) if match else None


def profiles_beside(root: Path, folder: str) -> dict[str, Profile | None]:
    """The profiles of the images of a folder: number of the channel -> profile, None where it is flat.

    Args:
        root: the root of the screen.
        folder: the folder of the images, relative to the root.

    Raises:
        ImageFileError: a file with profiles cannot be read.
    """
    images = root / folder
    for path in _candidates(images, _modified(images), _modified(images.parent)):
        stat = path.stat()
        require_inside(root, path)
        if found := _profiles(path, path.relative_to(root), stat.st_mtime_ns, stat.st_size):
            return found
    return {}


@lru_cache(maxsize=1000)
def _profiles(path: Path, name: Path, modified: int, size: int) -> dict[str, Profile | None]:
    """The profiles in a file in the state that its date and its size identify."""
    texts = read_profiles(path)
    return {number: profile_of(text, f"{name}, channel {number}") for number, text in texts.items()}


def _modified(folder: Path) -> int:
    try:
        return folder.stat().st_mtime_ns
    except OSError:
        return 0


@lru_cache(maxsize=1000)
def _candidates(images: Path, modified: int, modified_above: int) -> tuple[Path, ...]:
    """The files that may hold the profiles of the images of a folder, the preferred one first."""
    indices = [images / name for name in _names(images) if name.lower() in _INDICES]
    for name in _names(images.parent):
        if name.lower() in _FFC_FOLDERS:
            beside = images.parent / name
            indices += [beside / file for file in _names(beside) if file.lower().endswith(".xml")]
    return tuple(indices)


def _names(folder: Path) -> list[str]:
    try:
        return sorted(path.name for path in folder.iterdir())
    except OSError:
        return []


def profile_of(text: str, where: str) -> Profile | None:
    """The profile in the text of an element FlatfieldProfile; None if it is flat.

    With a foreground, that is the gain, and the background has its own shape on its mean level. Without one, the
    background, which the same light has produced, is the gain: the plane is divided by it.

    Raises:
        ImageFileError: the text cannot be understood.

    >>> text = "{Background: {Character: NonFlat, Mean: 150.1, Profile: {Coefficients: [[1], [0.1, 0]], "
    >>> text += "Dims: [4, 4], Type: Polynomial}}, Channel: 1, ChannelName: HOECHST 33342}"
    >>> profile_of(text, "Index.xml").gain.over((1, 4)).astype(float).round(4).tolist()
    [[0.9625, 0.9875, 1.0125, 1.0375]]
    """
    try:
        values = parsed(text)
        background = _surface(values.get("Background"))
        foreground = _surface(values.get("Foreground"))
        if foreground is None:
            return None if background is None else Profile(background, source=where)
        level = _number(values["Background"].get("Mean", 0)) if values.get("Background") else 0.0
        return Profile(foreground, background, level if math.isfinite(level) else 0.0, where)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise ImageFileError(
            where,
            found=f"a FlatfieldProfile that cannot be understood ({error})",
            required="polynomials with Coefficients and Dims, as Harmony 4 and 5 write them",
            remedy="Set illumination.method in the spec to none or estimated.",
        ) from error


def _surface(scope: Any) -> Polynomial | None:
    """The polynomial of a background or a foreground; None if there is none, or if it is flat."""
    if not scope:
        return None
    profile = scope.get("Profile") or {}
    kind = profile.get("Type", "Polynomial" if "Coefficients" in profile else "Identity")
    if scope.get("Character") == "Flat" or kind == "Identity":
        return None
    if kind != "Polynomial":
        raise ValueError(f"Type {kind}")
    rows = profile["Coefficients"]
    coefficients = tuple(tuple(_number(value) for value in row) for row in rows)
    if not 0 < len(rows) <= _LARGEST_DEGREE + 1 or any(
        len(row) > degree + 1 for degree, row in enumerate(rows)
    ):
        raise ValueError(f"rows of {[len(row) for row in rows]} coefficients")
    width, height = _pair(profile.get("Dims") or scope["Dims"])
    if min(width, height) < 1:
        raise ValueError(f"Dims {width:g}, {height:g}")
    origin = _pair(profile.get("Origin") or ((width - 1) / 2, (height - 1) / 2))
    surface = Polynomial(
        coefficients, (width, height), origin, _pair(profile.get("Scale") or (1 / width, 1 / height))
    )
    if not all(map(math.isfinite, (*sum(coefficients, ()), *surface.origin, *surface.scale))):
        raise ValueError("numbers that are not finite")
    return surface


def _pair(values: Any) -> tuple[float, float]:
    first, second = values
    return _number(first), _number(second)


def _number(value: Any) -> float:
    return float(value)


def parsed(text: str) -> Mapping[str, Any]:
    """The mapping in Harmony's notation: `{Key: value, Key: {...}, Key: [1, 2]}`. Values are texts.

    Raises:
        ValueError: brackets do not match, or are nested too deeply.

    >>> parsed("{Channel: 1, Name: Alexa 488, a, Profile: {Dims: [2, 3]}}")
    {'Channel': '1', 'Name': 'Alexa 488, a', 'Profile': {'Dims': ['2', '3']}}
    """
    tokens = [token.strip() for token in _TOKEN.findall(text)]
    value, end = _value(["", *tokens], 1, 0)
    if not isinstance(value, dict) or any(tokens[end - 1 :]):
        raise ValueError("no mapping in braces")
    return value


def _value(tokens: list[str], at: int, depth: int) -> tuple[Any, int]:
    """The value that begins at a token, and the token after it."""
    while at < len(tokens) and not tokens[at]:
        at += 1
    if depth > _DEEPEST or at >= len(tokens):
        raise ValueError("brackets that do not match")
    if tokens[at] == "{":
        return _mapping(tokens, at + 1, depth)
    if tokens[at] == "[":
        items: list[Any] = []
        at += 1
        while tokens[at : at + 1] != ["]"]:
            if tokens[at : at + 1] in ([","], [""]):
                at += 1
                continue
            item, at = _value(tokens, at, depth + 1)
            items.append(item)
        return items, at + 1
    if tokens[at] in ("}", "]", ","):
        raise ValueError(f"{tokens[at]} instead of a value")
    return tokens[at].strip('"'), at + 1


def _mapping(tokens: list[str], at: int, depth: int) -> tuple[dict[str, Any], int]:
    """The mapping after a brace. Text without a colon continues the value before it, which held a comma."""
    values: dict[str, Any] = {}
    key = ""
    while tokens[at : at + 1] != ["}"]:
        if at >= len(tokens):
            raise ValueError("brackets that do not match")
        token = tokens[at]
        if token in (",", ""):
            at += 1
        elif token in ("{", "["):
            values[key], at = _value(tokens, at, depth + 1)
        elif token == "]":
            raise ValueError("] instead of a key")
        elif token.startswith('"') and tokens[at + 1 : at + 2] and tokens[at + 1].startswith(":"):
            key = token.strip('"')
            values[key] = tokens[at + 1][1:].strip()
            at += 2
        elif ":" in token and not token.startswith('"'):
            name, _, rest = token.partition(":")
            key, at = name.strip(), at + 1
            values[key] = rest.strip()
        elif isinstance(values.get(key), str):
            values[key] = f"{values[key]}, {token}" if values[key] else token.strip('"')
            at += 1
        else:
            raise ValueError(f"{token!r} instead of a key")
    return values, at + 1
