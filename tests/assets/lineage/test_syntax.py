"""What counts in the version of small code: constants, imports, methods, data; and what does not."""

from __future__ import annotations

import pytest

from pcip_assets.lineage.version import Code, code_version

SMALL = {
    "pcip_assets/build.py": (
        "import dagster as dg\n"
        "from pcip_core import shapes as forms\n"
        "from pcip_core.again import twice\n"
        "from scipy.stats import norm\n\n\n"
        "def build_noun(name, n=1):\n"
        "    @dg.asset(key=[name, 'noun'])\n"
        "    def noun():\n"
        "        if n == 1:\n"
        "            from pcip_core.inside import inner\n"
        "        else:\n"
        "            from pcip_core.instead import inner\n"
        "        return inner(forms.area(n), norm)\n"
        "    return noun\n\n\n"
        "def build_other(name):\n    return _shared(name, twice)\n\n\n"
        "def _shared(name, work):\n    return work(name)\n"
    ),
    "pcip_core/shapes.py": (
        "SIDE = 2\nUNUSED = 3\n_LOOKUP = {}\n_LOOKUP['a'] = 4\n\n\n"
        "def area(n):\n    return n * SIDE + _LOOKUP['a']\n\n\n"
        "def unused():\n    return area(1)\n"
    ),
    "pcip_core/again.py": "from pcip_core.inside import inner as twice\n",
    "pcip_core/inside.py": (
        "from pathlib import Path\n\nprint('bare')\n\n\n"
        "def inner(x, y=0):\n    return Path(__file__).with_name('numbers.csv').read_text() + helper(x)\n\n\n"
        "def helper(x):\n    return inner(x) if x else Class().method()\n\n\n"
        "class Class:\n    def method(self):\n        return 5\n"
    ),
    "pcip_core/instead.py": "def inner(x, y):\n    return 7\n",
    "pcip_core/numbers.csv": "1,2\n",
    "pcip_core/shapes_of_old.py": "SIDE = 2\n",
}


@pytest.mark.parametrize(
    ("path", "old", "new", "noun", "other"),
    [
        pytest.param("pcip_core/shapes.py", "SIDE = 2", "SIDE = 3", True, False, id="constant"),
        pytest.param("pcip_core/shapes.py", "UNUSED = 3", "UNUSED = 4", False, False, id="unused constant"),
        pytest.param("pcip_core/shapes.py", "area(1)", "area(2)", False, False, id="unused function"),
        pytest.param("pcip_core/shapes.py", "= 4", "= 5", True, False, id="value set later"),
        pytest.param("pcip_core/instead.py", "7", "8", True, False, id="the other of two imports"),
        pytest.param("pcip_core/inside.py", "return 5", "return 6", True, True, id="method"),
        pytest.param("pcip_core/inside.py", "'bare'", "'other'", True, True, id="bare statement"),
        pytest.param("pcip_core/inside.py", "y=0", "y=1", True, True, id="default"),
        pytest.param("pcip_core/numbers.csv", "2", "3", True, True, id="data"),
        pytest.param("pcip_assets/build.py", "'noun'", "'key'", False, False, id="decorator of Dagster"),
        pytest.param("pcip_assets/build.py", "scipy.stats", "torch", True, False, id="another package"),
        pytest.param("pcip_assets/build.py", "work(name)", "work(1)", False, True, id="shared factory"),
        pytest.param(
            "pcip_assets/build.py", "import shapes as", "import shapes_of_old as", None, False, id="gone"
        ),
    ],
)
def test_what_counts(path: str, old: str, new: str, noun: object, other: object) -> None:
    before, after = Code(SMALL), Code({**SMALL, path: SMALL[path].replace(old, new)})
    for root, changes in (
        ("build_noun", noun),
        ("build_other", other),
        ("_shared", other),  # which counts with its callers: they hand a function to it
    ):
        root = f"pcip_assets.build:{root}"
        if changes is None:
            with pytest.raises(LookupError, match="shapes_of_old has no area"):
                after.version(root)
        else:
            assert (before.version(root) != after.version(root)) == changes, root


def test_swapping_two_imported_functions_changes_the_version() -> None:
    text = "from pcip_core.m import {}\n\n\ndef build():\n    return first(1) - second(2)\n"
    functions = {"pcip_core/m.py": "def f(x):\n    return x\n\n\ndef g(x):\n    return -x\n"}
    versions = {
        Code({**functions, "pcip_assets/a.py": text.format(names)}).version("pcip_assets.a:build")
        for names in ("f as first, g as second", "g as first, f as second", "f as first, f as second")
    }
    assert len(versions) == 3


def test_code_of_others_has_no_version() -> None:
    with pytest.raises(LookupError, match="no module of pcip_core or pcip or pcip_assets"):
        code_version(test_code_of_others_has_no_version)


def test_relative_imports_are_refused() -> None:
    with pytest.raises(LookupError, match="a relative import"):
        Code({"pcip_core/a.py": "from . import b\n\n\ndef build():\n    return b\n"}).version(
            "pcip_core.a:build"
        )
