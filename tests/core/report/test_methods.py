"""The paragraph on methods: its numbers are those of the spec and of the results, and nothing else is stated."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, get_args

import pytest

from pcip_core.report.methods import Facts, _bibliography, methods
from pcip_core.report.score_rows import PROTOCOLS
from pcip_core.spec.analyses import Clustering
from pcip_core.spec.baselines import Classifier
from pcip_core.spec.loading import load_screen
from pcip_core.spec.screen import Screen
from pcip_core.spec.training import START_SHAPE, Augmentation, EncoderConfig, LeaveOut
from tests.conftest import write_tiny_screen

VERSIONS = {"pcip": "9.8", "torch": "2.1", "scipy": "1.2"}


@pytest.fixture
def screen(tmp_path: Path) -> Screen:
    spec = load_screen(write_tiny_screen(tmp_path, plates=1, crops={"window_px": 48, "size_px": 32}))
    return replace(spec, encoder=EncoderConfig(), pixel_um=0.325)


def facts(**other: Any) -> Facts:
    return Facts(**{"n_images": 7, "n_cells": 1234, "n_proteins": 5, **other})


def test_settings_and_counts_are_those_given(screen: Screen) -> None:
    trained = EncoderConfig(width=0.5, epochs=17, batch_size=24, learning_rate=3e-3, seed=5)
    given = facts(
        encoder_version="tiny/3",
        trained=trained,
        trained_on=1100,
        clusters={"ward": 6},
        commit="a1b2c3d4e5f6a7",
    )
    found = methods(screen, given, versions=VERSIONS)
    for stated in (
        "1,234 cells in 7 images of 5 proteins", "0.325 µm per pixel", "a window of 48 px", "32 x 32 px",
        f"`{screen.segmentation.method}`", "version tiny/3", "on 1,100 cells", "cell inpainting (Lu et al. 2019)",
        "0.5 times the width", "17 epochs", "batches of 24", "rate of 0.003", "seed 5", "layer conv3",
        "Ward's criterion (Ward 1963)", "6 clusters (ward)", "Rousseeuw 1987", "pcip 9.8, commit a1b2c3d4e5",
        "torch 2.1 (Paszke et al. 2019)", "scipy 1.2",
    ):  # fmt: skip
        assert stated in found.text, stated
    for unknown in ("Bardes", "UMAP", "Benjamini", "Zeiler", "numpy", "maximum likelihood"):
        assert unknown not in found.text, unknown


def test_each_setting_changes_the_paragraph(screen: Screen) -> None:
    plain = facts(trained=EncoderConfig(), clusters={"ward": 6})
    agreement = replace(screen, encoder=EncoderConfig(task="agreement"))
    changed: list[tuple[Screen, Facts, str]] = [
        (agreement, replace(plain, trained=EncoderConfig(task="agreement")), "Bardes et al. 2022"),
        (
            screen,
            replace(plain, trained=EncoderConfig(pairs="same_protein")),
            "different images of the same protein",
        ),
        (screen, replace(plain, mapped=True), "McInnes et al. 2018"),
        (screen, replace(plain, enriched=True), "Benjamini and Hochberg 1995"),
        (screen, replace(plain, occluded=True), "Zeiler and Fergus 2014"),
        (
            screen,
            replace(plain, clusters={"average": 3, "ward": 4}),
            "3 clusters (average) and 4 clusters (ward)",
        ),
        (
            screen,
            replace(plain, trained=EncoderConfig(hardest_of=4)),
            "Of 4 partners drawn at random for each cell, the one was taken that differed most in shape: in the area, ",
        ),
        (replace(screen, pixel_um=None), plain, ""),
        (
            replace(screen, analyses=replace(screen.analyses, clusters=Clustering(number=6))),
            plain,
            "set in advance",
        ),
        (
            replace(screen, analyses=replace(screen.analyses, feature_set="classic")),
            plain,
            "feature set `classic`",
        ),
        (screen, replace(plain, trained=None), "of an encoder that had been trained"),
    ]
    before = methods(screen, plain, versions=VERSIONS).text
    for spec, given, stated in changed:
        text = methods(spec, given, versions=VERSIONS).text
        assert text != before
        assert stated in text
        assert stated == "" or stated not in before


def test_images_without_a_protein_are_not_called_proteins(screen: Screen) -> None:
    text = methods(screen, facts(n_proteins=0, clusters={"ward": 6}), versions=VERSIONS).text
    assert "1,234 cells in 7 images." in text
    assert "averaged by image," in text
    assert "number of images" in text


@pytest.mark.parametrize(
    ("changes", "stated"),
    [
        ({"floor": {"nucleus": 0.05}}, "set to 0: 0.05 (nucleus) of the range"),
        ({"area_fraction": (0.1, 0.5)}, "smaller than 0.1 or larger than 0.5 of the area"),
        ({"edge": "pad"}, "filled over the edge"),
        ({"min_cells": 9}, "fewer than 9 cells"),
    ],
)
def test_each_setting_of_crops_is_stated(screen: Screen, changes: dict[str, Any], stated: str) -> None:
    given = facts(trained=EncoderConfig())
    changed = replace(screen, crops=replace(screen.crops, **changes))
    assert stated in methods(changed, given, versions=VERSIONS).text
    assert stated not in methods(screen, given, versions=VERSIONS).text


def test_each_setting_that_decides_the_weights_is_stated(screen: Screen) -> None:
    """All of `deciding`, so that a new setting cannot be forgotten; the rounding of numbers is none of the method."""
    other: dict[str, Any] = {
        "epochs": 7, "batch_size": 8, "learning_rate": 0.5, "schedule": "cosine", "warm_up": 0.25, "beta1": 0.75,
        "weight_decay": 0.125, "width": 2.0, "seed": 11, "validation_fraction": 0.3, "task": "identity",
        "block": "norm_first", "initial_weights": "torch", "stages": 6, "pairs": "mixed", "start": "simulated_human",
        "augment": Augmentation(turns=True), "leave_out": LeaveOut("round_one"), "hardest_of": 4,
    }  # fmt: skip
    silent = {"precision", "processes", "memory_fraction", "device", "preview_every"}
    depend = {"projector": {"task": "agreement"}, "mixed_share": {"pairs": "mixed"}}
    names = {each.name for each in fields(EncoderConfig)} - silent
    assert names == set(other) | set(depend)
    for name in sorted(names):
        base = EncoderConfig(**depend.get(name, {}), **(START_SHAPE if name == "start" else {}))
        value = other.get(name, {"projector": 32, "mixed_share": 0.2}.get(name))
        texts = {
            methods(screen, facts(trained=config), versions=VERSIONS).text
            for config in (base, replace(base, **{name: value}))
        }
        assert len(texts) == 2, name
    for change in ({"scale": 0.2}, {"blur": 1.5}, {"intensity": 0.5}):
        config = EncoderConfig(augment=Augmentation(**change))
        assert methods(screen, facts(trained=config), versions=VERSIONS).text not in texts


def test_scores_are_described_by_classifier_protocol_and_parameters(screen: Screen) -> None:
    scored = [
        ("knn", "leave_image_out", "k=1"),
        ("knn", "leave_image_out", "k=11"),
        ("logistic", "grouped_folds", "C=1"),
        ("forest", "grouped_folds", "trees=9"),
    ]
    given = facts(compared=["classic", "untrained"], label="localization", scored=scored)
    text = methods(screen, given, versions=VERSIONS).text
    assert "compared with other feature sets of pcip: `classic`, `untrained`." in text
    assert (
        "The localization of each cell was predicted from its centred and scaled features: among the cells of other "
        "images by its nearest neighbours by Euclidean distance (k = 1, k = 11); in cross-validation with all cells of "
        "an image in the same fold by logistic regression (C = 1), a random forest (trees = 9)."
    ) in text
    assert "predicted" not in methods(screen, facts(), versions=VERSIONS).text


def test_every_classifier_and_protocol_has_words(screen: Screen) -> None:
    for classifier in ("knn", "end_to_end", *get_args(Classifier)):
        for protocol in PROTOCOLS:
            given = facts(label="localization", scored=[(classifier, protocol, "x=1")])
            assert "(x = 1)" in methods(screen, given, versions=VERSIONS).text


def test_references_and_bibtex_are_those_that_are_cited(screen: Screen) -> None:
    found = methods(screen, facts(trained=EncoderConfig(), mapped=True))
    keys = re.findall(r"@\w+{(\w+),", found.bibtex)
    assert len(keys) == len(found.references) == len(set(keys))
    assert keys[0] == "lu2019"
    assert "mcinnes2018" in keys
    assert "[@" not in found.text
    assert found.references[0].startswith("Lu, Kraus, Cooper, Moses (2019). Learning unsupervised")
    for entry in _bibliography().values():  # balanced, and complete
        assert entry.count("{") == entry.count("}")
        assert all(re.search(rf"\b{name}\s*=", entry) for name in ("author", "title", "year"))
    assert found == methods(screen, facts(trained=EncoderConfig(), mapped=True))
