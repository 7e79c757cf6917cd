"""Where OpenFace is and what it may use: environment variables, none of which changes numbers.

What changes numbers, the image's digest or the binary's sha256, is in the extractor's key.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal, cast, get_args

from features.errors import RequestError

BackendName = Literal["docker", "apptainer", "binary"]

#: the public image of OpenFace 2.x, by digest; programs lie in BIN_FOLDER
DEFAULT_IMAGE = (
    "algebr/openface@sha256:f43ad4e7fa4530143c7a9e0e8eca7e4f2b45599c1ef19680b68ad1eebba05197"
)
BIN_FOLDER = "/home/openface-build/build/bin"
PREFIX = "AFFECTSTORE_OPENFACE_"
MIB = 2**20
#: MiB that even the shortest clip may make OpenFace write
LEAST_SPACE = 64

LICENCE = "academic and non-commercial use only (OpenFace)"
NOTICE = (
    "OpenFace is for academic, non-commercial research only; its licence and what to cite: "
    "OpenFace-license.txt and Copyright.txt in its sources (containers/openface/README.md)"
)


@dataclass(frozen=True)
class Settings:
    """What the environment says.

    Attributes:
        backend: how it is run.
        image: docker's name of the image, by digest if it can be.
        folder: folder of the programs in the image.
        sif: path of the image as an Apptainer file.
        binary: path of FeatureExtraction on this machine.
        memory: limit, as docker writes it.
        seconds, factor: time limit of a clip: ``seconds + factor * duration``.
        space: MiB that it may write per second of the clip, and so much more: see ``most``.
    """

    backend: BackendName
    image: str
    folder: str
    sif: str
    binary: str
    memory: str
    seconds: float
    factor: float
    space: float

    def limit(self, duration: float) -> float:
        """Seconds that a clip of that many seconds may take."""
        return self.seconds + self.factor * duration

    def most(self, duration: float) -> float:
        """Bytes that a clip of that many seconds may make OpenFace write.

        A frame of one face is 6 kB of text and 38 kB of picture.
        """
        return (LEAST_SPACE + self.space * duration) * MIB


def read_settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """The settings of ``AFFECTSTORE_OPENFACE_*``: BACKEND, IMAGE, FOLDER, SIF, BINARY, MEMORY,
    SECONDS, FACTOR, SPACE.

    Raises:
        RequestError: a value can't be.
    """

    def told(name: str, default: str) -> str:
        return environment.get(PREFIX + name, "") or default

    binary, sif = told("BINARY", ""), told("SIF", "")
    found = told("BACKEND", "binary" if binary else "apptainer" if sif else "docker")
    if found not in get_args(BackendName):
        names = ", ".join(get_args(BackendName))
        raise RequestError(f"{PREFIX}BACKEND={found}: choose {names}")
    return Settings(
        backend=cast("BackendName", found),
        image=told("IMAGE", DEFAULT_IMAGE),
        folder=str(PurePosixPath(told("FOLDER", BIN_FOLDER))),
        sif=sif,
        binary=binary,
        memory=told("MEMORY", "4g"),
        seconds=_number("SECONDS", told("SECONDS", "120")),
        factor=_number("FACTOR", told("FACTOR", "30")),
        space=_number("SPACE", told("SPACE", "32")),
    )


def _number(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise RequestError(f"{PREFIX}{name}={text}: write a number, such as 120")
    return value
