"""Segmentation of cells.

A segmenter takes the planes of one field by channel name and its own options, and returns a label image:
`(planes: Mapping[str, (H, W)], **options) -> (H, W) int, 0 is background`. A spec names a segmenter of `METHODS`,
or a user's function by its import path, `package.module:function`.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import inspect
import logging
import typing
from collections.abc import Callable, Mapping

import numpy as np

from pcip_core.errors import SpecError
from pcip_core.images.reading import is_constant
from pcip_core.segmentation.centres import centres
from pcip_core.segmentation.labels import labels
from pcip_core.segmentation.nuclei import nuclei
from pcip_core.segmentation.otsu import main_object, otsu
from pcip_core.segmentation.torchscript import torchscript
from pcip_core.segmentation.yeast import yeast_brightfield, yeast_cytosol, yeast_nuclear_pore
from pcip_core.spec.bounds import meant, shown
from pcip_core.spec.screen import Screen
from pcip_core.spec.sections import Segmentation

Segmenter = Callable[..., np.ndarray]
_LARGEST_LABEL = 1 << 24


def whole(planes: Mapping[str, np.ndarray], *, channel: str | None = None) -> np.ndarray:
    """Label one cell per field: for images that already show one cell each.

    Args:
        planes: channel name -> (H, W).
        channel: label the main object of this channel, such as the nucleus, so that a window lies around it. By
            default, and where the channel has no contrast, the whole field is the cell.

    >>> whole({"protein": np.zeros((2, 3))}).tolist()
    [[1, 1, 1], [1, 1, 1]]
    >>> plane = np.zeros((20, 20))
    >>> plane[2:8, 3:9], plane[15, 15] = 9, 9
    >>> np.argwhere(whole({"dna": plane}, channel="dna")).mean(0).tolist()
    [4.5, 5.5]
    """
    everything = np.ones(next(iter(planes.values())).shape, np.int32)
    if channel is None or is_constant(planes[channel]):
        return everything
    return main_object(planes[channel]).astype(np.int32)


METHODS: dict[str, Segmenter] = {
    "otsu": otsu,
    "nuclei": nuclei,
    "yeast_cytosol": yeast_cytosol,
    "yeast_brightfield": yeast_brightfield,
    "yeast_nuclear_pore": yeast_nuclear_pore,
    "torchscript": torchscript,
    "labels": labels,
    "centres": centres,
    "whole": whole,
}


def segmenter(method: str) -> Segmenter:
    """Return the segmenter with this name or import path.

    Raises:
        SpecError: no such segmenter exists.

    >>> segmenter("otsu") is segmenter("pcip_core.segmentation.otsu:otsu")
    True
    """
    if method in METHODS:
        return METHODS[method]
    module, _, name = method.partition(":")
    try:
        _announce(module.partition(".")[0])
        function: Segmenter = getattr(importlib.import_module(module), name)
        if not callable(function):
            raise TypeError(f"{name} is no function")
    except Exception as error:  # the user's module may raise anything
        raise SpecError(
            "segmentation.method",
            found=f"{shown(method)}{meant(method, METHODS)} ({type(error).__name__}: {error})",
            required=f"one of {', '.join(METHODS)}, or package.module:function",
            remedy="Correct the spec, or install the package that holds the function.",
        ) from error
    return function


@functools.cache
def _announce(package: str) -> None:
    """Log whose code a spec has pcip run, once per process and before the code is run."""
    spec = importlib.util.find_spec(package)
    if spec is not None and package != "pcip_core":
        logging.getLogger(__name__).warning(
            "segmentation.method: the spec runs %s (%s), which is not part of pcip. It can do all that you can do: "
            "run only specs and functions that you trust.",
            package,
            spec.origin,
        )


def least_area(segmentation: Segmentation) -> float | None:
    """The area below which the method leaves out objects, px (`min_area_px`); None if it has no such option.

    >>> least_area(Segmentation("otsu")), least_area(Segmentation("otsu", {"min_area_px": 9})), least_area(
    ...     Segmentation("whole"))
    (400, 9, None)
    """
    name = "min_area_px"
    option = inspect.signature(segmenter(segmentation.method)).parameters.get(name)
    return None if option is None else segmentation.options.get(name, option.default)


def check_segmentation(screen: Screen) -> None:
    """Check the section `segmentation` of a spec: the method, and the names, types and channels of its options.

    Raises:
        SpecError: no such segmenter exists, it has no such option or requires another one, an option has the wrong
            type, or an option `channel` or `channels` names no channel of the screen.
    """
    method, options = screen.segmentation.method, screen.segmentation.options
    function = segmenter(method)

    def refused(found: str, required: str) -> SpecError:
        subject = f"screen {screen.name}, segmentation.options"
        return SpecError(subject, found=found, required=required, remedy="Correct the spec.")

    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return  # a user's compiled function without a signature
    names = list(signature.parameters)[1:]
    any_name = any(parameter.kind is parameter.VAR_KEYWORD for parameter in signature.parameters.values())
    allowed = f"the options of {method}: {', '.join(names) or 'none'}"
    if unknown := [name for name in options if name not in names and not any_name]:
        raise refused(f"the unknown option {shown(unknown[0])}{meant(unknown[0], names)}", allowed)
    try:
        signature.bind({}, **options)
    except TypeError as error:
        raise refused(f"options for {method}: {error}", allowed) from error
    for name, kind in _mistyped(method, options).items():
        raise refused(f"{name} {shown(options[name])}", f"{name} of the type {kind}")
    for name in (options.get("channel"), *(options.get("channels") or ())):
        if isinstance(name, str) and name not in screen.channels:
            like = meant(name, screen.channels)
            raise refused(f"channel {shown(name)}{like}", f"one of the channels {', '.join(screen.channels)}")


def _mistyped(method: str, options: Mapping[str, object]) -> dict[str, str]:
    """Option -> its type, for the options of a method of `METHODS` that have another type."""
    from pydantic import TypeAdapter, ValidationError

    mistyped: dict[str, str] = {}
    hints = typing.get_type_hints(METHODS[method], include_extras=True) if method in METHODS else {}
    for name, hint in hints.items():
        if name not in options:
            continue
        value, kind = options[name], getattr(hint, "__origin__", hint)
        kind = kind if isinstance(kind, type) else hint
        limits = getattr(hint, "__metadata__", ())
        if kind is int and isinstance(value, float):
            hint = typing.Annotated[float, *limits] if limits else float  # a method may take half a pixel
        try:
            TypeAdapter(hint).validate_python(value, strict=isinstance(value, str | bool))
        except ValidationError:
            mistyped[name] = " ".join(
                [getattr(kind, "__name__", str(kind)), *(f"({part})" for part in limits)]
            )
    return mistyped


def checked_labels(labels: object, shape: tuple[int, int], method: str) -> np.ndarray:
    """What a segmenter has returned, if it is a label image of a field of this shape.

    Raises:
        SpecError: it is not.
    """
    problem = None
    if not isinstance(labels, np.ndarray) or labels.dtype.kind not in "iub":
        problem = f"a {getattr(labels, 'dtype', type(labels).__name__)}"
    elif labels.shape != shape:
        problem = f"an array of shape {labels.shape}"
    elif labels.min() < 0 or labels.max() > _LARGEST_LABEL:
        problem = f"labels from {labels.min()} to {labels.max()}"
    if problem is not None:
        raise SpecError(
            f"segmentation.method {method}",
            found=f"{problem} as its result",
            required=f"an array of integers from 0 to {_LARGEST_LABEL}, {shape[0]} x {shape[1]}: 0 is background",
            remedy="Correct the function.",
        )
    return typing.cast(np.ndarray, labels)
