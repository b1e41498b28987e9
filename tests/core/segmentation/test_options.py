"""Options of a segmenter that a spec gives: those that cannot be right are refused before any work."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pcip_core.errors import SpecError
from pcip_core.segmentation import check_segmentation, checked_labels, segmenter
from pcip_core.spec.loading import load_screen
from tests.conftest import write_spec


@pytest.mark.parametrize(
    "segmentation",
    [
        {"method": "otsu", "options": {"channel": "nucleus", "smooth_px": 2, "min_area_px": 40.5}},
        {"method": "labels", "options": {"channel": "protein", "clear_border": True}},
        {"method": "torchscript", "options": {"model": "x.pt", "channels": ["protein", "nucleus"]}},
        {"method": "whole"},
        {"method": "whole", "options": {"channel": "nucleus"}},
        {"method": "pcip_core.segmentation.otsu:otsu", "options": {"channel": "nucleus"}},
        {"method": "builtins:max", "options": {"of": 1}},
    ],
)
def test_options_that_a_segmenter_takes(tmp_path, segmentation):
    check_segmentation(load_screen(write_spec(tmp_path, segmentation=segmentation)))


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        (
            "otsu",
            {"channel": "nucleus", "size": 3},
            "'size'; required: the options of otsu: channel, min_area_px",
        ),
        (
            "otsu",
            {"chanel": "nucleus"},
            "unknown option 'chanel', which may mean channel; required: the options of",
        ),
        ("otsu", {}, "missing a required argument: 'channel'"),
        ("otsu", {"channel": "dna"}, "channel 'dna'; required: one of the channels nucleus, protein"),
        ("otsu", {"channel": "nucleus", "min_area_px": "many"}, "min_area_px 'many'; .* of the type int"),
        ("otsu", {"channel": "nucleus", "min_area_px": True}, "min_area_px True; .* of the type int"),
        (
            "otsu",
            {"channel": "nucleus", "scale": 0},
            r"scale 0; required: scale of the type int \(1 to 100\)",
        ),
        (
            "otsu",
            {"channel": "nucleus", "min_area_px": -1.5},
            r"min_area_px -1.5; .*int \(0 to 400,000,000\)",
        ),
        ("otsu", {"channel": "nucleus", "smooth_px": 1e9}, r"smooth_px 1000000000.0; .*float \(0 to 100\)"),
        ("nuclei", {"channel": "nucleus", "diameter_px": math.nan}, r"diameter_px nan; .*\(2 to 2,000\)"),
        ("yeast_cytosol", {"channel": "nucleus", "ghost": 2}, r"ghost 2; .*\(0 to 1\)"),
        ("centres", {"table": "cells.csv", "radius_px": 10**9}, r"radius_px 1000000000; .*\(0 to 200\)"),
        ("torchscript", {"model": "x.pt", "channels": ["dna"]}, "channel 'dna'"),
        (
            "torchscript",
            {"model": "x.pt", "channels": "nucleus"},
            "channels 'nucleus'; required: channels of the",
        ),
        ("whole", {"channel": "dna"}, "channel 'dna'; required: one of the channels nucleus, protein"),
        ("whole", {"window_px": 80}, "required: the options of whole: channel"),
        (
            "pcip_core.segmentation.otsu:otsu",
            {"channel": "nucleus", "size": 1},
            "the unknown option .size.",
        ),
    ],
)
def test_options_that_a_segmenter_does_not_take(tmp_path, method, options, message):
    screen = load_screen(write_spec(tmp_path, segmentation={"method": method, "options": options}))
    with pytest.raises(SpecError, match=rf"screen tiny, segmentation\.options: found .*{message}"):
        check_segmentation(screen)


def test_the_remedy_of_a_misspelt_option_or_method(tmp_path):
    for given, key, right in (("yeast_cytosl", "method", "yeast_cytosol"), ("chanel", "option", "channel")):
        method = given if key == "method" else "otsu"
        options = {given if key == "option" else "channel": "nucleus"}
        with pytest.raises(SpecError) as caught:
            check_segmentation(
                load_screen(write_spec(tmp_path, segmentation={"method": method, "options": options}))
            )
        assert f"which may mean {right}" in caught.value.found
        section = {"method": right if key == "method" else "otsu", "options": {"channel": "nucleus"}}
        check_segmentation(load_screen(write_spec(tmp_path, segmentation=section)))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (None, "a NoneType"),
        (np.ones((4, 5)), "a float64"),
        (np.ones((5, 4), int), r"an array of shape \(5, 4\)"),
        (np.full((4, 5), -1), "labels from -1 to -1"),
        (np.full((4, 5), 1 << 40), "labels from 1099511627776 to 1099511627776"),
    ],
)
def test_what_is_no_label_image_is_refused(labels, message):
    with pytest.raises(SpecError, match=rf"segmentation\.method own:function: found {message} as its result"):
        checked_labels(labels, (4, 5), "own:function")


def test_a_label_image_is_passed_on():
    labels = np.arange(20).reshape(4, 5)
    assert checked_labels(labels, (4, 5), "own:function") is labels


@pytest.mark.parametrize(
    "method", ["os:sep", "no_such_package:f", ".relative:f", "", "json:no_such_function"]
)
def test_what_is_no_segmenter_is_refused(method):
    with pytest.raises(SpecError, match=r"segmentation\.method: found"):
        segmenter(method)


def test_code_that_is_not_part_of_pcip_is_named_before_it_is_run(tmp_path, monkeypatch, caplog):
    package = tmp_path / "their_package"
    package.mkdir()
    (package / "__init__.py").write_text(
        "import logging\nlogging.getLogger().warning('their code')\ndef cells(planes): pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    segmenter("their_package:cells")
    announced, run = caplog.messages
    assert f"the spec runs their_package ({package / '__init__.py'}), which is not part of pcip" in announced
    assert run == "their code"
    segmenter("their_package:cells")
    segmenter("pcip_core.segmentation.otsu:otsu")
    assert len(caplog.messages) == 2, "once per process, and nothing of pcip's own"
