"""The specs in the documentation load, and the table of docs/reference/spec.md names every key."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
import yaml

from pcip_core.spec.analyses import Analyses, Clustering, GeneOntology, Phenotyping
from pcip_core.spec.baselines import Baselines
from pcip_core.spec.features import FeatureSet
from pcip_core.spec.loading import load_screen
from pcip_core.spec.screen import Channel, Files, Illumination, Images, Quality
from pcip_core.spec.training import Augmentation, EncoderConfig

DOCS = Path(__file__).resolve().parents[3] / "docs"
PAGE = (DOCS / "reference" / "spec.md").read_text()
CELLS = (DOCS / "how-to" / "bring-your-own-cells.md").read_text()
BLOCKS = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE + CELLS, re.DOTALL)]
LAYOUTS = [block for block in BLOCKS if "files" in block]
EXAMPLES = ("how-to/bring-a-screen.md", "tutorial/first-screen.md")


@pytest.mark.parametrize("block", LAYOUTS, ids=lambda block: block["files"].get("layout", "pattern"))
def test_a_short_spec_loads(tmp_path, block):
    marker = next(name for name, channel in block["channels"].items() if channel["role"] == "structural")
    rest = {
        "segmentation": {"method": "otsu", "options": {"channel": marker}},
        "crops": {"window_px": 64},
        "shards": {"by": "{plate}"},
    }
    spec = {"name": "mine", "organism": "x"} | rest | block
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(spec))
    assert load_screen(path).files.layout == block["files"].get("layout", "pattern")


@pytest.mark.parametrize("page", EXAMPLES)
def test_the_example_of_a_page_loads(tmp_path, page):
    text = (DOCS / page).read_text()
    (example,) = [block for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL) if "name:" in block]
    path = tmp_path / "my_screen.yaml"
    path.write_text(example)
    assert load_screen(path).name == "my_screen"


def test_every_layout_has_a_short_spec():
    known = {block["files"].get("layout", "pattern") for block in LAYOUTS}
    assert known == set(get_args(get_type_hints(Files)["layout"]))


@pytest.mark.parametrize(
    ("section", "of"),
    [
        ("channels.<name>", Channel),
        ("files", Files),
        ("images", Images),
        ("illumination", Illumination),
        ("quality", Quality),
    ],
)
def test_every_key_is_in_the_table(section, of):
    for key in dataclasses.fields(of):
        assert f"`{section}.{key.name}`" in PAGE


def test_every_key_of_the_encoder_is_in_its_rows():
    rows = "\n".join(line for line in PAGE.splitlines() if line.startswith("| `encoder."))
    for key in (*dataclasses.fields(EncoderConfig), *dataclasses.fields(Augmentation)):
        assert re.search(rf"[` .]{key.name}[` ]", rows), key.name


def test_every_key_of_the_features_is_in_their_rows():
    rows = "\n".join(line for line in PAGE.splitlines() if line.startswith("| `features."))
    for key in dataclasses.fields(FeatureSet):
        assert re.search(rf"`(features\.<name>\.)?{key.name}`", rows), key.name


def test_every_key_of_the_baselines_is_in_their_rows():
    rows = "\n".join(line for line in PAGE.splitlines() if line.startswith("| `baselines."))
    for key in dataclasses.fields(Baselines):
        assert re.search(rf"`(baselines\.)?{key.name}`", rows), key.name


@pytest.mark.parametrize(
    ("section", "of"),
    [("clusters", Clustering), ("phenotypes", Phenotyping), ("ontology", GeneOntology), ("", Analyses)],
)
def test_every_key_of_the_analyses_is_in_their_rows(section, of):
    rows = "\n".join(line for line in PAGE.splitlines() if line.startswith(f"| `analyses.{section}"))
    for key in dataclasses.fields(of):
        assert re.search(rf"`(analyses\.)?{key.name}`", rows), key.name
