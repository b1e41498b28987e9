"""Which first-party functions each asset really calls, as Python's profiler hears of them."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import CodeType, FrameType

from pcip_assets.lineage.syntax import PACKAGES
from pcip_assets.lineage.version import DECIDES_NOTHING, Part
from pcip_assets.workspace import REPOSITORY

_FOLDERS = tuple(f"{REPOSITORY / package}/" for package in PACKAGES)


class Calls(dict[str, set[Part]]):
    """`module:function` that builds an asset -> the definitions that were called while the asset was made.

    What a module in `DECIDES_NOTHING` calls of pcip_core on its own account is left out, as is what this calls.
    """

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[CodeType, Part | None] = {}
        self._asset: tuple[str, FrameType] | None = None
        self._left_out: FrameType | None = None

    def hear(self, frame: FrameType, event: str, _: object) -> None:
        """For `sys.setprofile`."""
        code = frame.f_code
        if code not in self._known:
            self._known[code] = _definition(code)
        part = self._known[code]
        if part is None:
            return
        if self._asset is None:
            if event == "call" and code.co_qualname == _MATERIALIZED:
                function = frame.f_locals["recipe"].function
                self._asset = (f"{function.__module__}:{function.__qualname__.partition('.')[0]}", frame)
                self.setdefault(self._asset[0], set())
        elif event == "call":
            if (
                self._left_out is None
                and part.module.startswith("pcip_core.")
                and self._is_aside(frame.f_back)
            ):
                self._left_out = frame
            if self._left_out is None:
                self[self._asset[0]].add(part)
        elif event == "return" and frame is self._left_out:
            self._left_out = None
        elif event == "return" and frame is self._asset[1]:
            self._asset = None

    def _is_aside(self, frame: FrameType | None) -> bool:
        """Whether the nearest first-party caller decides nothing."""
        while frame is not None:
            if caller := self._known.get(frame.f_code):
                return caller.module.startswith(DECIDES_NOTHING)
            frame = frame.f_back
        return False


_MATERIALIZED = (
    "asset.<locals>.decorate.<locals>.materialized"  # in the skeleton, around each asset's function
)


def _definition(code: CodeType) -> Part | None:
    """The definition of a function's code; None of other packages' and of the bodies of modules and classes."""
    if not code.co_filename.startswith(_FOLDERS) or not code.co_filename.endswith(".py"):
        return None
    name = code.co_qualname.partition(".")[0]
    if not code.co_flags & inspect.CO_OPTIMIZED or name.startswith("<"):
        return None
    path = code.co_filename.removeprefix(f"{REPOSITORY}/").removesuffix(".py").removesuffix("/__init__")
    return Part(path.replace("/", "."), name)


@contextmanager
def traced() -> Iterator[Calls]:
    """Hear of all calls of this thread."""
    calls = Calls()
    sys.setprofile(calls.hear)
    try:
        yield calls
    finally:
        sys.setprofile(None)
