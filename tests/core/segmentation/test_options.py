"""Options of a segmenter that a spec gives: those that cannot be right are refused before any work."""

from __future__ import annotations

import pytest

from pcip_core.errors import SpecError
from pcip_core.segmentation import check_segmentation, segmenter
from pcip_core.spec.screen import load_screen
from tests.conftest import write_spec


@pytest.mark.parametrize(
    "segmentation",
    [
        {"method": "otsu", "options": {"channel": "nucleus", "smooth_px": 2, "min_area_px": 40.5}},
        {"method": "labels", "options": {"channel": "protein", "clear_border": True}},
        {"method": "torchscript", "options": {"model": "x.pt", "channels": ["protein", "nucleus"]}},
        {"method": "whole"},
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
        ("otsu", {}, "missing a required argument: 'channel'"),
        ("otsu", {"channel": "dna"}, "channel 'dna'; required: one of the channels nucleus, protein"),
        ("otsu", {"channel": "nucleus", "min_area_px": "many"}, "min_area_px 'many'; .* of the type int"),
        ("otsu", {"channel": "nucleus", "min_area_px": True}, "min_area_px True; .* of the type int"),
        ("torchscript", {"model": "x.pt", "channels": ["dna"]}, "channel 'dna'"),
        (
            "torchscript",
            {"model": "x.pt", "channels": "nucleus"},
            "channels 'nucleus'; required: channels of the",
        ),
        ("whole", {"channel": "nucleus"}, "required: the options of whole: none"),
        (
            "pcip_core.segmentation.otsu:otsu",
            {"channel": "nucleus", "size": 1},
            "unexpected keyword argument .size.",
        ),
    ],
)
def test_options_that_a_segmenter_does_not_take(tmp_path, method, options, message):
    screen = load_screen(write_spec(tmp_path, segmentation={"method": method, "options": options}))
    with pytest.raises(SpecError, match=rf"screen tiny, segmentation\.options: found .*{message}"):
        check_segmentation(screen)


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
