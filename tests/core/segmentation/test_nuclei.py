"""Nuclei by ellipses: touching nuclei, dim nuclei next to bright ones, a real field."""

import numpy as np
from imageio.v3 import imread

from pcip_core.segmentation import segmenter
from tests.conftest import real_folder


def nuclei(*places: tuple[float, float, float], radius: float = 20.0) -> np.ndarray:
    y, x = np.mgrid[:240, :320]
    rng = np.random.default_rng(1)
    light = sum(height * (np.hypot(y - cy, x - cx) < radius) for cy, cx, height in places)
    return rng.poisson(100 + light).astype(np.uint16)


def test_touching_nuclei_are_split_and_dim_nuclei_detected():
    plane = nuclei((60, 60, 2000), (60, 98, 2000), (180, 80, 300), (150, 240, 1500))
    labels = segmenter("nuclei")({"n": plane}, channel="n")
    assert labels.max() == 4
    assert segmenter("otsu")({"n": plane}, channel="n").max() < 4


def test_a_long_nucleus_is_not_split():
    y, x = np.mgrid[:240, :320]
    plane = np.random.default_rng(1).poisson(100 + 2000 * (((y - 120) / 18) ** 2 + ((x - 160) / 36) ** 2 < 1))
    assert segmenter("nuclei")({"n": plane.astype(np.uint16)}, channel="n").max() == 1


def test_real_nuclei():
    plane = imread(real_folder("human_fields") / "hpa" / "57_F11_1_blue.png")
    labels = segmenter("nuclei")({"n": plane}, channel="n", diameter_px=160.0)
    assert 9 <= labels.max() <= 12  # 11 by eye
    assert np.bincount(labels.ravel())[1:].min() > 10_000
