# SPDX-License-Identifier: GPL-2.0-or-later
"""The engine's errors: one root class, one subclass per kind of failure, each message one sentence.

Every message says what was wrong, where, and what to do about it. ``kind`` is the name that the
worker protocol, the log and the plugin show; the command line turns it into an exit code. Where a
message speaks of an option, it names the parameter with :func:`~.job.option`, and each front end
shows its own name of it.
"""

from __future__ import annotations

from .addresses import without_secrets
from .job import with_knobs


class _Templated(Exception):
    """A message with options in it, which each front end names its own way.

    Args:
        message: A sentence or two; secrets of addresses in it are left out.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(without_secrets(message))

    @property
    def template(self) -> str:
        """The message with its options still to be named; see :func:`~.job.with_knobs`."""
        return super().__str__()

    def __str__(self) -> str:
        return with_knobs(self.template)


class SamGeoError(_Templated):
    """Root of every error that a user can cause or meet."""

    exit_code = 1

    @property
    def kind(self) -> str:
        return type(self).__name__


class ParameterError(SamGeoError):
    """An option is out of range, unknown, or contradicts another."""

    exit_code = 2


class RasterError(SamGeoError):
    """A raster cannot be opened, read or understood."""

    exit_code = 3


class PromptError(SamGeoError):
    """A prompt is empty, of the wrong type, or lies outside the raster's data."""

    exit_code = 4


class ModelError(SamGeoError):
    """A model is unknown, lacks an ability, or failed while it ran."""

    exit_code = 5


class CheckpointError(ModelError):
    """A file of weights is missing, damaged, or belongs to another family."""


class OutputError(SamGeoError):
    """An output cannot be written, exists already, or its format cannot hold the result."""

    exit_code = 6


class JobError(SamGeoError):
    """A job folder is damaged, in use, or was begun with other parameters."""

    exit_code = 7


class WorkerDied(JobError):
    """A worker process ended in the middle of its work, most likely because memory ran out."""


class IncompleteError(JobError):
    """A job has ended, but some of its tiles, windows, batches or scenes failed."""

    exit_code = 8


class Cancelled(SamGeoError):
    """The user stopped the job; what was finished is kept."""

    exit_code = 130


class SamGeoWarning(_Templated, UserWarning):
    """Something was changed, clipped or left out, and the result says so."""
