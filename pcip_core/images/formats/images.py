"""The images of a file that may hold several, each with channels, focal planes and time points."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pcip_core.errors import ImageFileError
from pcip_core.images.formats.limits import check_rgb, colour_of
from pcip_core.images.formats.stack import Extent, channel_number, require_channel, selected_plane
from pcip_core.images.reference import Select
from pcip_core.words import many


@dataclass(frozen=True)
class FileImage:
    """One image of a file.

    Attributes:
        extent: its size in time and depth.
        names: names of its channels, if the file has them.
        samples: values per pixel, if the channels are those of one page, otherwise 1.
        read: (time point, focal plane, channel), all from 0 -> the page: (H, W), or with 3 axes if it has samples.
        verify: raises an ImageFileError if any of its planes is damaged, as far as headers tell.
    """

    extent: Extent
    names: list[str]
    samples: int
    read: Callable[[int, int, int], np.ndarray]
    verify: Callable[[], None] = lambda: None

    @property
    def is_plane(self) -> bool:
        """Whether it is a single page without channels."""
        return self.extent.times * self.extent.depth * self.extent.channels == self.samples


def image_of(path: object, images: Sequence[FileImage], select: Select) -> FileImage:
    """The image that a reference selects by its number, from 1.

    Raises:
        ImageFileError: there is no such image, or the reference does not say which of several it is.
    """
    if "scene" not in select and len(images) > 1:
        raise ImageFileError(
            path,
            found=f"{many(len(images), 'image')} in one file",
            required="one, or layout ome_tiff, in which each is a field",
            remedy="Set `layout: ome_tiff` in files of the spec, or export each image to a file of its own.",
        )
    number = int(select.get("scene", 1))
    if not 1 <= number <= len(images):
        raise ImageFileError(
            path,
            found=many(len(images), "image"),
            required=f"number {number}",
            remedy="Scan the folder again: the file has been replaced since.",
        )
    return images[number - 1]


def planes_of_images(
    path: object, images: Sequence[FileImage], selects: Sequence[Select]
) -> list[np.ndarray]:
    """The planes of channels, or colours `rgb`, of the images: (H, W) each.

    The last channel is read first: its error tells that a spec takes focal planes for channels.

    Raises:
        ImageFileError: there is no such image, channel or plane.
    """
    for scene in {select.get("scene", "") for select in selects}:
        image_of(path, images, {"scene": scene} if scene else {}).verify()
    order = sorted(range(len(selects)), key=lambda place: -int(selects[place].get("c", 0)))
    planes = {place: _plane(path, images, selects[place]) for place in order}
    return [planes[place] for place in range(len(selects))]


def _plane(path: object, images: Sequence[FileImage], select: Select) -> np.ndarray:
    image = image_of(path, images, select)
    samples = image.samples
    if "rgb" in select:
        check_rgb(path, f"{samples} values", samples, select["rgb"])
        if image.extent.channels > samples:
            channel_number(path, {}, image.names, image.extent.channels)
        return selected_plane(
            image.extent,
            select,
            lambda t, z: colour_of(_last_samples(image.read(t, z, 0), samples), select["rgb"]),
        )
    require_channel(image.extent, select)
    number = channel_number(path, select, image.names, image.extent.channels)

    def read(time: int, z: int) -> np.ndarray:
        page = image.read(time, z, number)
        return page if samples == 1 else _last_samples(page, samples)[:, :, number % samples]

    return selected_plane(image.extent, select, read)


def _last_samples(page: np.ndarray, samples: int) -> np.ndarray:
    """A page with its samples as the last axis."""
    return page if page.shape[-1] == samples else np.moveaxis(page, 0, -1)
