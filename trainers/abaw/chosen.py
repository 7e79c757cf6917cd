"""What the settings choose: which views of a frame, and how these are learned."""

from __future__ import annotations

from trainers.abaw.augment import Augmentation
from trainers.abaw.samples import SOUND, View
from trainers.abaw.settings import KuhnkeSettings
from trainers.abaw.task import Ways

FACE, MASK, PROVIDED = "face_112", "face_mask", "faces_provided"


def view_of(settings: KuhnkeSettings) -> View:
    """What is shown of a frame."""
    model = settings.model
    visual, aural = model.streams != "aural", model.streams != "visual"
    face = PROVIDED if model.alignment == "provided" else FACE
    border = model.border
    if border == "auto":
        border = "released" if model.released else "centred"
    return View(
        face if visual else None,
        MASK if visual and model.mask else None,
        SOUND if aural else None,
        model.frames,
        model.dilation,
        model.fps or None,
        border,
    )


def ways_of(settings: KuhnkeSettings, frames: int) -> Ways:
    """How there is learned and scored, of so many frames."""
    train, model = settings.train, settings.model
    threshold = model.au_threshold
    if threshold == "auto":
        threshold = "released" if model.released else "sigmoid"
    return Ways(
        expressions=model.expressions,
        pseudo=train.pseudo,
        augmentation=Augmentation(train.flip, train.hue, train.saturation, train.value),
        side=model.side,
        bands_first=model.released if model.bands == "auto" else model.bands == "first",
        ccc_divide=train.ccc_divide,
        threshold=threshold,
        epoch_frames=min(train.epoch_frames, frames),
        threads=train.threads,
    )
