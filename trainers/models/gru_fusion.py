"""Recurrent branches per modality, fused per time step (Rasipuram et al. 2020, section 3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

Cell = Literal["gru", "bilstm"]

#: widths of the branches' layers, of the layer that joins them, and the dropout, of the paper
AUDIO, FACE, POSE = (128, 64), (256, 256, 64), (128, 64)
JOINED, OUTPUTS = 64, 2
DROPOUT = 0.25


class Kind(NamedTuple):
    """What a branch is made of."""

    widths: tuple[int, ...]
    recurrent: bool
    dropout: float


#: branch -> its layers; the paper names no dropout for the face branch
BRANCHES: Mapping[str, Kind] = {
    "audio": Kind(AUDIO, True, DROPOUT),
    "face": Kind(FACE, True, 0.0),
    "pose": Kind(POSE, False, DROPOUT),
}


@dataclass(frozen=True)
class Shape:
    """The network's shape.

    Attributes:
        inputs: branch -> columns of its input.
        scale: widths are multiplied by it; 1 is the paper's network.
    """

    inputs: Mapping[str, int]
    cell: Cell = "gru"
    scale: float = 1.0


class GruFusion(nn.Module):
    """Two values per time step, -1..1, in the order valence, arousal.

    Every layer is followed by PReLU, batch norm and dropout, in this order (ours: the paper says
    that each of them is there). Batch norm counts real rows only.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.branches = nn.ModuleDict(
            {
                name: _Branch(columns, BRANCHES[name], shape)
                for name, columns in shape.inputs.items()
            }
        )
        width = sum(_scaled(BRANCHES[name].widths[-1], shape.scale) for name in shape.inputs)
        self.join = _Layer(width, _scaled(JOINED, shape.scale), 0.0)
        self.output = nn.Linear(_scaled(JOINED, shape.scale), OUTPUTS)

    def forward(self, inputs: Mapping[str, torch.Tensor], mask: torch.Tensor) -> torch.Tensor:
        """``(batch, length, columns)`` per branch and a bool mask; ``(batch, length, 2)``."""
        real = _real(mask)
        found = [branch(inputs[name], real) for name, branch in self.branches.items()]
        out: torch.Tensor = torch.tanh(self.output(self.join(torch.cat(found, -1), real)))
        return out


class _Real(NamedTuple):
    """The rows of a batch that are there, found once: a GPU is waited for to know their number.

    Attributes:
        places: int64 ``(rows,)``, where they are among all of the batch, end to end.
        lengths: int64 ``(batch,)`` on the CPU, 1 at least; None: all rows are there.
    """

    places: torch.Tensor
    lengths: torch.Tensor | None


def _real(mask: torch.Tensor) -> _Real:
    if bool(mask.all()):
        return _Real(torch.arange(mask.numel(), device=mask.device), None)
    return _Real(mask.flatten().nonzero()[:, 0], mask.sum(1).clamp(min=1).cpu())


class _Branch(nn.Module):
    def __init__(self, columns: int, kind: Kind, shape: Shape) -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        for width in kind.widths:
            wide = _scaled(width, shape.scale)
            if kind.recurrent:
                self.layers.append(_Recurrent(columns, wide, kind.dropout, shape.cell))
            else:
                self.layers.append(_Layer(columns, wide, kind.dropout))
            columns = wide

    def forward(self, values: torch.Tensor, real: _Real) -> torch.Tensor:
        for layer in self.layers:
            values = layer(values, real)
        return values


class _After(nn.Module):
    """PReLU, batch norm over real rows, dropout."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.activation = nn.PReLU(width)
        self.norm = nn.BatchNorm1d(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, values: torch.Tensor, real: _Real) -> torch.Tensor:
        flat = values.flatten(0, 1)
        rows = flat[real.places]
        if not (self.training and len(rows) < 2):  # one row has no variance to learn from
            rows = self.dropout(self.norm(self.activation(rows)))
        out = torch.zeros(flat.shape, dtype=rows.dtype, device=flat.device)
        out[real.places] = rows
        return out.view(values.shape)


class _Layer(nn.Module):
    def __init__(self, columns: int, width: int, dropout: float) -> None:
        super().__init__()
        self.linear = nn.Linear(columns, width)
        self.after = _After(width, dropout)

    def forward(self, values: torch.Tensor, real: _Real) -> torch.Tensor:
        out: torch.Tensor = self.after(self.linear(values), real)
        return out


class _Recurrent(nn.Module):
    """A GRU, or a BiLSTM whose two directions share the width (ours: the paper gives none)."""

    def __init__(self, columns: int, width: int, dropout: float, cell: Cell) -> None:
        super().__init__()
        self.cell: nn.GRU | nn.LSTM
        if cell == "gru":
            self.cell = nn.GRU(columns, width, batch_first=True)
        else:
            self.cell = nn.LSTM(columns, width // 2, batch_first=True, bidirectional=True)
        self.after = _After(width, dropout)

    def forward(self, values: torch.Tensor, real: _Real) -> torch.Tensor:
        if real.lengths is None:
            hidden, _ = self.cell(values)
        else:  # the backward direction must begin at each row's own last step
            packed = pack_padded_sequence(
                values, real.lengths, batch_first=True, enforce_sorted=False
            )
            hidden, _ = pad_packed_sequence(
                self.cell(packed)[0], batch_first=True, total_length=values.shape[1]
            )
        out: torch.Tensor = self.after(hidden, real)
        return out


def _scaled(width: int, scale: float) -> int:
    """At least 2, and even, for two directions."""
    return max(2, 2 * round(width * scale / 2))
