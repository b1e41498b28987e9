"""From references to pixels: each file is decoded once, and the focal planes of several files become one plane.

Any exception of a decoder is an ImageFileError. Its warnings are not: the pixels are used, and the first warning of
each kind is logged.
"""

from __future__ import annotations

import logging
import re
import stat
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from pcip_core.errors import ImageFileError, PcipError
from pcip_core.images.formats import decoder, times_and_depth_of
from pcip_core.images.formats.stack import SCORES, Projection, middle, sharpest, sharpness
from pcip_core.images.inside import require_inside
from pcip_core.images.reference import Reference, Select
from pcip_core.spec.screen import Channel
from pcip_core.words import escaped

_LOG = logging.getLogger("pcip.images")
_WARNED: dict[tuple[str, str], str] = {}  # kind -> the first warning
_REPEATED: Counter[tuple[str, str]] = Counter()  # kind -> the number of later ones
_MOST_KINDS, _LONGEST_TEXT = 1000, 300
_T = TypeVar("_T")


def decode(
    references: Mapping[str, Reference], channels: Mapping[str, Channel], root: Path
) -> dict[str, np.ndarray]:
    """Decode the planes of a field.

    Args:
        references: channel -> its plane, relative to the root.
        channels: the channels of the spec.
        root: folder of the screen.

    Returns:
        Channel -> (H, W), in the pixel type of the files.

    Raises:
        ImageFileError: a file is missing, unusable or outside the root, or planes of a stack differ in shape or type.
    """
    references = _in_focus(references, channels, root)
    by_paths: dict[tuple[str, ...], list[str]] = {}
    for name, reference in references.items():
        by_paths.setdefault(reference.paths, []).append(name)
    planes: dict[str, np.ndarray] = {}
    for paths, names in by_paths.items():
        selects = [
            references[name].select | ({"role": "labels"} if channels[name].role == "labels" else {})
            for name in names
        ]
        read = decode_file if len(paths) == 1 else _project_files
        planes |= dict(zip(names, read([root / path for path in paths], selects, root), strict=True))
    return planes


def decode_file(paths: Sequence[Path], selects: Sequence[Select], root: Path) -> list[np.ndarray]:
    """Decode planes of one file, the only one of `paths`, under the root."""
    (path,) = paths
    return [np.squeeze(plane) for plane in _call(path, root, lambda: decoder(path)(path, selects))]


def _project_files(paths: Sequence[Path], selects: Sequence[Select], root: Path) -> list[np.ndarray]:
    """Project focal planes that lie in one file each. One file is in memory at a time."""
    hows = [select["project"] for select in selects]
    within = [{key: value for key, value in select.items() if key != "project"} for select in selects]
    if hows[0] == "middle":
        return decode_file([paths[middle(len(paths))]], within, root)
    projections = [Projection(how) for how in hows]
    for path in paths:
        for projection, plane in zip(projections, decode_file([path], within, root), strict=True):
            projection.add(plane, path)
    return [projection.result() for projection in projections]


def _in_focus(
    references: Mapping[str, Reference], channels: Mapping[str, Channel], root: Path
) -> dict[str, Reference]:
    """Replace `project=sharpest` by one focal plane, the same for all channels of the field.

    The first structural channel that is a stack chooses it: this channel shows the same structure in every image, so
    that the depth of a field does not depend on its protein, and all channels of a cell show one depth.
    """
    chosen = dict(references)
    names = [name for name, reference in references.items() if reference.select.get("project") == "sharpest"]
    depths = {name: _depth(references[name], root) for name in names}
    stacks = [name for name in names if depths[name] > 1]
    if not stacks:
        return chosen
    first = min(stacks, key=lambda name: channels[name].role != "structural")
    guide = references[first]
    if guide.further:
        scores = [
            sharpness(decode_file([root / path], [_at(guide, 0).select], root)[0]) for path in guide.paths
        ]
    else:
        select = guide.select | {"project": SCORES}
        scores = decode_file([root / guide.path], [select], root)[0].tolist()
    for name in stacks:
        if depths[name] != depths[first]:
            raise ImageFileError(
                references[name].path,
                found=f"{depths[name]} focal planes of {name} and {depths[first]} of {first}",
                required="as many planes of each channel, one of which is the sharpest",
                remedy="Use `project: {z: max}` in files of the spec, or export the stack again.",
            )
        chosen[name] = _at(references[name], sharpest(scores))
    return chosen


def _depth(reference: Reference, root: Path) -> int:
    return len(reference.paths) if reference.further else times_and_depth(reference, root)[1]


def times_and_depth(reference: Reference, root: Path) -> tuple[int, int]:
    """The numbers of time points and focal planes of an image, from its header.

    Raises:
        ImageFileError: the file is outside the root, or its header cannot be read.
    """
    path = root / reference.path
    return _call(path, root, lambda: times_and_depth_of(path, reference.select))


def _at(reference: Reference, z: int) -> Reference:
    """The reference of one focal plane of a stack, from 0."""
    select = {key: value for key, value in reference.select.items() if key != "project"}
    if reference.further:
        return Reference(reference.paths[z], select)
    return Reference(reference.path, select | {"z": str(z + 1)})


def _call(path: Path, root: Path, read: Callable[[], _T]) -> _T:
    """Call a decoder for a file under the root."""
    try:
        require_in_root(root, path)
        _require_readable(path)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            result = read()
    except PcipError:
        raise
    except Exception as error:  # decoders raise any kind of exception on damaged files
        raise ImageFileError(
            path,
            found=f"pixels that cannot be decoded ({type(error).__name__}: {error})",
            required="a complete TIFF, PNG or JPEG",
            remedy="Copy the file again from its source.",
        ) from error
    for warning in caught:
        _keep(path, warning)
    return result


def _keep(path: Path, warning: warnings.WarningMessage) -> None:
    """Keep and log the first warning of a kind; those that differ in numbers and names only are of one kind."""
    text = re.sub(r"\s+", " ", str(warning.message))[:_LONGEST_TEXT]
    kind = (warning.category.__name__, re.sub(r"\d+|'[^']*'|/\S+", "#", text))
    if kind in _WARNED:
        _REPEATED[kind] += 1
    elif len(_WARNED) < _MOST_KINDS:
        _WARNED[kind] = escaped(f"{path}: the decoder warns, and the pixels are used: {kind[0]}: {text}")
        _LOG.warning(_WARNED[kind])


def decoder_warnings() -> list[str]:
    """The first warning of each kind that decoders have given in this process, with its file and how many followed."""
    return [
        f"{text} ({_REPEATED[kind]:,} more of this kind)" if kind in _REPEATED else text
        for kind, text in _WARNED.items()
    ]


def forget_warnings() -> None:
    """Forget all kinds of warnings, so that the next one of each is kept and logged."""
    _WARNED.clear()
    _REPEATED.clear()


def require_in_root(root: Path, path: Path) -> None:
    """Raise an ImageFileError if a file, or a part of an OME-Zarr image, lies outside the root."""
    require_inside(root, path)
    if path.is_dir():
        from pcip_core.images.formats.ngff import links_of

        for link in links_of(path):
            require_inside(root, link)


def _require_readable(path: Path) -> None:
    """Raise for a pipe or a device: to read one may wait for ever."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return  # the decoder names the problem
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise ImageFileError(
            path, found="a pipe or a device", required="a file", remedy="Move it out of the root."
        )
