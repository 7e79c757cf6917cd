"""What can go wrong while something is trained; each error has a short stable code."""

from __future__ import annotations


class TrainerError(Exception):
    """Base: ``str(error)`` is one line that says what is wrong and what to do."""

    code = "trainer_error"


class UnknownRecipe(TrainerError, ValueError):
    """No recipe has that name."""

    code = "unknown_recipe"


class WrongSetting(TrainerError, ValueError):
    """A recipe has no such setting, or the value doesn't fit."""

    code = "wrong_setting"


class WrongTrainDevice(TrainerError, ValueError):
    """The device isn't there, or can't do what was asked."""

    code = "wrong_device"


class NothingToTrain(TrainerError):
    """The corpus has no clips, labels or splits to train or score with."""

    code = "nothing_to_train"


class CheckpointDamaged(TrainerError):
    """A checkpoint isn't what was written."""

    code = "checkpoint_damaged"


class RunMismatch(TrainerError):
    """The folder holds a run with other settings, or none."""

    code = "run_mismatch"


class CantWrite(TrainerError, OSError):
    """A file of a run can't be written: a full disk, or no permission."""

    code = "cant_write"


class WrongWeights(TrainerError, ValueError):
    """A file of weights isn't of the network that should start from it."""

    code = "wrong_weights"


class GpuFull(TrainerError):
    """A training doesn't fit into the memory of the GPU."""

    code = "gpu_full"


class Diverged(TrainerError):
    """The loss isn't a number any more."""

    code = "diverged"


class ExtraMissing(TrainerError):
    """An optional package isn't installed."""

    code = "extra_missing"
