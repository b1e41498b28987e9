"""Hostile specs and tables, drawn by hypothesis, and what pcip does with each.

The examples are the same for the same seed and the same imported modules: hypothesis takes constants from them.

`specs` and `tables` draw; `use_spec` and `use_table` take an example as far as `pcip check` does. An example is
handled well if it is used or ends in a PcipError.
"""

from __future__ import annotations

import copy
import dataclasses
import gzip
import io
import json
import types
import typing
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from pcip_core.crops.shard import cut_shard
from pcip_core.images.layout import scan
from pcip_core.images.localization import annotated_images
from pcip_core.simulate.plan import plan_screen
from pcip_core.spec.loading import load_screen
from pcip_core.spec.screen import Screen
from pcip_core.store.rows import fields_table, images_table, screen_table
from pcip_core.user_tables.table import read_table

BASE: dict[str, Any] = {
    "name": "fuzzed",
    "organism": "yeast",
    "root": "images",
    "channels": {"nucleus": {"role": "structural"}, "protein": {"role": "protein"}},
    "files": {"pattern": "{plate}/{well}_f{field}_{channel}.tif", "image_id": "{plate}_{well}"},
    "shards": {"by": "{plate}"},
    "segmentation": {"method": "otsu", "options": {"channel": "nucleus", "min_area_px": 40}},
    "crops": {"window_px": 32, "size_px": 16, "min_cells": 2},
}
"""A valid spec. Its images are those of `tests.conftest.write_tiny_screen`, in the folder `images` beside it."""

_OPTIONS = [
    f"segmentation.options.{name}" for name in ("channel", "min_area_px", "smooth_px", "scale", "diameter_px")
]
_METHODS = (
    "otsu",
    "nuclei",
    "yeast_cytosol",
    "yeast_brightfield",
    "yeast_nuclear_pore",
    "labels",
    "centres",
    "whole",
)
_LAYOUTS = ("pattern", "opera", "ome_tiff", "ome_zarr", "hdf5", "manifest")
_TEXTS = (
    *(
        "",
        " ",
        "x",
        "protein",
        "nucleus",
        "plate_1",
        "2024-02-30",
        "yes",
        "NO",
        "0x10",
        "010",
        "1:30",
        "1e9",
        "~",
        "<<",
    ),
    *(
        "*" * 60,
        "*a" * 60,
        "**/" * 60,
        "{plate}" * 60,
        "{a}{b}{c}{d}" * 20,
        "{a:d}" * 40,
        "{plate}/*",
        "{",
        "}",
        "{}",
    ),
    *(
        "{plate:>2000000000}",
        "{plate!r}",
        "{plate.__class__}",
        "{plate[0]}",
        "{1}",
        "{plate}_{well}",
        "{channel}",
    ),
    *(
        "{plate}/{plate}_{well}_{channel}.tif",
        "{x}_{x}_{channel}.tif",
        "images.csv",
        "../images",
        "/dev/zero",
        "/dev/null",
    ),
    *(
        "a" * 300,
        "a/" * 3000,
        "~nobody_here/x",
        "\x00",
        "\x1b[31m",
        "é" * 200,
        "\U0001f600",
        "9" * 5000,
        "1" + "0" * 400,
    ),
    *("cpu", "cuda:99", "inpainting_conv3", "'x' IN localization", "labels", "localization"),
)
_NUMBERS = (
    *(0, 1, 2, 3, -1, 4, 16, 17, 31, 64, 100_000, 10**9, 2**31, 2**32, 2**63, 10**30, -(10**18)),
    *(0.0, 0.5, 1.0, 1.5, -0.5, 1e-300, 1e300, float("inf"), float("-inf"), float("nan")),
)
_SCALARS = st.one_of(
    st.sampled_from(_TEXTS),
    st.sampled_from(_NUMBERS),
    st.booleans(),
    st.none(),
    st.text(max_size=20),
    st.integers(),
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_SCALARS, inner, max_size=4),
    max_leaves=8,
)
_CELLS = st.sampled_from(
    (
        *(
            "",
            " ",
            "A01",
            "A1",
            "plate_1",
            "plate_1_A01",
            "AAC1",
            "µ",
            "日本",
            '"',
            '""',
            '5" plate',
            "a,b",
            "a;b",
        ),
        *("a\nb", "1-Sep", "1.00E+05", "1,234", "0,5", "NA", "#x", "=1+1", "\r", "\x00", "\ufeff"),
        *("x" * 200_000, '"' * 70_000),
    )
)
_HEADERS = st.sampled_from(
    ("image_id", "plate", "well", "Metadata_Well", "protein", "gene", "localization", "", "gene ", "n" * 2000)
)


def specs(number: int, count: int) -> list[bytes]:
    """Specs in YAML: the valid one with up to four changes, and texts that are hostile to a reader of YAML."""
    return _drawn(_mutated() | _hostile_yaml(), number, count)


def tables(number: int, count: int) -> list[tuple[str, bytes]]:
    """Names and bytes of tables: text in some encoding, packed or not, damaged or not."""
    return _drawn(_table(), number, count)


def use_spec(path: Path) -> None:
    """Do with a spec what `pcip check` and the first asset do, for one field.

    Raises:
        PcipError: the spec, or what it names, cannot be used.
    """
    screen = load_screen(path)
    json.dumps(screen.resolved())
    screen_table(screen)
    if screen.simulation is not None:
        plan_screen(screen.simulation)
        return
    layout = scan(screen)
    annotated = annotated_images(screen, layout.fields)
    images_table(annotated.records)
    annotated.problems()
    sample = layout.of_shard(layout.shards()[0])[:1]
    fields_table(
        screen, [(field, "hash", (2, 2)) for field in sample if len(field.files) == len(screen.channels)]
    )
    cut_shard(screen, sample)


def use_table(path: Path) -> None:
    """Read a table as pcip reads those that users give.

    Raises:
        PcipError: it cannot be read.
    """
    read_table(path).to_dicts()


def _drawn(strategy: st.SearchStrategy[Any], number: int, count: int) -> list[Any]:
    """The first examples of a strategy for a seed."""
    examples: list[Any] = []

    @seed(number)
    @settings(
        max_examples=count,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def draw(example: Any) -> None:
        examples.append(example)

    draw()
    return examples[:count]


def _keys(section: type, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Every key of a spec, with dots, and its type."""
    for name, hint in typing.get_type_hints(section).items():
        if name == "__pydantic_config__":
            continue
        yield prefix + name, hint
        for kind in typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,):
            if dataclasses.is_dataclass(kind):
                yield from _keys(typing.cast(type, kind), f"{prefix}{name}.")


def _fitting(hint: object) -> st.SearchStrategy[Any]:
    """Values of about the type of a key, so that many specs get past the reader."""
    text = str(hint)
    numbers = st.sampled_from(_NUMBERS) | st.integers(0, 100) | st.floats(0, 1)
    if text.startswith(("tuple", "dict", "typing.Mapping", "collections.abc.Mapping")):
        inner = numbers if "int" in text or "float" in text else st.sampled_from(_TEXTS)
        if text.startswith("tuple"):
            return st.lists(inner, max_size=3)
        return st.dictionaries(st.sampled_from(_TEXTS), inner, max_size=3)
    if "int" in text or "float" in text:
        return numbers
    return st.sampled_from(_TEXTS) if "str" in text or "Literal" in text else _VALUES


_KEYS: dict[str, object] = {
    **{key: hint for key, hint in _keys(Screen) if key != "segmentation.method"},  # a method may be any code
    **dict.fromkeys(
        ("channels.nucleus.plane", "crops.floor.nucleus", "analyses.clusters.heights.ward"), float
    ),
    **dict.fromkeys(("channels.nucleus.role", "channels.nucleus.named", "channels.protein.dtype"), str),
    **dict.fromkeys(
        ("files.only.plate", "files.only.field", "images.values.protein", "images.values.shard"), str
    ),
    **dict.fromkeys(
        ("images.values.well", "analyses.clusters.within.a", "files.image_id", "files.pattern"), str
    ),
    **dict.fromkeys(_OPTIONS, float),
}


@st.composite
def _mutated(draw: st.DrawFn) -> bytes:
    """The valid spec with some keys set to other values, or removed."""
    spec = copy.deepcopy(BASE)
    if draw(st.integers(0, 2)) == 0:
        spec["segmentation"] = {"method": draw(st.sampled_from(_METHODS)), "options": {"channel": "nucleus"}}
    if draw(st.integers(0, 7)) == 0:
        spec["files"] = {"layout": draw(st.sampled_from(_LAYOUTS)), "image_id": "{plate}_{well}"}
        spec["files"] |= draw(
            st.sampled_from(({}, {"table": "images.csv"}, {"pattern": BASE["files"]["pattern"]}))
        )
    for _ in range(draw(st.integers(1, 3))):
        key = draw(st.sampled_from(sorted(_KEYS)))
        *path, last = key.split(".")
        section: Any = spec
        for name in path:
            if not isinstance(section.get(name), dict):
                section[name] = {"organism": "human"} if name == "simulation" else {}
            section = section[name]
        if draw(st.integers(0, 9)) == 0:
            section.pop(last, None)
        else:
            section[last] = draw(_fitting(_KEYS[key]) if draw(st.integers(0, 4)) else _VALUES)
    return yaml.safe_dump(spec, allow_unicode=draw(st.booleans())).encode("utf-8", "surrogatepass")


@st.composite
def _hostile_yaml(draw: st.DrawFn) -> bytes:
    """The valid spec with a text that is hostile to a reader of YAML, or with some bytes changed."""
    text = yaml.safe_dump(BASE)
    depth, width = draw(st.integers(1, 3000)), draw(st.integers(2, 12))
    anchors = "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * width)}]\n" for i in range(1, 12))
    merges = "".join(f"m{i}: &m{i} {{<<: [{', '.join([f'*m{i - 1}'] * width)}]}}\n" for i in range(1, 12))
    hostile = [
        f"description: {'[' * depth}{']' * depth}\n",
        "x: " + "{a: " * depth + "1" + "}" * depth + "\n",
        f"encoder: {{epochs: {'9' * depth}}}\n",
        f"a0: &a0 [x, y]\n{anchors}",
        f"m0: &m0 {{x: 1, y: 2}}\n{merges}",
        "description: &d [*d]\n",
        "description: !!python/object/apply:os.system [echo]\n",
        "description: !!timestamp 2024-02-30\n",
        "2024-02-30: x\n",
        '"\\0": x\n',
        "? [a, b]\n: x\n",
        "name: again\n",
        f"description: {'x' * (depth * 1000)}\n",
        "--- x\n",
        "- " * depth + "x\n",
    ]
    data = (text + draw(st.sampled_from(hostile))).encode()
    if draw(st.booleans()):
        data = bytearray(text.encode())
        for _ in range(draw(st.integers(1, 8))):
            data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data)


@st.composite
def _table(draw: st.DrawFn) -> tuple[str, bytes]:
    """A small table as text, written without regard to quotation marks, in some encoding, packed or damaged."""
    separator = draw(st.sampled_from((",", ";", "\t", "|")))
    newline = draw(st.sampled_from(("\n", "\r\n", "\r")))
    header = draw(st.lists(_HEADERS, min_size=1, max_size=5))
    rows = draw(st.lists(st.lists(_CELLS | st.text(max_size=8), max_size=6), max_size=6))
    text = newline.join(separator.join(row) for row in [header, *rows])
    encoding = draw(
        st.sampled_from(("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "latin-1", "cp1252"))
    )
    data = bytearray(text.encode(encoding, "replace"))
    if data and draw(st.booleans()):
        for _ in range(draw(st.integers(1, 4))):
            data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    suffix = draw(st.sampled_from((".csv", ".csv", ".tsv", ".csv.gz", ".zip", ".xlsx", ".parquet", ".xls")))
    packed = bytes(data)
    if suffix == ".csv.gz":
        packed = gzip.compress(packed, mtime=0)
    elif suffix == ".zip":
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr(zipfile.ZipInfo("table.csv"), packed)  # the time of which is fixed
        packed = file.getvalue()
    end = draw(st.integers(0, 9))
    return f"table{suffix}", packed[: len(packed) * end // 9] if end else packed
