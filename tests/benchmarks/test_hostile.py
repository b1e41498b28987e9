"""Hostile and damaged data, written beside intact data: the intact plate is read, and nothing outside the root is.

`pcip bench faults` runs thousands of these cases; here run those made by hand that take a moment, and some of each kind
at random.
"""

from __future__ import annotations

import pytest

from benchmarks.common.hostile import KINDS, attempt, hand_made, write_case

SLOW = {"a gzip of 4 GiB", "a tag of 40 MB", "a name of 40 MB", "metadata of 40 MB", "100,000 wells"}
READ = {  # cases made by hand that are harmless
    *("a folder in place of a file", "a folder linked within itself"),
    *("a set of files outside the root", "an OME-XML cut in half"),
    *("a name of a folder above", "a name above", "no index but a folder"),
}
AT_RANDOM = 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One folder, so that intact data are written once per kind."""
    return tmp_path_factory.mktemp("hostile") / "case"


@pytest.mark.parametrize("kind", KINDS)
def test_cases_made_by_hand_are_refused_with_a_reason(kind, folder):
    for seed, name in enumerate(hand_made(kind)):
        if name in SLOW:
            continue
        outcome = attempt(kind, seed, folder)
        assert outcome.result == ("read" if name in READ else "refused"), outcome
        assert outcome.result == "read" or "; required: " in outcome.detail, outcome


@pytest.mark.parametrize("kind", KINDS)
def test_cases_at_random_are_read_or_refused(kind, folder):
    for seed in range(1000, 1000 + AT_RANDOM):
        outcome = attempt(kind, seed, folder)
        assert outcome.result in ("read", "refused"), outcome


def test_a_seed_always_gives_the_same_files(tmp_path):
    for kind in KINDS:
        for folder in (tmp_path / "a", tmp_path / "b"):
            write_case(kind, 1234, folder)
        files = [path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file()]
        assert len(files) > 5
        for name in files:
            if name.suffix != ".yaml":
                assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name
