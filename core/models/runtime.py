# SPDX-License-Identifier: GPL-2.0-or-later
"""Devices, number types and threads of models, and out-of-memory errors."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import TypeVar

# Operations that Apple's GPU lacks go to the CPU; torch reads this when it is loaded.
os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")

import torch

from ..errors import ModelError
from ..notes import warn
from .threads import side_by_side

T = TypeVar("T")
R = TypeVar("R")


def pick_device(device: str = "auto") -> torch.device:
    """The device to run on.

    Args:
        device: "auto", "cpu", "cuda", "cuda:1", "mps". "auto" is the CPU, with a warning, where
            there is a GPU that this build of torch cannot run on (too old, or its driver).

    Raises:
        ModelError: There is no such device, or it cannot be used.
    """
    if device == "auto":
        if torch.cuda.is_available():
            wanted = "cuda:0"
        elif torch.backends.mps.is_available():
            wanted = "mps"
        else:
            return torch.device("cpu")
        try:
            return _tried(wanted)
        except _UNUSABLE as error:
            warn(
                f"The GPU ({wanted}) cannot be used ({_first_line(error)}), so the model runs on "
                "the CPU: update the GPU's driver, or choose device 'cpu' to silence this."
            )
            return torch.device("cpu")
    try:
        return _tried(device)
    except _UNUSABLE as error:
        raise ModelError(
            f"The device '{device}' cannot be used ({_first_line(error)}): choose 'auto' or 'cpu'."
        ) from error


_UNUSABLE = (RuntimeError, AssertionError, NotImplementedError)
"""What torch raises for a device that is not there, or for which it has no code."""


def _tried(device: str) -> torch.device:
    """The device, once it has computed something: a GPU that is too old is there, but cannot."""
    chosen = torch.device(device)
    (torch.ones(1, device=chosen) + 1).cpu()
    return chosen


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def pick_dtype(precision: str, device: torch.device) -> torch.dtype:
    """The number type of the heavy products; sums, softmax and results stay float32.

    "auto" is float32 on a CPU, bfloat16 on NVIDIA GPUs that have it (Ampere and later), float16 on
    older ones, float32 on Apple's. CPUs with units for bfloat16 (Intel's AMX) encode twice as fast
    with it; on others it is far slower, so it has to be asked for. "fastest" is what
    :func:`fastest_precision` measures.

    Raises:
        ModelError: The name is unknown.
    """
    if precision == "fastest":
        precision = fastest_precision(device)
    if precision == "auto":
        if device.type != "cuda":
            return torch.float32
        ampere = torch.cuda.get_device_capability(device) >= (8, 0)
        return torch.bfloat16 if ampere else torch.float16
    names = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
    if precision not in names:
        raise ModelError(
            f"The precision '{precision}' is unknown: use auto, fastest, {', '.join(names)}."
        )
    return names[precision]


CLEARLY_FASTER = 0.8
"""Share of float32's time below which another number type is taken: less is not worth its error."""

_SIDE, _ROUNDS = 768, 5


def fastest_precision(device: torch.device) -> str:
    """The number type whose products are fastest here, by a measurement of some tenths of a second.

    Args:
        device: Where the model runs.

    Returns:
        "float32", or "bfloat16" or "float16" where that is clearly faster. Half precision changes
        logits by some per cent of their spread, and few masks by more than their border.
    """
    return _fastest(str(device))


@lru_cache
def _fastest(device: str) -> str:
    if device == "mps":
        return "float32"  # as "auto": its half precision was never compared
    kinds = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    if device.startswith("cuda"):
        kinds["float16"] = torch.float16
    times = {}
    for name, dtype in kinds.items():
        try:
            times[name] = _product_seconds(torch.device(device), dtype)
        except RuntimeError:  # no such product on this device
            continue
    best = min(times, key=lambda name: times[name])
    return best if times[best] < CLEARLY_FASTER * times["float32"] else "float32"


def _product_seconds(device: torch.device, dtype: torch.dtype) -> float:
    """The least time of a product of the size of an encoder's; given up where it is hopeless."""
    one = torch.ones(_SIDE, _SIDE, device=device, dtype=dtype)
    (one[:64, :64] @ one[:64, :64]).sum().item()
    best = float("inf")
    for _ in range(_ROUNDS):
        start = time.perf_counter()
        (one @ one).sum().item()
        taken = time.perf_counter() - start
        best = min(best, taken)
        if taken > 0.2:
            break
    return best


def set_threads(threads: int | None) -> None:
    """Let torch use that many CPU threads in this process; None leaves its own choice.

    Raises:
        ModelError: Fewer than one.
    """
    if threads is None:
        return
    if threads < 1:
        raise ModelError(f"A model needs at least one thread, not {threads}.")
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch or Python says that memory ran out, on any device."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    # The CPU's and Apple's allocators raise a plain RuntimeError.
    text = str(error).lower()
    return isinstance(error, RuntimeError) and (
        "out of memory" in text or "can't allocate memory" in text or "not enough memory" in text
    )


def in_batches(
    items: Sequence[T],
    size: int,
    work: Callable[[Sequence[T]], R],
    what: str,
    *,
    lanes: bool = False,
) -> Iterator[R]:
    """Run ``work`` over slices of ``items``, halving the batch when memory runs out.

    Args:
        items: Items to process.
        size: Items a batch at most.
        work: Does one batch.
        what: "images" or "prompts", for the message.
        lanes: Batches side by side on the CPU's cores, see ``threads.py``.

    Raises:
        ModelError: Memory ran out even for one item.
    """
    if lanes:
        parts = [items[start : start + size] for start in range(0, len(items), size)]
        for results in side_by_side(lambda part: list(in_batches(part, size, work, what)), parts):
            yield from results
        return
    start = 0
    while start < len(items):
        batch = items[start : start + size]
        try:
            result = work(batch)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            if len(batch) > 1:
                size = len(batch) // 2
                release_memory()
                continue
            raise ModelError(
                f"The model ran out of memory with a single one of the {what}: choose a smaller "
                "model or device 'cpu' (or, if it runs on a GPU in float32, precision 'float16')."
            ) from error
        start += len(batch)
        yield result


def release_memory() -> None:
    """Give cached GPU memory back."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif torch.backends.mps.is_available():
        torch.mps.empty_cache()
