"""faces_provided: the face images that a corpus brings, one per frame."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from features.aligned_face import CropParams, Crops, crop_spec
from features.errors import FeatureError
from features.extractor import Batch, extractor
from features.extractor import Params as BaseParams
from features.media.tools import DECODE_VERSION
from features.spec import FeatureSpec

#: role of the clip's folder of images
ROLE = "faces"
SIDE = 112
IMAGES = (".jpg", ".jpeg", ".png", ".bmp")


class BadImages(FeatureError):
    """A folder of provided face images can't be read."""

    code = "bad_images"


@extractor(
    name="faces_provided",
    version=1,
    reads="video",
    pixels=False,
    tools={"decode": DECODE_VERSION},
    assets=(ROLE,),
)
class FacesProvided(Crops):
    """Face images that come with the corpus, such as AFEW's and Aff-Wild2's ``cropped_aligned``.

    One row per frame, uint8 ``(112, 112, 3)`` RGB: the image whose name ends in the frame's
    number (``00012.jpg``, ``clip-012.png``), counted from 1 as both corpora do; images of another
    size are brought to 112 x 112, larger ones by area, smaller ones bilinearly (ours). A frame
    without an image is black and invalid, as are all frames of a clip without the folder
    ``faces``. Images of frames that the clip doesn't have are left alone. The images are taken as
    they are: their alignment is the corpus's.
    """

    class Params(CropParams):
        """What changes the images."""

        first: int = Field(
            1, ge=0, le=10**9, description="number of the image of the clip's first frame"
        )

    outputs: ClassVar[tuple[FeatureSpec, ...]] = (
        crop_spec("faces_provided", SIDE, SIDE, "face images that the corpus brings, 112 x 112"),
    )
    params: Params

    def __init__(self, params: Params) -> None:
        super().__init__(params)
        self._listed: tuple[str, Mapping[int, Path]] = ("", {})

    @staticmethod
    def empty_without(params: BaseParams) -> tuple[str, ...]:
        """The images are all that there is."""
        return (ROLE,)

    def crops(self, batch: Batch) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """The images of the batch's frames.

        Raises:
            BadImages: two images have one number, or one can't be read.
        """
        crops = np.zeros((len(batch.times), SIDE, SIDE, 3), np.uint8)
        valid = np.zeros(len(batch.times), bool)
        folder = batch.assets.get(ROLE)
        # a table of boxes is read by faces.backend=provided
        if folder is None or not Path(folder).is_dir():
            return crops, valid
        images = self._images(folder, anew=batch.start == 0)
        for row in range(len(crops)):
            path = images.get(batch.start + row + self.params.first)
            if path is not None:
                crops[row], valid[row] = read_image(path), True
        return crops, valid

    def _images(self, folder: str, *, anew: bool) -> Mapping[int, Path]:
        """Number -> image; a folder is listed once for all batches of its clip."""
        if anew or self._listed[0] != folder:
            self._listed = (folder, numbered(Path(folder)))
        return self._listed[1]


def numbered(folder: Path) -> dict[int, Path]:
    """Number -> image, by the last digits of the files' names; other files are left alone.

    Raises:
        BadImages: two images have one number.
    """
    found: dict[int, Path] = {}
    for path in sorted(folder.iterdir()):
        digits = re.findall(r"\d+", path.stem)
        # macOS puts ._00001.jpg beside 00001.jpg
        if path.suffix.lower() not in IMAGES or not digits or path.name.startswith("."):
            continue
        number = int(digits[-1])
        if number in found:
            raise BadImages(
                f"{folder}: {found[number].name} and {path.name} both are image {number}; "
                "give the folder of one clip and one subject"
            )
        found[number] = path
    return found


def read_image(path: Path) -> NDArray[np.uint8]:
    """uint8 ``(112, 112, 3)`` RGB.

    Raises:
        BadImages: it is no image.
    """
    picture = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        raise BadImages(f"{path} is no image that can be read; replace or remove it")
    height, width = picture.shape[:2]
    if (height, width) != (SIDE, SIDE):
        shrinks = min(height, width) >= SIDE
        how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        picture = cv2.resize(picture, (SIDE, SIDE), interpolation=how)
    return np.ascontiguousarray(picture[..., ::-1]).astype(np.uint8)
