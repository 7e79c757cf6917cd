"""The weights registry: which weights there are, where they lie, and that they are the right ones.

``entries`` lists them, ``files`` finds and proves them, ``add`` takes a user's file in.
"""

from features.weights.files import (
    ABSENT,
    FOLDER_VARIABLE,
    folder,
    is_present,
    proved,
    read,
    receipt,
    remedy_of,
    resolve,
    sha256,
    tensors,
)
from features.weights.lookup import entry, left_out, registry
from features.weights.receipts import Receipt
from features.weights.spec import Structure, Weights

__all__ = [
    "ABSENT",
    "FOLDER_VARIABLE",
    "Receipt",
    "Structure",
    "Weights",
    "entry",
    "folder",
    "is_present",
    "left_out",
    "proved",
    "read",
    "receipt",
    "registry",
    "remedy_of",
    "resolve",
    "sha256",
    "tensors",
]
