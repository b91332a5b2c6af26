# SPDX-License-Identifier: GPL-2.0-or-later
"""Work of a stage that is tried twice; what fails then is an answer, and the job goes on."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from ...addresses import without_secrets
from ...errors import Cancelled, SamGeoError

T = TypeVar("T")

TRIES = 2
"""A read from a server or memory that is short for a moment may do better the second time."""


@dataclass(frozen=True)
class Failure:
    """Why a piece of work failed.

    Args:
        kind: Of the error.
        message: What it says, without secrets.
        detail: The traceback, for whoever mends it; "" where the message says all.
    """

    kind: str
    message: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}"


def attempted(work: Callable[[], T]) -> T | Failure:
    """What a piece of work gives, or why it failed at the last of :data:`TRIES`.

    Raises:
        Cancelled: Of the whole job: the work is not tried again, nor has it failed.
    """
    for _ in range(TRIES):
        try:
            return work()
        except Cancelled:
            raise
        except SamGeoError as error:
            failure = Failure(error.kind, without_secrets(str(error)))
        except Exception as error:  # a segmenter of the user's own may raise anything
            kind = type(error).__name__
            said = without_secrets(str(error)) or kind
            failure = Failure(kind, said, traceback.format_exc())
    return failure
