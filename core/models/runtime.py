# SPDX-License-Identifier: GPL-2.0-or-later
"""Where models run: devices, number types, threads, and running out of memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, TypeVar

# Operations that Apple's GPU lacks go to the CPU; torch reads this when it is loaded.
os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")

import torch

from ..errors import ModelError

Precision = Literal["auto", "float32", "float16", "bfloat16"]

T = TypeVar("T")
R = TypeVar("R")


def pick_device(device: str = "auto") -> torch.device:
    """The device to run on.

    Args:
        device: "auto", "cpu", "cuda", "cuda:1", "mps".

    Raises:
        ModelError: There is no such device.
    """
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda:0")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.zeros(1, device=chosen)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelError(
            f"The device '{device}' cannot be used ({reason}): choose 'auto' or 'cpu'."
        ) from error
    return chosen


def pick_dtype(precision: Precision, device: torch.device) -> torch.dtype:
    """The number type of the heavy products; sums, softmax and results stay float32.

    "auto" is float32 on a CPU, where halves are far slower, bfloat16 on NVIDIA GPUs that have it
    (Ampere and later), float16 on older ones, float32 on Apple's.

    Raises:
        ModelError: The name is unknown.
    """
    if precision == "auto":
        if device.type != "cuda":
            return torch.float32
        ampere = torch.cuda.get_device_capability(device) >= (8, 0)
        return torch.bfloat16 if ampere else torch.float16
    names = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
    if precision not in names:
        raise ModelError(f"The precision '{precision}' is unknown: use auto, {', '.join(names)}.")
    return names[precision]


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
    items: Sequence[T], size: int, work: Callable[[Sequence[T]], R], what: str
) -> Iterator[R]:
    """Run ``work`` over slices of ``items``, halving the batch when memory runs out.

    Args:
        items: What there is to do.
        size: Items a batch at most.
        work: Does one batch.
        what: "images" or "prompts", for the message.

    Raises:
        ModelError: Memory ran out even for one item.
    """
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
                "model or tile size, precision 'float16' on a GPU, or device 'cpu'."
            ) from error
        start += len(batch)
        yield result


def release_memory() -> None:
    """Give cached GPU memory back."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif torch.backends.mps.is_available():
        torch.mps.empty_cache()
