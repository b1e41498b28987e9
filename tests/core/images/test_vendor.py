"""Files of microscopes: a CZI written by its maker's library, a LIF written by hand, and ND2 through a stand-in.

The tests of a format are skipped where its reader (`pcip[vendors]`) is not installed.
"""

from __future__ import annotations

import struct
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pcip_core.errors import ImageFileError, MissingPackageError
from pcip_core.images.layout import scan
from pcip_core.images.reading import content_hash, read_field
from tests.core.images.writers import noise, screen_of

SHAPE = (2, 3, 24, 32)  # channels, focal planes
CHANNELS = {
    "nucleus": {"role": "structural", "named": "DAPI"},
    "protein": {"role": "protein", "named": "EGFP"},
}


def files_for(ending: str, **more: Any) -> dict[str, Any]:
    return {
        "layout": "vendor",
        "pattern": f"{{plate}}/{{well}}.{ending}",
        "image_id": "{plate}_{well}",
        **more,
    }


def write_czi(path: Path, scenes: list[np.ndarray]) -> None:
    """Write scenes, each (channels, focal planes, H, W)."""
    czi = pytest.importorskip("pylibCZIrw.czi")
    path.parent.mkdir(parents=True, exist_ok=True)
    with czi.create_czi(str(path)) as writer:
        for number, scene in enumerate(scenes):
            for channel, planes in enumerate(scene):
                for z, plane in enumerate(planes):
                    writer.write(
                        plane[..., None],
                        plane={"C": channel, "Z": z, "T": 0},
                        scene=number,
                        location=(100 * number, 0),
                    )
        writer.write_metadata(channel_names={0: "DAPI", 1: "EGFP"})


def write_lif(path: Path, images: list[np.ndarray]) -> None:
    """Write images, each (channels, focal planes, H, W) of uint16, as the reader's documentation describes a LIF."""
    elements, blocks = [], b""
    for number, pixels in enumerate(images):
        channels, depth, height, width = pixels.shape
        stored = np.ascontiguousarray(pixels.transpose(1, 0, 2, 3))  # Z, C, Y, X
        plane = height * width * 2
        described = "".join(
            f'<ChannelDescription DataType="0" ChannelTag="0" Resolution="16" NameOfMeasuredQuantity="" Min="0" '
            f'Max="65535" Unit="" LUTName="{name}" IsLUTInverted="0" BytesInc="{channel * plane}" BitInc="0"/>'
            for channel, name in enumerate(("DAPI", "EGFP"))
        )
        sides = ((1, width, 2), (2, height, 2 * width), (3, depth, plane * channels))
        dimensions = "".join(
            f'<DimensionDescription DimID="{axis}" NumberOfElements="{side}" Origin="0" Length="1" Unit="m" '
            f'BitInc="0" BytesInc="{step}"/>'
            for axis, side, step in sides
        )
        elements.append(
            f'<Element Name="Position {number}"><Data><Image><ImageDescription><Channels>{described}</Channels>'
            f"<Dimensions>{dimensions}</Dimensions></ImageDescription></Image></Data>"
            f'<Memory Size="{stored.nbytes}" MemoryBlockID="MemBlock_{number}"/></Element>'
        )
        name = f"MemBlock_{number}".encode("utf-16-le")
        head = struct.pack("<BQBI", 0x2A, stored.nbytes, 0x2A, len(name) // 2) + name
        blocks += struct.pack("<II", 0x70, len(head)) + head + stored.tobytes()
    xml = (
        f'<LMSDataContainerHeader Version="2"><Element Name="Project"><Data/><Children>{"".join(elements)}</Children>'
        "</Element></LMSDataContainerHeader>"
    ).encode("utf-16-le")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<IIBI", 0x70, len(xml) + 5, 0x2A, len(xml) // 2) + xml + blocks)


class Nd2Stand:
    """A stand-in for nd2.ND2File, with the attributes that its documentation describes.

    Its frames are parts of the file in memory, which is there until the file is closed.
    """

    images: dict[str, list[np.ndarray]] = {}  # noqa: RUF012

    def __init__(self, path: Path) -> None:
        self._images = [image.copy() for image in self.images[str(path)]]
        channels, depth, height, width = self._images[0].shape
        self.sizes = {"P": len(self._images), "Z": depth, "C": channels, "Y": height, "X": width}
        self.dtype = self._images[0].dtype
        self.loop_indices = [{"P": p, "Z": z} for p in range(len(self._images)) for z in range(depth)]
        names = ("DAPI", "EGFP")
        self.metadata = SimpleNamespace(
            channels=[SimpleNamespace(channel=SimpleNamespace(name=name)) for name in names]
        )

    def read_frame(self, number: int) -> np.ndarray:
        at = self.loop_indices[number]
        return self._images[at["P"]][:, at["Z"]]

    def __enter__(self) -> Nd2Stand:
        return self

    def __exit__(self, *_: object) -> None:
        for image in self._images:
            image[:] = 0


def write_nd2(path: Path, images: list[np.ndarray], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nd2", SimpleNamespace(ND2File=Nd2Stand))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"nd2")
    monkeypatch.setitem(Nd2Stand.images, str(path), images)


@pytest.mark.parametrize("ending", ["czi", "lif", "nd2"])
def test_images_channels_and_focal_planes_are_what_was_written(tmp_path, ending, monkeypatch):
    if ending == "lif":
        pytest.importorskip("liffile")
    root = tmp_path / "images"
    images = [noise(seed, SHAPE) for seed in (1, 2)]
    write = {
        "czi": write_czi,
        "lif": write_lif,
        "nd2": lambda path, images: write_nd2(path, images, monkeypatch),
    }[ending]
    write(root / "p1" / "A01.czi".replace("czi", ending), images)
    screen = screen_of(root, files_for(ending), channels=CHANNELS)
    with pytest.raises(ImageFileError, match="3 focal planes"):
        read_field(screen, scan(screen).fields[0])
    right = {
        "max": lambda stack: stack.max(axis=1),
        "middle": lambda stack: stack[:, 1],
    }
    for how, project in right.items():
        screen = screen_of(root, files_for(ending, project={"z": how}), channels=CHANNELS)
        fields = scan(screen).fields
        assert [(field.field_id, field.number) for field in fields] == [("p1_A01_1", "1"), ("p1_A01_2", "2")]
        for field, pixels in zip(fields, images, strict=True):
            planes = read_field(screen, field)
            assert np.array_equal(planes["nucleus"], project(pixels)[0])
            assert np.array_equal(planes["protein"], project(pixels)[1])
    screen = screen_of(root, files_for(ending, only={"z": 3, "scene": 2}), channels=CHANNELS)
    (field,) = scan(screen).fields
    assert np.array_equal(read_field(screen, field)["protein"], images[1][1, 2])
    assert len(content_hash(screen, field)) == 32


@pytest.mark.parametrize(
    ("ending", "module"), [("czi", "pylibCZIrw.czi"), ("lif", "liffile"), ("nd2", "nd2")]
)
def test_without_the_reader_the_error_names_the_command(tmp_path, ending, module, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    (tmp_path / "images" / "p1").mkdir(parents=True)
    (tmp_path / "images" / "p1" / f"A01.{ending}").write_bytes(b"x")
    screen = screen_of(tmp_path / "images", files_for(ending), channels=CHANNELS)
    with pytest.raises(MissingPackageError, match=r"pip install 'pcip\[vendors\]'"):
        scan(screen)


@pytest.mark.parametrize(
    ("ending", "module"), [("czi", "pylibCZIrw.czi"), ("lif", "liffile"), ("nd2", "nd2")]
)
def test_a_damaged_file_is_a_field_that_cannot_be_read(tmp_path, ending, module):
    pytest.importorskip(module)
    (tmp_path / "images" / "p1").mkdir(parents=True)
    path = tmp_path / "images" / "p1" / f"A01.{ending}"
    for data in (b"", b"damaged" * 100):
        path.write_bytes(data)
        screen = screen_of(tmp_path / "images", files_for(ending), channels=CHANNELS)
        (field,) = scan(screen).fields
        with pytest.raises(ImageFileError, match=r"A01\."):
            read_field(screen, field)
