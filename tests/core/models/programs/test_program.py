"""Whatever a program returns is either one finite vector per image, or a named error."""

from __future__ import annotations

import math
from collections import namedtuple

import pytest
import torch

from pcip_core.errors import EncoderError
from pcip_core.models.programs.program import Program, require_input, vectors_of


def means(images: torch.Tensor) -> torch.Tensor:
    return images.mean(dim=(2, 3))


def test_a_program_of_one_number_of_images_is_called_with_it():
    sizes: list[int] = []

    def run(images: torch.Tensor) -> torch.Tensor:
        sizes.append(len(images))
        return means(images)

    images = torch.rand(7, 2, 4, 4)
    found = vectors_of(Program("p", run, (3, 2, 4, 4)), images)
    assert sizes == [3, 3, 3]
    assert torch.equal(found, means(images))


Outputs = namedtuple("Outputs", "maps embedding")


@pytest.mark.parametrize(
    ("pack", "output"),
    [
        (lambda images: {"maps": images, "embedding": means(images)}, "embedding"),
        (lambda images: {"maps": images, "embedding": means(images)}, 1),
        (lambda images: (images, means(images)), 1),
        (lambda images: Outputs(images, means(images)), 1),
        (lambda images: [means(images)], None),
        (lambda images: {"only": means(images)}, None),
    ],
)
def test_an_output_has_a_name_or_a_number(pack, output):
    images = torch.rand(2, 3, 4, 4)
    assert torch.equal(vectors_of(Program("p", pack), images, output), means(images))


@pytest.mark.parametrize(
    ("run", "output", "message"),
    [
        (
            lambda images: images,
            None,
            r"an output \(2, 3, 4, 4\) for 2 images; required: one vector per image",
        ),
        (lambda images: means(images)[:1], None, r"an output \(1, 3\) for 2 images"),
        (lambda images: means(images)[:, :0], None, r"an output \(2, 0\)"),
        (lambda images: means(images) * math.nan, None, "6 of 6 numbers NaN or infinite"),
        (lambda images: means(images) / 0, None, "6 of 6 numbers NaN or infinite"),
        (lambda images: (images, means(images)), None, r"outputs 0, 1; required.*Name it in `output`"),
        (lambda images: {"maps": images}, "embedding", "outputs maps and no tensor under 'embedding'"),
        (lambda images: None, None, "outputs 0 and no tensor under 0"),
        (lambda images: 1 / 0, None, r"fails on \(2, 3, 4, 4\) \(ZeroDivisionError"),
    ],
)
def test_other_results_are_named_errors(run, output, message):
    with pytest.raises(EncoderError, match=message) as caught:
        vectors_of(Program("features.mine (mine.pt2)", run), torch.ones(2, 3, 4, 4), output)
    assert "features.mine (mine.pt2)" in str(caught.value)


def test_the_input_is_compared_with_the_spec():
    require_input(Program("p", means, (None, 4, 448, 448)), 4, 448)
    require_input(Program("p", means), 4, 448)
    with pytest.raises(EncoderError, match=r"takes \(any, 4, 448, 448\); required: \(any, 3, 448, 448\)"):
        require_input(Program("p", means, (None, 4, 448, 448)), 3, 448)
    with pytest.raises(EncoderError, match=r"takes \(any, 4\)"):
        require_input(Program("p", means, (None, 4)), 4, 448)
