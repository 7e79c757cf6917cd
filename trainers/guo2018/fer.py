"""Stage 1 of models a and b: VGG-Face learns emotions from FER-2013's single faces."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from storage.batches import Batch, Windows
from storage.errors import StoreError
from trainers import pretrained
from trainers.control import shuffled_pictures
from trainers.device import autocast, find_device
from trainers.errors import NothingToTrain
from trainers.frames import INFERENCE_BATCH, WindowTask
from trainers.guo2018.optimizers import sgd
from trainers.guo2018.settings import GuoSettings, Train, of
from trainers.loop import fit
from trainers.metrics import accuracy, confusion_matrix, need_finite, uar
from trainers.models.vgg_lstm import FaceClassifier
from trainers.recipe import Context

FEATURE, LABEL, WEIGHTS = "frame_48", "emotion", "vggface16"
#: what the corpus's numbers mean; AFEW's words have the same order
EMOTIONS = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")
FOLDER = "fer2013"
#: learned from, and chosen by
SPLITS = ("train", "val")


class FerTask(WindowTask):
    """A task of the loop: the emotion of single images."""

    def __init__(self, net: FaceClassifier, train: Windows, val: Windows, settings: Train) -> None:
        if settings.shuffle_labels:
            train = shuffled_pictures(train, settings.seed)
        # the new last layer learns faster
        super().__init__(net, train, val, settings, sgd(settings, faster="net.fc8."))

    @property
    def monitor(self) -> str:
        """Accuracy."""
        return "accuracy"

    def forward(self, batch: Batch) -> torch.Tensor:
        """Logits."""
        out: torch.Tensor = self._model({"x": batch.values[FEATURE]})
        return out

    def loss(self, output: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Cross-entropy."""
        return functional.cross_entropy(output, batch.labels[LABEL][:, 0].long())

    def weight(self, batch: Batch) -> float:
        """Images."""
        return float(len(batch.clips))

    def validate(self) -> dict[str, float]:
        """Accuracy and UAR."""
        found, wanted = [], []
        self._model.eval()
        with torch.inference_mode():
            for batch in self._val.batches(INFERENCE_BATCH):
                with autocast(self._val.device, self._settings.precision):
                    output = self.forward(batch)
                answers = output.float().cpu().numpy()
                need_finite(answers, "prediction")
                found.append(answers.argmax(1))
                wanted.append(batch.labels[LABEL][:, 0].cpu().numpy().astype(np.int64))
        matrix = confusion_matrix(np.concatenate(found), np.concatenate(wanted), len(EMOTIONS))
        return {"accuracy": accuracy(matrix), "uar": uar(matrix)}


def classifier(settings: GuoSettings, classes: int) -> FaceClassifier:
    """A new network of that many classes."""
    model = settings.model
    return FaceClassifier(classes, model.scale, model.size, model.dropout)


def stage_one(context: Context) -> tuple[FaceClassifier, str]:
    """VGG-Face, after FER-2013 if the store has it, and a note of what was done.

    Raises:
        NothingToTrain: the corpus that is named isn't there, or its images aren't extracted.
        WrongWeights: VGG-Face's weights don't fit the network.
    """
    settings = of(context.settings)
    train = settings.train
    torch.manual_seed(train.seed)
    net = classifier(settings, len(EMOTIONS))
    note = "from scratch, as model.pretrained=false asks"
    if settings.model.pretrained:
        note = pretrained.start(context, net.net, WEIGHTS, skip=("fc8.",))
    note = f"VGG-Face {note}"
    if not train.fer_corpus:
        return net, f"{note}; stage 1 (FER-2013) skipped: train.fer_corpus names no corpus"
    first, val = (_images(context, split) for split in SPLITS)
    context.progress.say(f"{FOLDER}: {len(first)} images; {first.loading}")
    own = train.model_copy(update={"epochs": train.fer_epochs})
    state = fit(
        FerTask(net, first, val, own), own, context.folder / FOLDER / "checkpoints",
        context.progress,
    )  # fmt: skip
    return net, f"{note}; then {train.fer_corpus}, accuracy {state.best:.3f} ({facts(context)})"


def facts(context: Context) -> str:
    """What of FER-2013 was read."""
    found = _images(context, "train").selection
    return f"{FEATURE} {found.fingerprint(FEATURE)[:16]}"


def _images(context: Context, split: str) -> Windows:
    train = of(context.settings).train
    try:
        return context.store.windows(
            [FEATURE],
            1,
            1,
            train.fer_corpus,
            split,
            labels=[LABEL],
            device=str(find_device(train.device)),
            mode=train.mode,
        )
    except StoreError as error:
        raise NothingToTrain(
            f"train.fer_corpus={train.fer_corpus}: {error}; affectstore ingest fer2013.csv "
            f"--adapter fer2013 -c {train.fer_corpus} …, then extract -f {FEATURE}; or leave "
            "train.fer_corpus empty"
        ) from error
