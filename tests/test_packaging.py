"""What is said of the package in several places agrees."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml

from tests.newcomer.sizes import TRAINING

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_change_log_and_the_citation_are_of_this_version() -> None:
    versions = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert versions[0] == citation["version"] == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]


def test_the_page_on_installation_names_the_packages_of_training_and_the_extras() -> None:
    page = (ROOT / "docs" / "how-to" / "install.md").read_text()
    assert f"pip install {' '.join(TRAINING)}\n" in page
    extras = re.findall(r"^\| (`.+?) \|", page.split("| extra |")[1].split("\n\n")[0], re.MULTILINE)
    assert {name.strip("` ") for row in extras for name in row.split(",")} == set(
        PROJECT["optional-dependencies"]
    )


def test_every_page_installs_the_pinned_torch() -> None:
    pinned = re.search(r"^torch==(.+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert pinned
    for page in ("README.md", "docs/how-to/install.md", "Containerfile"):
        assert re.findall(r"torch==([\d.]+)\+cpu", (ROOT / page).read_text()) == [pinned[1]], page


def test_held_back_versions_are_those_of_the_constraints() -> None:
    page = (ROOT / "docs" / "how-to" / "install.md").read_text()
    held = re.findall(r"^\| (\w+) \| ([\d.]+) \|", page, re.MULTILINE)
    pinned = (ROOT / "constraints.txt").read_text().splitlines()
    assert held
    assert [name for name, version in held if f"{name}=={version}" not in pinned] == []
