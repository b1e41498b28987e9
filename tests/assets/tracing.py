"""Which first-party functions each asset really calls, as Python's profiler hears of them."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import CodeType, FrameType

from pcip_assets.lineage import PACKAGES, Part
from pcip_assets.workspace import REPOSITORY

_FOLDERS = tuple(f"{REPOSITORY / package}/" for package in PACKAGES)


class Calls(dict[str, set[Part]]):
    """`module:function` that builds an asset -> the definitions that were called while the asset was made."""

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[CodeType, Part | None] = {}
        self._asset: tuple[str, FrameType] | None = None

    def hear(self, frame: FrameType, event: str, _: object) -> None:
        """For `sys.setprofile`."""
        code = frame.f_code
        if code not in self._known:
            self._known[code] = _definition(code)
        part = self._known[code]
        if part is None:
            return
        if self._asset is None:
            if event == "call" and _is_asset(code, part):
                self._asset = (f"{part.module}:{part.name}", frame)
                self.setdefault(self._asset[0], set())
        elif event == "call":
            self[self._asset[0]].add(part)
        elif event == "return" and frame is self._asset[1]:
            self._asset = None


def _definition(code: CodeType) -> Part | None:
    """The definition of a function's code; None of other packages' and of the bodies of modules and classes."""
    if not code.co_filename.startswith(_FOLDERS) or not code.co_filename.endswith(".py"):
        return None
    name = code.co_qualname.partition(".")[0]
    if not code.co_flags & inspect.CO_OPTIMIZED or name.startswith("<"):
        return None
    path = code.co_filename.removeprefix(f"{REPOSITORY}/").removesuffix(".py").removesuffix("/__init__")
    return Part(path.replace("/", "."), name)


def _is_asset(code: CodeType, part: Part) -> bool:
    within = code.co_qualname.count("<locals>") == 1 and code.co_varnames[:1] == ("context",)
    return within and part.module.startswith("pcip_assets.assets.")


@contextmanager
def traced() -> Iterator[Calls]:
    """Hear of all calls of this thread."""
    calls = Calls()
    sys.setprofile(calls.hear)
    try:
        yield calls
    finally:
        sys.setprofile(None)
