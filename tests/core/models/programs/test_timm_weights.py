"""Models of timm give the vectors of timm's own model; weights of other models are refused. Needs timm."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from pcip_core.errors import EncoderError
from pcip_core.models.programs.loading import load_program
from pcip_core.models.programs.program import vectors_of

timm = pytest.importorskip("timm", reason="the package timm is not installed (extra `timm`)")


@pytest.mark.parametrize(("name", "classes"), [("resnet10t", 0), ("resnet10t", 7), ("test_vit", 5)])
def test_vectors_are_those_of_timm(tmp_path: Path, name: str, classes: int):
    torch.manual_seed(0)
    model = timm.create_model(name, pretrained=False, in_chans=2, num_classes=classes).eval()
    save_file(
        {key: value.contiguous() for key, value in model.state_dict().items()}, tmp_path / "m.safetensors"
    )
    program = load_program(tmp_path / "m.safetensors", timm=name, planes=2, size_px=64)
    images = torch.rand(3, 2, 64, 64)
    if "vit" in name:
        model.set_input_size(img_size=64)  # resamples the positions, which were for 160 px
    with torch.inference_mode():
        truth = model.forward_head(model.forward_features(images), pre_logits=True)
    assert torch.allclose(vectors_of(program, images), truth, atol=1e-5)


def test_other_weights_and_names_are_refused(tmp_path: Path):
    model = timm.create_model("resnet10t", pretrained=False, in_chans=3, num_classes=0)
    path = tmp_path / "m.safetensors"
    save_file(model.state_dict(), path)
    with pytest.raises(
        EncoderError, match=r"conv1.*as \(24, 3, 3, 3\).*required: \(24, 4, 3, 3\) for resnet10t of 4"
    ):
        load_program(path, timm="resnet10t", planes=4, size_px=64)
    with pytest.raises(EncoderError, match=r"no usable resnet_of_mine.*timm\.list_models"):
        load_program(path, timm="resnet_of_mine", planes=3, size_px=64)
    vit = timm.create_model("test_vit", pretrained=False, in_chans=3, num_classes=0)
    save_file({key: value.contiguous() for key, value in vit.state_dict().items()}, path)
    with pytest.raises(EncoderError, match=r"\(1, 3, 70, 70\).*divisible by patch size"):
        vectors_of(load_program(path, timm="test_vit", planes=3, size_px=70), torch.rand(1, 3, 70, 70))
    path.write_bytes(b"no weights at all")
    with pytest.raises(EncoderError, match="no usable resnet10t"):
        load_program(path, timm="resnet10t", planes=3, size_px=64)
