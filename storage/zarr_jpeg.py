"""The codec of image parts for stock zarr-python; found by entry point once this is installed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Self

import numpy as np
from zarr.abc.codec import ArrayBytesCodec
from zarr.core.array_spec import ArraySpec
from zarr.core.buffer import Buffer, NDBuffer
from zarr.core.common import JSON, parse_named_configuration

from storage.codecs import CODECS, ZARR_JPEG


@dataclass(frozen=True)
class ZarrJpeg(ArrayBytesCodec):
    """A chunk of one RGB image ``(1, height, width, 3)`` as a JPEG file.

    Attributes:
        quality: what it was written with; for the record, reading needs it not.
    """

    quality: int = 95
    is_fixed_size = False

    @classmethod
    def from_dict(cls, data: dict[str, JSON]) -> Self:
        """From the array's metadata."""
        _, configuration = parse_named_configuration(data, ZARR_JPEG)
        return cls(**configuration)  # type: ignore[arg-type]

    def to_dict(self) -> dict[str, JSON]:
        """As in the array's metadata."""
        return {"name": ZARR_JPEG, "configuration": {"quality": self.quality}}

    async def _decode_single(self, chunk_data: Buffer, chunk_spec: ArraySpec) -> NDBuffer:
        out = np.empty(chunk_spec.shape, np.uint8)
        await asyncio.to_thread(CODECS["jpeg95"].decode, chunk_data.to_bytes(), out)
        return chunk_spec.prototype.nd_buffer.from_numpy_array(out)

    async def _encode_single(self, chunk_data: NDBuffer, chunk_spec: ArraySpec) -> Buffer:
        data = await asyncio.to_thread(CODECS["jpeg95"].encode, chunk_data.as_numpy_array())
        return chunk_spec.prototype.buffer.from_bytes(data)

    def compute_encoded_size(self, input_byte_length: int, _chunk_spec: ArraySpec) -> int:
        """Unknown before an image is encoded.

        Raises:
            NotImplementedError: always; zarr's own codecs of no fixed size answer so.
        """
        raise NotImplementedError("an image's size as JPEG is known only once it is encoded")
