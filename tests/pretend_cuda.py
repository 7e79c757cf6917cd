"""A pretended CUDA device: tensors that say ``cuda`` and are computed on the CPU.

It checks placement, neither arithmetic nor speed: an operation between tensors of both devices is
refused as CUDA refuses it, what waits for the device is counted, and where a kernel is CUDA's own
(the fused cells of recurrent networks) the same formula is computed. Numbers are the CPU's.
"""

from __future__ import annotations

import contextlib
import ctypes
import types
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten

CUDA = torch.device("cuda", 0)
#: what a tensor's C++ half is told to be on: a kind that autograd runs without streams
SHELL = torch.device("lazy", 0)
#: places in torch's list of guards
IN_LIST = {"cuda": 1, "meta": 14, "lazy": 17}
aten = torch.ops.aten

#: may read tensors of both devices: copies, and indexing of what lies on the card by the CPU's
MIXED = {
    aten.copy_.default,
    aten._to_copy.default,
    aten.index.Tensor,
    aten.index_put_.default,
    aten.index_put.default,
    aten._index_put_impl_.default,
    aten._pack_padded_sequence.default,
}
#: may be computed with shortened mantissas
PRODUCTS = {aten.mm.default, aten.addmm.default, aten.bmm.default, aten.mv.default} | {
    aten.convolution.default
}
#: the process waits for the card
WAITS = {
    aten._local_scalar_dense.default,
    aten.nonzero.default,
    aten.masked_select.default,
    aten.equal.default,
    aten.repeat_interleave.Tensor,
    aten._unique2.default,
}


#: what autocast computes in bfloat16, and how deep in autocast the process is
LOWER = {
    functional.linear,
    functional.conv1d,
    functional.conv2d,
    functional.conv3d,
    torch.matmul,
    torch.bmm,
    Tensor.matmul,
    Tensor.__matmul__,
    functional.prelu,
    torch._VF.lstm,
    torch._VF.gru,
}
_LOWERED: list[torch.dtype] = []


def _lowered(value: Any) -> Any:
    lower = isinstance(value, OnCard) and value.dtype == torch.float32
    return value.to(_LOWERED[-1]) if lower else value


class OnCard(Tensor):
    """A tensor that says it is on the card."""

    held: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor, requires_grad: bool = False) -> OnCard:
        made: OnCard = Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls,
            inner.shape,
            strides=inner.stride(),
            dtype=inner.dtype,
            layout=inner.layout,
            device=SHELL,
            requires_grad=requires_grad,
        )
        made.held = inner
        return made

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return CUDA

    @property
    def is_cuda(self) -> bool:  # type: ignore[override]
        return True

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        with torch._C.DisableTorchFunctionSubclass():
            if _LOWERED and func in LOWER:
                args, kwargs = tree_map(_lowered, (args, kwargs))
            return func(*args, **kwargs)

    def __repr__(self, **_: Any) -> str:  # type: ignore[override]
        return f"OnCard({self.held!r})"

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        return dispatch(func, args, kwargs or {}, None)


class Card(TorchDispatchMode):
    """While it is entered, ``cuda`` exists.

    Attributes:
        waits: operation -> times that the process waited for it.
        calls: operations on the card.
        flags: of products and convolutions: may mantissas be shortened in products; in cuDNN?
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.waits: Counter[str] = Counter()
        self.calls = 0
        self.flags: set[tuple[bool, bool]] = set()

    def clear(self) -> None:
        """Count from here on."""
        self.waits.clear()
        self.flags.clear()
        self.calls = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        return dispatch(func, args, kwargs or {}, self)


def dispatch(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], card: Card | None) -> Any:
    flat, shape = tree_flatten((args, kwargs))
    ours = [t for t in flat if isinstance(t, OnCard)]
    asked = kwargs.get("device")
    # "cuda" without a number comes as the guard's device
    there = {"cuda", SHELL.type} | ({"meta"} if func is aten._to_copy.default else set())
    goes = torch.device(asked).type in there if asked is not None else bool(ours)
    if asked is not None and torch.device(asked).type == "meta" and not goes:
        return func(*args, **kwargs)
    if ours:
        check(func, flat, args)
        if card is not None:
            count(card, func, args, goes)
    plain_args, plain_kwargs = tree_unflatten([_inner(x) for x in flat], shape)
    if asked is not None:
        plain_kwargs["device"] = torch.device("cpu")
    plain_kwargs.pop("pin_memory", None) if goes else None
    if func is aten._to_copy.default and goes != bool(ours):
        plain_kwargs["non_blocking"] = False
        # another device is always a copy
        out = func(*plain_args, **plain_kwargs)
        out = out.clone() if out.data_ptr() == plain_args[0].data_ptr() else out
    else:
        out = func(*plain_args, **plain_kwargs)
    if ours and func is aten._pack_padded_sequence.default:
        return OnCard(out[0]), out[1]
    if torch.Tag.inplace_view in func.tags and ours:
        # the shell turns as what it holds has turned
        args[0].data = OnCard(args[0].held)
        return args[0]
    if not goes:
        return out
    given = {id(t.held): t for t in ours}

    def back(value: Any) -> Any:
        if not isinstance(value, Tensor) or isinstance(value, OnCard):
            return value
        return given.get(id(value)) if id(value) in given else OnCard(value)

    return tree_map(back, out)


def _inner(value: Any) -> Any:
    return value.held if isinstance(value, OnCard) else value


def check(func: Any, flat: list[Any], args: tuple[Any, ...]) -> None:
    """Refuse to mix devices; the CPU's tensors without axes count as numbers."""
    if func in MIXED:
        if func in (aten.index.Tensor, aten.index_put_.default, aten.index_put.default):
            if not isinstance(args[0], OnCard):
                raise RuntimeError(
                    "indices should be either on cpu or on the same device as the indexed "
                    "tensor (cpu)"
                )
            if func is not aten.index.Tensor and not isinstance(args[2], OnCard) and args[2].dim():
                raise RuntimeError(f"{func}: expected all tensors to be on the same device")
        return
    for value in flat:
        if isinstance(value, Tensor) and not isinstance(value, OnCard) and value.dim():
            raise RuntimeError(
                f"{func}: expected all tensors to be on the same device, but found at least two "
                "devices, cuda:0 and cpu"
            )


def count(card: Card, func: Any, args: tuple[Any, ...], goes: bool) -> None:
    card.calls += 1
    if func in PRODUCTS:
        products = torch.get_float32_matmul_precision() != "highest"
        card.flags.add((products, torch.backends.cudnn.allow_tf32))
    masks = func is aten.index.Tensor and any(
        i is not None and i.dtype == torch.bool for i in args[1]
    )
    copied = func is aten._to_copy.default and not goes
    if func in WAITS or masks or copied:
        card.waits[str(func)] += 1


@contextlib.contextmanager
def _guard() -> Iterator[None]:
    """A build without CUDA doesn't know how to switch cards: for ``meta`` nothing is switched."""
    library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libc10.so"))
    known = (ctypes.c_void_p * 21).in_dll(library, "_ZN3c104impl26device_guard_impl_registryE")
    before = {name: known[place] for name, place in IN_LIST.items()}
    known[IN_LIST["cuda"]] = known[IN_LIST["lazy"]] = before["meta"]
    try:
        yield
    finally:
        for name, place in IN_LIST.items():
            known[place] = before[name]


@contextlib.contextmanager
def _autocast(device: str, dtype: torch.dtype, enabled: bool = True) -> Iterator[None]:
    assert device == "cuda"
    _LOWERED.append(dtype)
    try:
        yield
    finally:
        _LOWERED.pop()


def _lowers() -> bool:
    return bool(_LOWERED)


@contextlib.contextmanager
def pretend_cuda() -> Iterator[Card]:
    """One card of 8 GiB, for as long as it lasts and in this thread."""
    card = Card()
    sizes = (8 * 2**30, 8 * 2**30)
    generator = torch.Generator()
    told = types.SimpleNamespace(name="pretended", total_memory=sizes[1], major=9, minor=0)
    patches: dict[str, Any] = {
        "_lazy_init": lambda: None,
        "is_available": lambda: True,
        "is_initialized": lambda: True,
        "device_count": lambda: 1,
        "current_device": lambda: 0,
        "synchronize": lambda device=None: None,
        "mem_get_info": lambda device=None: sizes,
        "get_device_name": lambda device=None: told.name,
        "get_device_properties": lambda device=None: told,
        "get_device_capability": lambda device=None: (told.major, told.minor),
        "is_bf16_supported": lambda including_emulation=True: True,
        "get_rng_state": lambda device=None: generator.get_state(),
        "set_rng_state": lambda state, device=None: generator.set_state(state),
        "manual_seed_all": lambda seed: generator.manual_seed(seed),
        "empty_cache": lambda: None,
        "max_memory_allocated": lambda device=None: 0,
        "utilization": lambda device=None: 50,
    }
    lifted = torch._C._only_lift_cpu_tensors()
    torch._C._set_only_lift_cpu_tensors(True)
    try:
        # else a module keeps its tensor and takes over but the shell of the one on the card
        torch.__future__.set_overwrite_module_params_on_conversion(True)
        with (
            _guard(),
            mock.patch.multiple("torch.cuda", **patches),
            mock.patch("torch.autocast", _autocast),
            # recurrent layers ask it before they refuse an input of another type
            mock.patch("torch._C._is_any_autocast_enabled", _lowers),
            card,
            mock.patch("torch.inference_mode", torch.no_grad),
        ):
            yield card
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(False)
        torch._C._set_only_lift_cpu_tensors(lifted)
