"""Invalid specs are refused with the key at fault; valid specs have all defaults filled in."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator

import pytest

from pcip_core.errors import RootError, SpecError
from pcip_core.images.layout import scan
from pcip_core.spec.loading import load_screen
from pcip_core.spec.recipes import RECIPES
from pcip_core.spec.screen import Screen
from pcip_core.spec.templates import TEMPLATES
from pcip_core.spec.training import Augmentation, EncoderConfig
from tests.conftest import TINY_SPEC, write_spec


def test_every_shipped_spec_loads():
    names = {load_screen(path).name for path in TEMPLATES.values()}
    assert names == set(TEMPLATES) >= {"simulated_human", "yeast_cells"}


def test_roles_and_defaults(tiny_spec):
    screen = load_screen(tiny_spec)
    assert (screen.structural, screen.protein) == (("nucleus",), ("protein",))
    assert screen.encoder.beta1 == 0.5  # the authors' value, which the file does not set
    assert screen.resolved()["crops"]["window_px"] == 32


def test_a_recipe_gives_defaults_that_the_spec_replaces(tmp_path):
    def encoder(name: str, **keys: object) -> EncoderConfig:
        return load_screen(write_spec(tmp_path, name=name, encoder=keys)).encoder

    assert encoder("paper", recipe="paper", epochs=3) == EncoderConfig(epochs=3)
    agreement = encoder("agreement", recipe="agreement", batch_size=7)
    settings = RECIPES["agreement"] | {
        "batch_size": 7,
        "augment": Augmentation(**RECIPES["agreement"]["augment"]),
    }
    assert agreement == EncoderConfig(**settings)
    assert agreement.task == "agreement"
    small = encoder("small", recipe="small_screen", start="simulated_human")
    assert (small.start, small.epochs, small.width) == (
        "simulated_human",
        RECIPES["small_screen"]["epochs"],
        0.25,
    )


VGG16 = {"sets": ["vgg16"]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"chanels": {}}, "unknown key `chanels`"),
        ({"yardsticks": {"sets": ["classic"]}}, "Rename `yardsticks:` to `baselines:` in the spec"),
        ({"crops": {"window_px": 32, "sise_px": 16}}, "unknown key `crops.sise_px`"),
        (
            {"encoder": {"epoch": 3}},
            "unknown key `encoder.epoch`, which may mean epochs; required: the keys epochs, batch_",
        ),
        ({"encoder": {"recipe": "best"}}, "encoder.recipe 'best'; required: one of paper, agreement"),
        ({"encoder": {"recipe": ["paper"]}}, "encoder.recipe ['paper']"),
        ({"encoder": {"task": "guessing"}}, "`encoder.task"),
        ({"encoder": {"task": {"agreement": 0}}}, "a task with a weight above 0"),
        ({"encoder": {"start": "photographs"}}, "`encoder.start"),
        ({"encoder": {"start": "simulated_human"}}, "required: for a start: {'width': 0.25"),
        ({"channels": {"nucleus": {"role": "structural"}}}, "no channel with `role: protein`"),
        ({"channels": {"protein": {"role": "protein"}}}, "no channel with `role: structural`"),
        ({"channels": {"a": {"role": "nucleus"}}}, "channels.a.role"),
        ({"name": "main"}, "name 'main'"),
        ({"name": "Two words"}, "name 'Two words'"),
        ({"files": {"pattern": "{well}.tif", "image_id": "{well}"}}, "a part {channel}"),
        ({"files": {"pattern": "{well}_{channel}.tif", "image_id": "{plate}"}}, "names {plate}"),
        ({"shards": {}}, "shards"),
        ({"crops": {"window_px": 32, "size_px": 30}}, "crops.size_px 30"),
        ({"crops": {"window_px": 32, "floor": {"dna": 0.05}}}, "names channel 'dna'"),
        ({"organism": None}, "organism"),
        ({"baselines": {"mask": "dna"}}, "baselines.mask 'dna'"),
        ({"baselines": {"sets": ["vgg16"]}}, "vgg16 in baselines.sets"),
        ({"baselines": {"vgg16": {"weights": "a.h5"}}}, "vgg16 in baselines.sets"),
        ({"baselines": VGG16 | {"vgg16": {"weights": "a.h5", "strategies": ["rgb"]}}}, "colours in rgb"),
        (
            {
                "baselines": VGG16
                | {"vgg16": {"weights": "a.h5", "strategies": ["rgb"], "rgb": {"red": "dna"}}}
            },
            "baselines.vgg16.rgb {'red': 'dna'}",
        ),
        ({"baselines": {"held_fraction": 1.0}}, "baselines.held_fraction 1.0"),
        ({"baselines": {"controls": "P1"}}, "without whitened"),
        ({"analyses": {"phenotypes": {"protein": ["P1"]}}}, "unknown key `analyses.phenotypes.protein`"),
        ({"analyses": {"phenotypes": {"least_cells": 2}}}, "analyses.phenotypes.least_cells 2"),
        ({"analyses": {"phenotypes": {"most_variable": 0}}}, "analyses.phenotypes.most_variable 0"),
        ({"analyses": {"phenotypes": {"clusters": 21}}}, "analyses.phenotypes.clusters 21"),
        ({"analyses": {"phenotypes": {"most": 1}}}, "analyses.phenotypes.most 1"),
        ({"analyses": {"clusters": {"heights": {"average": 1.0}}}}, "analyses.clusters.heights of average"),
        ({"analyses": {"annotations": {"go": "terms.csv"}}}, "analyses.annotations named go"),
        ({"baselines": {"supervised": {"epoch": 3}}}, "unknown key `baselines.supervised.epoch`"),
        (
            {"baselines": {"supervised": {"epochs": 0}}},
            "baselines.supervised.epochs 0; required: 1 to 1,000,000",
        ),
        ({"encoder": {"epochs": -1}}, "encoder.epochs -1; required: 0 to 1,000,000"),
        ({"encoder": {"preview_every": 0}}, "encoder.preview_every 0"),
        ({"encoder": {"hardest_of": 0}}, "encoder.hardest_of 0; required: 1 to 1,000"),
        ({"encoder": {"hardest_of": 1001}}, "encoder.hardest_of 1001; required: 1 to 1,000"),
        ({"encoder": {"hardest_of": 1.5}}, "encoder.hardest_of 1.5; required: a whole number, 1 to 1,000"),
        ({"encoder": {"hardest_of": "four"}}, "encoder.hardest_of 'four'; required: a whole number, 1 to"),
        ({"encoder": {"hardest_of": None}}, "encoder.hardest_of None; required: a whole number, 1 to 1,000"),
        ({"encoder": {"hardest_of": True}}, "encoder.hardest_of True; required: a whole number, 1 to 1,000"),
        ({"encoder": {"width": True}}, "encoder.width True; required: a number, more than 0, at most 8"),
        ({"encoder": {"width": [1]}}, "encoder.width a list of 1; required: a number, more than 0"),
        ({"encoder": {"width": float("nan")}}, "encoder.width nan; required: more than 0"),
        ({"encoder": {"width": float("inf")}}, "encoder.width inf"),
        ({"encoder": {"learning_rate": 0}}, "encoder.learning_rate 0; required: more than 0, at most 100"),
        ({"encoder": {"beta1": 1.0}}, "encoder.beta1 1.0"),
        ({"encoder": {"memory_fraction": 1.1}}, "encoder.memory_fraction 1.1"),
        ({"encoder": {"schedule": "linear"}}, "`encoder.schedule`: input should be 'constant' or 'cosine'"),
        ({"encoder": {"warm_up": 1}}, "encoder.warm_up 1; required: 0 or more, less than 1"),
        ({"encoder": {"projector": 1}}, "encoder.projector 1; required: 2 to 8,192"),
        ({"encoder": {"augment": {"turn": True}}}, "unknown key `encoder.augment.turn`"),
        ({"encoder": {"augment": {"scale": 2}}}, "encoder.augment.scale 2; required: 0 to 1"),
        ({"encoder": {"stages": 4}}, "`encoder.stages`: input should be 5, 6 or 7"),
        (
            {"encoder": {"pairs": "any"}},
            "`encoder.pairs`: input should be 'same_image', 'same_protein' or 'mixed'",
        ),
        (
            {"encoder": {"stages": 7}, "crops": {"window_px": 64, "size_px": 72}},
            "crops.size_px 72; required: a multiple of 16 (see encoder.stages)",
        ),
        ({"encoder": [1]}, "`encoder`: input should be a dictionary; required"),
        ({"benchmark": {"ks": [0, 1]}}, "benchmark.ks.0 0; required: 1 to 10,000"),
        ({"benchmark": {"ks": []}}, "benchmark.ks []"),
        ({"benchmark": {"protocols": []}}, "benchmark.protocols"),
        ({"baselines": {"folds": 1}}, "baselines.folds 1; required: 2 to 100"),
        ({"baselines": {"trees": 0}}, "baselines.trees 0"),
        ({"baselines": {"models": ["svm"]}}, "baselines.models"),
        ({"baselines": {"models": ["forest", "forest"]}}, "one or more classifiers, each once"),
        ({"crops": {"window_px": -3, "size_px": 16}}, "crops.window_px -3"),
        ({"name": "a" * 61}, "at most 60"),
        ({"crops": {"window_px": 0}}, "crops.window_px 0; required: 2 to 20,000"),
        ({"crops": {"window_px": 32, "size_px": 100_000}}, "crops.size_px 100000; required: 16 to 512"),
        ({"crops": {"window_px": 32, "area_fraction": [0.5, 0.1]}}, "crops.area_fraction 0.5, 0.1"),
        ({"crops": {"window_px": 32, "min_cells": 10**30}}, "crops.min_cells '1000"),
        ({"benchmark": {"ks": [5, 5]}}, "benchmark.ks [5, 5]; required: at least one, and each once"),
        ({"encoder": {"seed": -1}}, "encoder.seed -1"),
        (
            {"encoder": {"epochs": -1, "width": -1}},
            "encoder.epochs 0 to 1,000,000, encoder.width more than 0",
        ),
        (
            {"encoder": {"epochs": 0}},
            "found `encoder`: epochs 0 without a start; required: epochs of at least 1, or a start. Correct",
        ),
        ({"encoder": {"initial_weights": "normal"}}, "encoder.initial_weights 'normal'; required"),
        (
            {
                "encoder": {
                    "recipe": "small_screen",
                    "start": "simulated_human",
                    "epochs": 0,
                    "hardest_of": 2,
                }
            },
            "epochs 0 with hardest_of 2; required: epochs of at least 1, or hardest_of 1",
        ),
        ({"simulation": {"organism": "yeast", "plates": 10**9}}, "simulation.plates 1000000000"),
        ({"root": "~nobody_has_this_name/x"}, "root '~nobody_has_this_name/x'"),
        ({"images": {"values": {"gene": "{well:>2000000000}"}}}, "images.values.gene '{well:>2000000000}'"),
        ({"files": {"pattern": "{well:x}_{channel}.tif", "image_id": "{well}"}}, "files.pattern '{well:x}"),
        ({"files": {"pattern": "{channel}" + "*" * 1000, "image_id": "x"}}, "at most 1000 characters"),
        ({"baselines": {"cellprofiler": {"image": "{a!r:9}"}}}, "baselines.cellprofiler.image '{a!r:9}'"),
    ],
)
def test_an_invalid_spec_is_refused_with_its_key(tmp_path, changes, message):
    path = write_spec(tmp_path, **changes)
    with pytest.raises(SpecError) as caught:
        load_screen(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


def test_the_path_of_the_weights_is_relative_to_the_spec(tmp_path):
    spec = write_spec(tmp_path, baselines=VGG16 | {"vgg16": {"weights": "w/vgg16.h5"}})
    assert load_screen(spec).baselines.vgg16.weights == str(tmp_path / "w" / "vgg16.h5")


def test_invalid_yaml_and_a_missing_file_are_refused(tmp_path):
    bad = tmp_path / "bad.yaml"
    bad.write_text("name: [unclosed")
    with pytest.raises(SpecError, match="not YAML"):
        load_screen(bad)
    bad.write_text("crops: {window_px: 32}\nname: tiny\ncrops: {window_px: 64}\n")
    with pytest.raises(SpecError, match=r"the key 'crops' is given twice[^;]*line 3"):
        load_screen(bad)
    with pytest.raises(SpecError, match="no such file"):
        load_screen(tmp_path / "absent.yaml")


def test_every_number_of_a_spec_has_bounds():
    def bare(section: type, prefix: str = "") -> Iterator[str]:
        for name, hint in typing.get_type_hints(section, include_extras=True).items():
            for kind in _kinds(hint):
                if kind in (int, float):
                    yield prefix + name
                elif dataclasses.is_dataclass(kind):
                    yield from bare(kind, f"{prefix}{name}.")

    assert list(bare(Screen)) == ["files.only", "images.only"]  # compared with text


def _kinds(hint: object) -> Iterator[object]:
    """The types that a type consists of; one with bounds is whole."""
    if typing.get_origin(hint) in (None, typing.Annotated, typing.Literal):
        yield hint
    for inner in (
        typing.get_args(hint) if typing.get_origin(hint) not in (typing.Annotated, typing.Literal) else ()
    ):
        yield from _kinds(inner)


def test_a_number_that_begins_with_0_and_a_date_are_text(tmp_path):
    path = write_spec(tmp_path)
    path.write_text(path.read_text() + "images: {values: {gene: 010, cell_line: 2024-02-30}}\n")
    path.write_text(path.read_text().replace("images:\n  table: images.csv\n", ""))
    assert load_screen(path).images.values == {"gene": "010", "cell_line": "2024-02-30"}


def test_a_root_whose_name_is_too_long_does_not_exist(tmp_path):
    with pytest.raises(RootError, match="no such folder"):
        scan(load_screen(write_spec(tmp_path, root="a" * 300)))


def test_keys_may_be_merged_and_replaced(tmp_path):
    spec = write_spec(tmp_path)
    merged = spec.read_text().replace("encoder:\n", "encoder:\n  <<: &defaults {epochs: 9, seed: 4}\n")
    spec.write_text(merged)
    encoder = load_screen(spec).encoder
    assert (encoder.epochs, encoder.seed) == (TINY_SPEC["encoder"]["epochs"], 4)


def test_a_missing_root_is_refused(tmp_path):
    with pytest.raises(RootError, match="no such folder"):
        scan(load_screen(write_spec(tmp_path, root="nowhere")))
    with pytest.raises(RootError, match="no root"):
        scan(load_screen(write_spec(tmp_path)))


def test_a_pattern_without_a_match_is_refused_with_an_existing_file(tiny_spec):
    folder = tiny_spec.parent
    files = {**TINY_SPEC["files"], "pattern": "{plate}/{well}-{field}-{channel}.png"}
    with pytest.raises(RootError, match=r"the first file there is images\.csv"):
        scan(load_screen(write_spec(folder, root=str(folder / "images"), files=files)))
