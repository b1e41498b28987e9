"""What installed packages take on the disk: those of training alone, and all that pcip depends on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import Distribution, distributions

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

TRAINING = ("torch", "numpy", "safetensors", "scikit-image")
"""What training and extraction on a machine without the platform need."""


def print_sizes(path: Sequence[str], python: str) -> None:
    """Print the sizes of the packages in these folders of modules, for a version of Python as `3.11`."""
    installed = {
        canonicalize_name(each.name): each for each in reversed(list(distributions(path=list(path))))
    }
    for title, names in (
        ("torch and what it needs", ["torch"]),
        (f"training: {', '.join(TRAINING)}, and what they need", TRAINING),
        ("pcip and all that it needs", ["pcip"]),
    ):
        needed = closure(names, installed, python)
        total = sum(size(installed[name]) for name in needed)
        print(f"installed: {title}: {len(needed)} packages, {total / 1e9:.2f} GB")


def closure(names: Iterable[str], installed: Mapping[str, Distribution], python: str) -> set[str]:
    """Packages, and the installed ones that they need."""
    place = {"extra": "", "python_version": python, "python_full_version": f"{python}.0"}
    waiting, needed = [canonicalize_name(name) for name in names], set[str]()
    while waiting:
        name = waiting.pop()
        if name in needed or name not in installed:
            continue
        needed.add(name)
        for text in installed[name].requires or []:
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate(place):
                waiting.append(canonicalize_name(requirement.name))
    return needed


def size(distribution: Distribution) -> int:
    """Bytes of the files that a package has installed."""
    paths = [distribution.locate_file(file) for file in distribution.files or []]
    return sum(path.stat().st_size for path in paths if path.is_file())  # type: ignore[attr-defined]
