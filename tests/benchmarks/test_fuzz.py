"""Hostile specs and tables end in a PcipError or are used. `pcip bench faults` tries many more of them."""

from __future__ import annotations

from collections import Counter

import yaml

from benchmarks.common.fuzz import BASE, specs, tables, use_spec, use_table
from pcip_core.errors import PcipError
from tests.conftest import write_tiny_screen


def test_hostile_specs_are_used_or_refused(tmp_path):
    write_tiny_screen(tmp_path, plates=1, images=1)
    path = tmp_path / "spec.yaml"
    outcomes: Counter[str] = Counter()
    for data in [yaml.safe_dump(BASE).encode(), *specs(0, 80)]:
        path.write_bytes(data)
        try:
            use_spec(path)
            outcomes["used"] += 1
        except PcipError:
            outcomes["refused"] += 1
    assert outcomes.total() == 81
    assert (
        outcomes["used"] > 0
    )  # the first at least: hypothesis draws from constants of the loaded modules too


def test_hostile_tables_are_read_or_refused(tmp_path):
    outcomes: Counter[str] = Counter()
    for name, data in tables(0, 80):
        (tmp_path / name).write_bytes(data)
        try:
            use_table(tmp_path / name)
            outcomes["used"] += 1
        except PcipError:
            outcomes["refused"] += 1
    assert outcomes.total() == 80
    assert outcomes["used"] > 5


def test_a_seed_gives_the_same_examples():
    assert specs(1, 10) == specs(1, 10) != specs(2, 10)
    assert tables(1, 10) == tables(1, 10)
