"""Section `features`: paths are absolute, and settings that cannot be meant are refused with their key."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from pcip_core.errors import SpecError
from pcip_core.spec.features import FeatureSet, PlaneStatistics
from pcip_core.spec.loading import load_screen
from pcip_core.spec.validation import unmade_sets
from tests.conftest import REPOSITORY, write_spec

PAGE = REPOSITORY / "docs" / "how-to" / "use-another-encoder.md"
BLOCKS = re.findall(r"```yaml\n(features:.*?)```", PAGE.read_text(), re.DOTALL)
PROGRAM = {
    "program": "w/subcell.pt2",
    "inputs": ["r", "b", "g"],
    "channels": {"g": "protein", "b": "nucleus"},
    "size_px": 448,
}


def test_a_program_is_read_with_its_defaults(tmp_path: Path):
    spec = write_spec(tmp_path, features={"subcell": {**PROGRAM, "reference": "w/reference.safetensors"}})
    screen = load_screen(spec)
    (features,) = screen.features.values()
    assert features.program == str(tmp_path / "w" / "subcell.pt2")
    assert features.reference == str(tmp_path / "w" / "reference.safetensors")
    assert features.sources == (None, "nucleus", "protein")
    assert (features.planes, features.cut_px, features.normalization) == (3, None, "minmax")
    assert screen.compares
    assert not load_screen(write_spec(tmp_path, baselines={"sets": []})).compares


def test_the_specs_of_the_page_load(tmp_path: Path):
    names = ("microtubules", "er", "nucleus", "dna", "rna", "agp", "mito")
    channels = {**{name: {"role": "structural"} for name in names}, "protein": {"role": "protein"}}
    read = [yaml.safe_load(block)["features"] for block in BLOCKS]
    assert len(read) > 5
    for features in read:
        assert (
            load_screen(write_spec(tmp_path, channels=channels, features=features)).features.keys()
            == features.keys()
        )


def test_channels_alone_statistics_and_scale(tmp_path: Path):
    alone = {
        **PROGRAM,
        "inputs": [],
        "channels": ["protein", "nucleus"],
        "scale": 0.5,
        "normalization": {"mean": [0, 0, 0], "std": [1, 1, 2]},
    }
    features = load_screen(write_spec(tmp_path, features={"dino": alone})).features["dino"]
    assert (features.sources, features.planes, features.cut_px) == (("protein", "nucleus"), 3, 224)
    assert features.normalization == PlaneStatistics((0, 0, 0), (1, 1, 2))


def test_a_combination(tmp_path: Path):
    both = {"combine": ["inpainting_conv4", "classic"]}
    assert load_screen(write_spec(tmp_path, features={"both": both})).features["both"] == FeatureSet(
        combine=("inpainting_conv4", "classic")
    )


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("classic", {}, "features named classic; required: a name that no feature set of pcip"),
        ("vgg16_mine", {}, "features named vgg16_mine"),
        ("cell", {}, "features named cell"),
        ("mine_by_plate", {}, "features named mine_by_plate"),
        ("Mine", {}, "features named 'Mine'; required: lower-case letters"),
        ("mine", {"program": None}, "features.mine: neither or both of `program` and `combine`"),
        ("mine", {"combine": ["a", "b"]}, "neither or both"),
        ("mine", {"size_px": None}, "features.mine: no size_px"),
        ("mine", {"size_px": 4}, "features.mine.size_px 4; required: 8 to 4,096"),
        ("mine", {"channels": {}}, "features.mine: no channels"),
        (
            "mine",
            {"channels": {"a": "nucleus"}},
            "features.mine.channels of input a; required: inputs of ['r', 'b'",
        ),
        ("mine", {"inputs": []}, "features.mine: only one of `inputs` and channels by input"),
        ("mine", {"channels": ["nucleus"]}, "features.mine: only one of `inputs` and channels by input"),
        (
            "mine",
            {"inputs": ["r", "g", "b", "g"]},
            "features.mine.inputs ['r', 'g', 'b', 'g']; required: each once",
        ),
        (
            "mine",
            {"channels": {"r": "dna"}},
            "features.mine.channels names dna; required: channels of ['nucleus'",
        ),
        ("mine", {"channels": ["er"], "inputs": []}, "features.mine.channels names er"),
        ("mine", {"window_px": 64, "scale": 2}, "both of `window_px` and `scale`"),
        ("mine", {"timm": "resnet18"}, "only one of a file .safetensors and `timm`"),
        ("mine", {"program": "a.safetensors"}, "only one of a file .safetensors and `timm`"),
        (
            "mine",
            {"normalization": "imagenet", "inputs": ["b", "g"]},
            "features.mine.normalization of 3 planes; required: one of 2 planes",
        ),
        ("mine", {"normalization": {"mean": [0], "std": [1, 1]}}, "features.mine.normalization of 2 planes"),
        ("mine", {"normalization": "zscore"}, "features.mine.normalization"),
        ("mine", {"chanels": {}}, "unknown key `features.mine.chanels`"),
    ],
)
def test_an_invalid_program_is_refused(tmp_path: Path, name: str, changes: dict, message: str):
    values = {key: value for key, value in {**PROGRAM, **changes}.items() if value is not None}
    with pytest.raises(SpecError) as caught:
        load_screen(write_spec(tmp_path, features={name: values}))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"combine": ["a"]}, "features.mine.combine ['a']; required: two or more other feature sets"),
        ({"combine": ["a", "a"]}, "features.mine.combine ['a', 'a']"),
        ({"combine": ["a", "mine"]}, "features.mine.combine ['a', 'mine']"),
        ({"combine": ["a", "b"], "size_px": 64}, "`combine` beside settings of a program"),
        ({}, "neither or both"),
    ],
)
def test_an_invalid_combination_is_refused(tmp_path: Path, values: dict, message: str):
    with pytest.raises(SpecError) as caught:
        load_screen(write_spec(tmp_path, features={"mine": values}))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("section", "key", "name", "right"),
    [
        ("features", "features.both.combine", "clasic", "classic"),
        ("analyses", "analyses.feature_set", "inpainting_cnv3", "inpainting_conv3"),
        ("baselines", "baselines.corrected", "inpainting_conv9", "inpainting_conv4"),
        ("baselines", "baselines.classifiers", "vgg16_protein_block1", ""),
    ],
)
def test_feature_sets_that_nothing_makes_are_named_with_the_one_that_is_meant(
    tmp_path, section, key, name, right
):
    def problems(given: str) -> list[str]:
        sections = {
            "features": {"both": {"combine": [given, "intensity"]}},
            "analyses": {"feature_set": given},
            "baselines": {key.rpartition(".")[2]: [given]},
        }
        baselines = {"sets": ["classic", "autoencoder"], "corrections": ["by_plate"]}
        changes = {
            "baselines": baselines,
            section: (baselines if section == "baselines" else {}) | sections[section],
        }
        return unmade_sets(load_screen(write_spec(tmp_path, **changes)))

    (problem,) = problems(name)
    assert problem.startswith(f"{key} names {name}")
    if right:
        assert "which may mean inpainting_conv" in problem or f"which may mean {right}" in problem
    for made in (right or "autoencoder_conv3", "untrained_conv2", "inpainting_conv3_by_plate"):
        assert problems(made) == []
