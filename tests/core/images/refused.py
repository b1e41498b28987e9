"""Files whose reading is refused, each kind written by a function."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image

from tests.core.images.writers import noise

SHAPE = (24, 32)
LABELS = np.kron(np.array([[0, 1, 0, 2], [0, 0, 0, 0], [3, 0, 4, 0]], np.uint8), np.ones((8, 8), np.uint8))
OME = {"layout": "ome_tiff", "pattern": "{well}_{field}.ome.tif", "image_id": "{well}"}


def write(root: Path, name: str, plane: np.ndarray | int, **options: Any) -> None:
    tifffile.imwrite(root / name, noise(plane, SHAPE) if isinstance(plane, int) else plane, **options)


def both(root: Path) -> None:
    """One field of two channels."""
    write(root, "A01_1_nucleus.tif", 1)
    write(root, "A01_1_protein.tif", 2)


def colour(root: Path) -> None:
    both(root)
    (root / "A01_1_protein.tif").unlink()
    Image.fromarray(noise(3, (*SHAPE, 3), np.uint8)).save(root / "A01_1_protein.png")
    write(root, "A01_1_nucleus.tif", noise(1, SHAPE, np.uint8))


def palette_png(root: Path) -> None:
    both(root)
    picture = Image.fromarray(LABELS).convert("P")
    picture.putpalette([value for number in range(256) for value in (number, 0, 255 - number)])
    picture.save(root / "A01_1_mask.png")


def palette_tiff(root: Path) -> None:
    both(root)
    colours = np.arange(768, dtype=np.uint16).reshape(3, 256)
    write(root, "A01_1_mask.tif", LABELS, photometric="palette", colormap=colours)


def ome(root: Path) -> None:
    channels = {"axes": "CYX", "Channel": {"Name": ["DAPI", "GFP"]}}
    write(root, "A01_1.ome.tif", noise(1, (2, *SHAPE)), ome=True, metadata=channels)


def scenes(root: Path) -> None:
    with tifffile.TiffWriter(root / "A01_1.ome.tif", ome=True) as file:
        for number in (1, 2):
            metadata = {"axes": "CYX", "Channel": {"Name": ["DAPI", "GFP"]}}
            file.write(noise(number, (2, *SHAPE)), metadata=metadata)


def mask_stack(root: Path) -> None:
    both(root)
    write(root, "A01_1_mask.tif", np.stack([LABELS] * 3), imagej=True, metadata={"axes": "ZYX"})


def stacks(root: Path) -> None:
    for number, name in enumerate(("nucleus", "protein")):
        write(root, f"A01_1_{name}.tif", noise(number, (3, *SHAPE)), imagej=True, metadata={"axes": "ZYX"})


def uneven_stacks(root: Path) -> None:
    stacks(root)
    write(root, "A01_1_protein.tif", noise(3, (4, *SHAPE)), imagej=True, metadata={"axes": "ZYX"})


def two_planes_in_npy(root: Path) -> None:
    np.save(root / "A01_1.npy", noise(1, (2, *SHAPE)))


def in_another_file(root: Path) -> None:
    """An OME-TIFF of one plane whose metadata are in a companion file, as of Micro-Manager and Bio-Formats."""
    text = '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:1"><BinaryOnly '
    text += 'MetadataFile="A01.companion.ome" UUID="urn:uuid:2"/></OME>'
    for number, name in enumerate(("nucleus", "protein")):
        write(root, f"A01_1_{name}.ome.tif", number, description=text, metadata=None)


def two_runs(root: Path) -> None:
    for run in (1, 2):
        (root / f"run{run}").mkdir()
        both(root / f"run{run}")


def types(root: Path) -> None:
    both(root)
    write(root, "A01_1_protein.tif", noise(2, SHAPE, np.uint8))


def opera(root: Path) -> None:
    """An export without its index."""
    for number in (1, 2):
        write(root, f"r01c01f01p01-ch{number}sk1fk1fl1.tiff", number)


def lit(root: Path) -> None:
    """A field, with an image of the illumination of each channel."""
    both(root)
    for name in ("nucleus", "protein"):
        write(root, f"flat_{name}.tif", np.full(SHAPE, 100, np.uint16))


def badly_headed(root: Path) -> None:
    both(root)
    rows = "A01,1,A01_1_nucleus.tif,A01_1_protein.tif\n"
    (root / "list.csv").write_text(f"well,field,file_dna,file_gfp\n{rows}")


def one_file_for_both(root: Path) -> None:
    write(root, "A01.tif", noise(1, (2, *SHAPE)), imagej=True, metadata={"axes": "CYX"})
    (root / "list.csv").write_text("well,field,FileName_nucleus,FileName_protein\nA01,1,A01.tif,A01.tif\n")


def imagexpress(root: Path) -> None:
    for wave in (1, 2):
        write(root, f"P_A01_s1_w{wave}.tif", wave)


def inverted(root: Path) -> None:
    both(root)
    write(root, "A01_1_protein.tif", noise(2, SHAPE), photometric="miniswhite")


def lossy(root: Path) -> None:
    both(root)
    y, x = np.mgrid[:160, :160]
    numbers = sum(
        n * 40 * (np.hypot(y - row, x - column) < 18)
        for n, (row, column) in enumerate([(40, 40), (40, 120), (120, 40), (120, 120)], 1)
    )
    for name in ("nucleus", "protein"):
        write(root, f"A01_1_{name}.tif", noise(1, (160, 160)) // 8 + np.uint16(2000) * (numbers > 0))
    Image.fromarray(numbers.astype(np.uint8)).save(root / "A01_1_mask.jpg", quality=60)
    np.save(root.parent / "numbers.npy", numbers)
