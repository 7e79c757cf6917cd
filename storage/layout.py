"""How a part lies in its files: names, chunk sizes, Zarr v3 metadata and shard indexes.

A part is a Zarr v3 group ``parts/<feature>/<id>.zarr`` with arrays ``values``, ``valid``,
``digest`` and, for a ragged feature, ``offsets``. Each array is one shard file: its chunks one
after the other, every one of them written, then the index with its crc32c.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, get_args

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from features.spec import FeatureSpec, Rate, is_safe_name
from storage.codecs import CODECS, RAW, Codec
from storage.errors import WrongFormat

#: version of everything below; a reader refuses others
PART_FORMAT = 1
#: rows per chunk of values, where rows are small
CHUNK_ROWS = 16
#: about the size of a chunk of values, where rows are large
CHUNK_BYTES = 65_536
#: entries per chunk of validity, digests and offsets
ENTRIES_PER_CHUNK = 4_096
_CRC_BYTES = 4
_INDEX_ENTRY = np.dtype("<u8")
METADATA = "zarr.json"


def part_key(feature: str, part: str) -> str:
    """Where a part lies, relative to the store's root.

    Raises:
        WrongFormat: the feature's name can't be a folder's, or leaves it.
    """
    if not is_safe_name(feature):
        raise WrongFormat(f"{feature!r} can't be a feature's name; see that the store is yours")
    return f"parts/{feature}/{part}.zarr"


def new_part_id() -> str:
    """A fresh id that sorts by time."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{secrets.token_hex(5)}"


def shard_path(ndim: int) -> str:
    """An array's one shard file, relative to the array's folder."""
    return "/".join(["c", *["0"] * ndim])


def stored_dtype(name: str) -> np.dtype[Any]:
    """The little-endian form in which values are stored."""
    return np.dtype(name).newbyteorder("<")


@dataclass(frozen=True)
class ArrayLayout:
    """One array of a part: shape of a row, chunk length, codec, and how it is described.

    Attributes:
        dims: shape of one row.
        chunk: rows per inner chunk.
        names: Zarr's dimension names, rows first.
    """

    name: str
    dtype: np.dtype[Any]
    dims: tuple[int, ...]
    chunk: int
    codec: Codec
    names: tuple[str, ...]

    @property
    def row_bytes(self) -> int:
        """Bytes of one row before compression."""
        return int(np.prod(self.dims, dtype=np.int64)) * self.dtype.itemsize

    @property
    def path(self) -> str:
        """The shard file, relative to the part."""
        return f"{self.name}/{shard_path(1 + len(self.dims))}"

    @property
    def fill(self) -> float | int | bool:
        """What padding holds: NaN for floats, else 0."""
        if self.dtype.kind == "f":
            return float("nan")
        return False if self.dtype.kind == "b" else 0

    def chunks(self, rows: int) -> int:
        """Chunks of an array with ``rows`` rows: at least one."""
        return max(1, -(-rows // self.chunk))

    def metadata(self, rows: int) -> bytes:
        """The array's ``zarr.json``."""
        index_codecs = [
            {"name": "bytes", "configuration": {"endian": "little"}},
            {"name": "crc32c"},
        ]
        sharding = {
            "chunk_shape": [self.chunk, *self.dims],
            "codecs": self.codec.metadata(self.dtype),
            "index_codecs": index_codecs,
            "index_location": "end",
        }
        shard = [self.chunks(rows) * self.chunk, *self.dims]
        fill = self.fill
        document = {
            "zarr_format": 3,
            "node_type": "array",
            "shape": [rows, *self.dims],
            "data_type": self.dtype.name,
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": shard}},
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
            "fill_value": "NaN" if fill != fill else fill,
            "codecs": [{"name": "sharding_indexed", "configuration": sharding}],
            "dimension_names": list(self.names),
            "attributes": {},
            "storage_transformers": [],
        }
        return json.dumps(document, indent=2).encode()


@dataclass(frozen=True)
class PartLayout:
    """The arrays of one feature's parts, and how clips are placed in them."""

    spec: FeatureSpec
    codec: Codec

    @cached_property
    def values(self) -> ArrayLayout:
        """The values: rows, or items of a ragged feature."""
        spec = self.spec
        first = "item" if spec.ragged else "sample" if spec.rate == "sample" else "row"
        if not spec.dims:
            names: tuple[str, ...] = (first,)
        else:
            inner = [f"axis_{i}" for i in range(1, len(spec.dims))]
            names = (first, *inner, "column")
        if spec.rate == "sample":
            chunk = spec.block
        elif self.codec.images:
            chunk = 1
        else:
            chunk = min(CHUNK_ROWS, max(1, CHUNK_BYTES // max(1, spec.row_bytes)))
        return ArrayLayout("values", stored_dtype(spec.dtype), spec.dims, chunk, self.codec, names)

    @cached_property
    def valid(self) -> ArrayLayout:
        """One flag per row, frame slot or block."""
        return self._entries("valid", "bool")

    @cached_property
    def digest(self) -> ArrayLayout:
        """One digest per row, frame slot or block."""
        return self._entries("digest", "uint64")

    @cached_property
    def offsets(self) -> ArrayLayout:
        """Ragged only: the first item of each frame slot, counted within the part."""
        return self._entries("offsets", "int64")

    @cached_property
    def arrays(self) -> tuple[ArrayLayout, ...]:
        """All arrays of a part."""
        plain = (self.values, self.valid, self.digest)
        return (*plain, self.offsets) if self.spec.ragged else plain

    @cached_property
    def align(self) -> int:
        """Rows (frame slots) on whose multiples a clip starts; 1 packs clips closely."""
        if self.spec.rate == "sample":
            return self.spec.block
        if self.spec.rate == "clip":
            return 1
        return CHUNK_ROWS if self.spec.ragged else self.values.chunk

    def _entries(self, name: str, dtype: str) -> ArrayLayout:
        first = "block" if self.spec.rate == "sample" else "row"
        return ArrayLayout(name, stored_dtype(dtype), (), ENTRIES_PER_CHUNK, RAW, (first,))

    def group_metadata(
        self,
        *,
        description: Mapping[str, object],
        rows: Mapping[str, int],
        file_bytes: Mapping[str, int],
        clips: int,
    ) -> bytes:
        """The group's ``zarr.json``: what a reader needs, and what a person wants to know."""
        spec = self.spec
        attributes = {
            "format": PART_FORMAT,
            "feature": spec.name,
            "rate": spec.rate,
            "dims": list(spec.dims),
            "dtype": spec.dtype,
            "columns": list(spec.columns),
            "units": spec.units,
            "ragged": spec.ragged,
            "summary": spec.description,
            "groups": [list(group) for group in spec.groups],
            "description": dict(description),
            "codec": self.codec.name,
            "span": spec.span,
            "clips": clips,
            "rows": dict(rows),
            "file_bytes": dict(file_bytes),
        }
        document = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
        return json.dumps(document, indent=2, allow_nan=False).encode()


@dataclass(frozen=True)
class PartHeader:
    """What a part's ``zarr.json`` says.

    Attributes:
        layout: None if the part's codec isn't in our table: stock Zarr may still read it.
        clips: how many were written; a clip cut by the part's size counts in each.
        rows: array -> its length.
        file_bytes: array -> length of its shard file.
    """

    spec: FeatureSpec
    layout: PartLayout
    known_codec: bool
    description: dict[str, object]
    clips: int
    rows: dict[str, int]
    file_bytes: dict[str, int]

    @classmethod
    def parse(cls, document: bytes, name: str) -> PartHeader:
        """Read a group's ``zarr.json``; WrongFormat, or ValueError if it is no part's."""
        try:
            held = json.loads(document)
            if (held["zarr_format"], held["node_type"]) != (3, "group"):
                raise ValueError(f"zarr.json of {name} is no group's")
            attributes = held["attributes"]
            version = attributes["format"]
            if version != PART_FORMAT:
                raise WrongFormat(
                    f"{name} has part format {version}, this release reads {PART_FORMAT}: "
                    "use the release that wrote it"
                )
            spec = FeatureSpec(
                name=attributes["feature"],
                rate=attributes["rate"],
                dims=tuple(int(length) for length in attributes["dims"]),
                dtype=attributes["dtype"],
                columns=tuple(attributes["columns"]),
                units=attributes["units"],
                ragged=attributes["ragged"],
                description=attributes["summary"],
                groups=groups_of(attributes.get("groups", ())),
                codec=attributes["codec"],
                span=attributes.get("span"),
            )
            codec = CODECS.get(attributes["codec"])
            header = cls(
                spec,
                PartLayout(spec, codec or RAW),
                codec is not None,
                attributes["description"],
                int(attributes["clips"]),
                {k: int(v) for k, v in attributes["rows"].items()},
                {k: int(v) for k, v in attributes["file_bytes"].items()},
            )
            header._check()
        except (KeyError, TypeError, AttributeError, OverflowError) as error:
            raise ValueError(f"zarr.json of {name} isn't a part's: {error!r}") from error
        return header

    def _check(self) -> None:
        """Raises ValueError, TypeError or KeyError if no array of a part can be so."""
        spec = self.spec
        if spec.rate not in get_args(Rate):
            raise ValueError(f"there is no rate {spec.rate!r}")
        if stored_dtype(spec.dtype).kind not in "biuf":
            raise ValueError(f"values are no {spec.dtype}")
        for array in self.layout.arrays:
            rows, size = self.rows[array.name], self.file_bytes[array.name]
            shortest = index_bytes(array.chunks(rows)) if self.known_codec else 0
            if rows < 0 or size < shortest or any(length < 0 for length in array.dims):
                raise ValueError(f"{array.name} can't have {rows} rows in {size} bytes")


def groups_of(given: Iterable[Sequence[Any]]) -> tuple[tuple[str, int, int], ...]:
    """A feature's column groups, from JSON."""
    return tuple((str(name), int(start), int(stop)) for name, start, stop in given)


def encode_index(entries: NDArray[np.uint64]) -> bytes:
    """A shard's index: (offset, length) per chunk, uint64 little-endian, and its crc32c."""
    raw = np.ascontiguousarray(entries, _INDEX_ENTRY).tobytes()
    return raw + int(google_crc32c.value(raw)).to_bytes(_CRC_BYTES, "little")


def index_bytes(chunks: int) -> int:
    """Length of the index of a shard with that many chunks."""
    return chunks * 2 * _INDEX_ENTRY.itemsize + _CRC_BYTES


def decode_index(data: bytes) -> NDArray[np.uint64]:
    """uint64 ``(chunks, 2)``: offset and length; ValueError if the checksum is wrong."""
    raw, crc = data[:-_CRC_BYTES], data[-_CRC_BYTES:]
    if int(google_crc32c.value(raw)).to_bytes(_CRC_BYTES, "little") != crc:
        raise ValueError("the shard's index has a wrong checksum")
    return np.frombuffer(raw, _INDEX_ENTRY).reshape(-1, 2).astype(np.uint64)
