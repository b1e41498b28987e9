"""YAML of users: plain values, and an error within moments for what would take much time or memory."""

from __future__ import annotations

import math

import pytest
import yaml

from pcip_core.errors import SpecError
from pcip_core.spec.reading import read_yaml

WIDE = ", ".join
BOMB = "a0: &a0 [x, y]\n" + "".join(f"a{i}: &a{i} [{WIDE([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 20))
MERGES = "m0: &m0 {x: 1, y: 2}\n" + "".join(
    f"m{i}: &m{i} {{<<: [{WIDE([f'*m{i - 1}'] * 9)}]}}\n" for i in range(1, 20)
)


def read(tmp_path, data: str | bytes):
    path = tmp_path / "file.yaml"
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return read_yaml(path, "a screen spec")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("x: " + "[" * 3000 + "]" * 3000, "more than 40 levels in line 1"),
        ("\n".join(" " * i + "a:" for i in range(1200)), "in line 39"),
        ("[" * 900_000, "more than 40 levels"),
        ("? " * 400_000, "more than 40 levels"),
        (BOMB, "aliases or lists that stand for too much"),
        (MERGES, "aliases or lists that stand for too much"),
        ("- &a0 [x]\n" + "".join(f"- &a{i} [*a{i - 1}]\n" for i in range(1, 9000)), "stand for too much"),
        ("a: &a [*a]", "stand for too much"),
        ("a: [" + "1," * 400_000 + "]", "stand for too much"),
        ("a: *b", "undefined alias"),
        ("a: !!python/object/apply:os.system [echo]", "the tag 'tag:yaml.org,2002:python"),
        ("a: !!timestamp 2024-02-30", "the tag 'tag:yaml.org,2002:timestamp'"),
        ('a: "x\\0y"', r"the character '\\x00'"),
        ('a: "\\e[31m"', r"the character '\\x1b'"),
        ('a: "\\ud800"', "not YAML"),
        ("a: " + "9" * 20_000, "a text of 20000 characters"),
        ("x" * 1_000_001, "more than 1 MB"),
        ("a: é".encode("latin-1"), "bytes that are not UTF-8"),
        ("a: 1\na: 2", r"the key 'a' is given twice"),
        ("{[1]: 2}", "unhashable key"),
        ("--- a\n--- b\n", "single document"),
        ("a: <<", "not YAML"),
    ],
)
def test_what_is_refused_says_why(tmp_path, data, message):
    with pytest.raises(SpecError, match=rf"file\.yaml: found [\s\S]*{message}[\s\S]*; required: "):
        read(tmp_path, data)


def test_values_are_those_of_yaml_1_2(tmp_path):
    text = "[1, -2, 0.5, 1e-4, 1e9, 010, 1:30, 0x10, 1_000, yes, NO, true, False, ~, null, 2024-02-30, .inf, 'q', +.5]"
    expected = [1, -2, 0.5, 1e-4, 1e9, "010", "1:30", "0x10", "1_000", "yes", "NO", True, False, None, None]
    assert read(tmp_path, text) == [*expected, "2024-02-30", math.inf, "q", 0.5]
    assert math.isnan(read(tmp_path, ".nan"))
    assert read(tmp_path, b"\xef\xbb\xbfa: 1") == {"a": 1}
    assert read(tmp_path, "a: " + "9" * 5000) == {"a": "9" * 5000}


def test_aliases_and_merged_keys_are_what_pyyaml_makes_of_them(tmp_path):
    text = "a: &a {x: 1, y: [2, 3]}\nb: {<<: *a, x: 4}\nc: [*a, *a]\n"
    assert read(tmp_path, text) == yaml.safe_load(text)


def test_a_folder_and_a_name_that_is_too_long_are_no_files(tmp_path):
    for path in (tmp_path, tmp_path / ("a" * 300)):
        with pytest.raises(SpecError, match="no such file"):
            read_yaml(path, "a screen spec")
