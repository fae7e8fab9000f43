"""A device that exists on no machine: its tensors lie on the CPU and behave as if they were elsewhere.

As on CUDA, an operator refuses tensors of two devices (but for CPU tensors without dimensions), and what is
there must be copied before the host can read it. Every such reading and every copy is counted. Where nothing
may wait for the device, :func:`no_reading` raises.

    with elsewhere.there():
        model.to(elsewhere.device(0))

It needs PyTorch's backends that are written in Python (2.10 and later): see :func:`missing`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils import backend_registration
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

NAME = "elsewhere"


@dataclass
class Counts:
    """What the host and the device have said to each other."""

    reads: int = 0
    """Times that the host waited for a number, or for a tensor's values."""
    copies: int = 0
    """Copies from the host to the device."""
    calls: int = 0
    """Operators that ran on the device, views left out: kernel launches, more or less."""

    def clear(self) -> None:
        """Start again."""
        for field in fields(self):
            setattr(self, field.name, 0)


COUNTS = Counts()
_forbidden = [False]
_open = [False]
"""Whether there is such a device now: outside of :func:`there` nobody may take it for an accelerator."""


def missing() -> bool:
    """Whether this PyTorch has no backends that are written in Python."""
    return not hasattr(backend_registration, "_setup_privateuseone_for_python_backend")


def device(index: int = 0) -> torch.device:
    """One of the two devices that there are."""
    _register()
    return torch.device(NAME, index)


@contextlib.contextmanager
def there() -> Iterator[Counts]:
    """While it lasts, tensors can be there; what happens is counted."""
    _register()
    made = torch.Generator
    torch.Generator = _Generator  # type: ignore[misc]
    COUNTS.clear()
    _open[0] = True
    try:
        with _Making(), _Everywhere():
            yield COUNTS
    finally:
        _open[0] = False
        torch.Generator = made  # type: ignore[misc]


@contextlib.contextmanager
def no_reading() -> Iterator[None]:
    """While it lasts, the host may not wait for the device."""
    _forbidden[0] = True
    try:
        yield
    finally:
        _forbidden[0] = False


class There(Tensor):
    """A tensor that lies there: a shell around one on the CPU."""

    inner: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor, device: torch.device) -> There:
        """A shell of the same shape."""
        made: There = Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls,
            inner.size(),
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=device,
            requires_grad=False,
        )
        made.inner = inner
        return made

    def __repr__(self, **_: Any) -> str:  # type: ignore[override]
        """What lies on the CPU, and where it is said to be."""
        return f"There({self.inner}, {self.device})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operator."""
        return _run(func, args, kwargs or {})


class _Everywhere(TorchDispatchMode):
    """Sees operators that make something there from nothing, too."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


class _Making(TorchFunctionMode):
    """What PyTorch does below the level at which operators are seen."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = dict(kwargs or {})
        if func in (torch.tensor, torch.as_tensor) and _is_there(given.get("device")):
            place = given.pop("device")
            return func(*args, **given).to(place)
        if func is Tensor.new_tensor and isinstance(args[0], There):
            return torch.tensor(*args[1:], dtype=args[0].dtype, **given).to(args[0].device)
        if func in (Tensor.tolist, Tensor.__bool__) and isinstance(args[0], There):
            _read(func)
            return func(args[0].inner)
        if func is Tensor.numpy and isinstance(args[0], There):
            raise TypeError("can't convert a tensor that is elsewhere to numpy: use Tensor.cpu() first")
        return func(*args, **given)


def _run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    name = func.overloadpacket.__name__
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    ours = [tensor for tensor in tensors if isinstance(tensor, There)]
    given, named = tree_map(_inside, (args, kwargs))
    place = ours[0].device if ours else None
    if named.get("device") is not None:
        place = _place(named["device"])
        named["device"] = torch.device("cpu") if place else named["device"]
    if name in ("_local_scalar_dense", "equal", "is_nonzero", "nonzero", "_unique2", "masked_select"):
        if ours:
            _read(func)
        found = func(*given, **named)
        return (
            found if not isinstance(found, Tensor | tuple) or place is None else _shells(found, place, ours)
        )
    if name in ("_to_copy", "copy_"):
        return _copied(func, given, named, args, ours, place if name == "_to_copy" else args[0].device)
    if not ours and place is None:
        return func(*given, **named)
    COUNTS.calls += not _views(func)
    others = [t for t in tensors if t.device != place and not (t.dim() == 0 and t.device.type == "cpu")]
    if ours and others:
        places = sorted({str(tensor.device) for tensor in tensors})
        raise RuntimeError(f"{func}: expected all tensors on the same device, got {' and '.join(places)}")
    return _shells(func(*given, **named), place, ours)


def _copied(func: Any, given: Any, named: Any, args: Any, ours: list[There], to: Any) -> Any:
    """What ``Tensor.to`` and ``copy_`` do: the only ways from one device to another."""
    to = to if to is not None and to.type == NAME else None
    source = args[-1] if func.overloadpacket.__name__ == "copy_" else args[0]
    if isinstance(source, There) and to is None:
        _read(func)
    elif not isinstance(source, There) and to is not None:
        COUNTS.copies += 1
    else:
        COUNTS.calls += to is not None
    found = func(*given, **named)
    if func.overloadpacket.__name__ == "copy_":
        return args[0]
    return There(found, to) if to is not None else found


def _shells(found: Any, place: Any, ours: list[There]) -> Any:
    """Shells around results; what an operator changed in its place keeps its own."""
    known = {id(tensor.inner): tensor for tensor in ours}

    def shell(leaf: Any) -> Any:
        if not isinstance(leaf, Tensor):
            return leaf
        return known[id(leaf)] if id(leaf) in known else There(leaf, place)

    return tree_map(shell, found)


def _views(func: Any) -> bool:
    """Whether an operator only looks at its argument in another way."""
    found = [result.alias_info for result in func._schema.returns]
    return any(alias is not None and not alias.is_write for alias in found)


def _inside(leaf: Any) -> Any:
    return leaf.inner if isinstance(leaf, There) else leaf


def _read(func: Any) -> None:
    if _forbidden[0]:
        raise RuntimeError(f"{func} waits for the device, where nothing may")
    COUNTS.reads += 1


def _is_there(place: Any) -> bool:
    return place is not None and torch.device(place).type == NAME


def _place(place: Any) -> torch.device | None:
    found = torch.device(place)
    return torch.device(NAME, found.index or 0) if found.type == NAME else None


class _Generator(torch.Generator):
    """One of the CPU serves elsewhere, too."""

    def __new__(cls, device: Any = "cpu") -> _Generator:
        return super().__new__(cls, "cpu" if _is_there(device) else device)


def _register() -> None:
    if not hasattr(torch, NAME):
        setup = backend_registration._setup_privateuseone_for_python_backend
        setup(NAME, backend_module=_Module(), hook=_Hook())


class _Module(backend_registration._DummyBackendModule if not missing() else object):  # type: ignore[misc]
    """What ``torch.elsewhere`` has to have."""

    def is_available(self) -> bool:
        return _open[0]

    def device_count(self) -> int:
        return 2 if _open[0] else 0

    def get_rng_state(self, device: Any = None) -> Tensor:
        return torch.get_rng_state()

    def set_rng_state(self, state: Tensor, device: Any = None) -> None:
        pass

    def manual_seed_all(self, seed: int) -> None:
        pass


class _Hook(backend_registration._DummyPrivateUse1Hook if not missing() else object):  # type: ignore[misc]
    """What PyTorch asks below Python."""

    def is_available(self) -> bool:
        return _open[0]
