"""Makes what the stand-in for OpenFace replays, and clips that make it misbehave."""

from __future__ import annotations

import hashlib
import io
import shutil
import struct
import tarfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from tests.features.openface_kit import reference

STANDIN = Path(__file__).parent / "standin"
A02 = "a02_single_face_mp3_in_mp4"


@dataclass(frozen=True)
class Programs:
    """A folder with the stand-in under the names of OpenFace's programs."""

    folder: Path

    @staticmethod
    def make(folder: Path) -> Programs:
        """The programs, with nothing to replay."""
        (folder / "replay").mkdir(parents=True)
        for name in ("FeatureExtraction", "FaceLandmarkVidMulti"):
            shutil.copy(STANDIN / "FeatureExtraction", folder / name)
        return Programs(folder)

    @property
    def binary(self) -> Path:
        """FeatureExtraction."""
        return self.folder / "FeatureExtraction"

    def replay(
        self,
        media: Path,
        name: str,
        *,
        behaviour: str = "",
        faces: int = 0,
        second_face: bool = False,
    ) -> Path:
        """Let the program answer for a medium with the real CSV of ``name``; the medium.

        Args:
            behaviour: what it does instead.
            faces: frames for which it writes an aligned face; ``second_face``: two of them.
        """
        place = self.folder / "replay" / hashlib.sha256(media.read_bytes()).hexdigest()
        shutil.copy(reference(name), f"{place}.csv.gz")
        if behaviour:
            Path(f"{place}.do").write_text(behaviour + "\n")
        if faces:
            with tarfile.open(f"{place}.tar.gz", "w:gz", compresslevel=1) as tar:
                for frame in range(faces):
                    _add(tar, f"frame_det_00_{frame + 1:06d}.bmp", frame)
                    if second_face:
                        _add(tar, f"frame_det_01_{frame + 1:06d}.bmp", 255 - frame)
        return media


def _add(tar: tarfile.TarFile, name: str, shade: int) -> None:
    data = cv2.imencode(".bmp", face(shade))[1].tobytes()
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def face(shade: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """A made face, BGR, whose blue tells the frame."""
    return np.full((112, 112, 3), (shade % 256, 100, 200), np.uint8)


def variant(source: Path, target: Path) -> Path:
    """The same video as another file: its name stands in an MP4 box that players leave out."""
    tag = target.name.encode()
    target.write_bytes(source.read_bytes() + struct.pack(">I4s", 8 + len(tag), b"free") + tag)
    return target
