"""What ``affectstore weights add`` writes beside the files that it stores."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from features.errors import WeightsDamaged

RECEIPT = "weights.json"


class Receipt(BaseModel):
    """Where stored weights came from, and what they are.

    Attributes:
        name: the registry's name.
        sha256: what stands in extractor keys: of the tensors, or of the files kept as they are.
        files: stored file -> sha256 of its bytes.
        originals: the user's file -> sha256 of its bytes.
        verified: what proved them: a known sha256, the network's names and shapes, or nothing.
        added: time of adding, ISO 8601, UTC.
        licence: as the registry stated it then.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    sha256: str
    files: Mapping[str, str]
    originals: Mapping[str, str]
    verified: Literal["sha256", "structure", "nothing"]
    added: str
    licence: str


def read_receipt(folder: Path) -> Receipt | None:
    """The receipt in a folder of weights; None if there is none.

    Raises:
        WeightsDamaged: it is no receipt, or can't be read.
    """
    path = folder / RECEIPT
    try:
        text = path.read_text(encoding="utf-8")
        return Receipt.model_validate_json(text)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise WeightsDamaged(f"{path} can't be read ({error.strerror}); set its rights") from None
    except (UnicodeDecodeError, ValidationError):
        raise WeightsDamaged(
            f"{path} is damaged; add the weights again: affectstore weights add {folder.name} FILE"
        ) from None
