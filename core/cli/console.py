# SPDX-License-Identifier: GPL-2.0-or-later
"""What the command line prints: progress with rate and time left, tables, errors, JSON."""

from __future__ import annotations

import io
import json
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import rich.console
import rich.progress
import rich.table

from ..addresses import without_secrets
from ..errors import Cancelled, ParameterError, SamGeoError, SamGeoWarning
from ..job import MessageError, Progress, with_knobs
from .options import flag_of

ProgressCallback = Callable[[Progress], None]


def human_size(size: int | None) -> str:
    """Bytes as people read them: 375.0 MB."""
    if size is None:
        return "unknown"
    value = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return ""


def _is_unicode() -> bool:
    """Whether standard output can hold any text."""
    return (getattr(sys.stdout, "encoding", None) or "").lower().replace("-", "") == "utf8"


class _Rate(rich.progress.ProgressColumn):
    """Steps per second, or seconds per step where a step takes longer."""

    def render(self, task: rich.progress.Task) -> str:
        speed = task.speed or task.finished_speed
        if not speed:
            return ""
        return f"{speed:.1f}/s" if speed >= 1 else f"{1 / speed:.1f} s each"


class Console:
    """Standard output for results, standard error for everything else.

    Args:
        quiet: Only errors.
        as_json: Result and error as one JSON object, which :func:`reporting` prints at the end; no
            progress bar.
    """

    def __init__(self, *, quiet: bool = False, as_json: bool = False) -> None:
        self.quiet = quiet
        self.as_json = as_json
        self._object: dict[str, Any] = {}
        self._said: dict[str, str] = {}
        for stream in (sys.stdout, sys.stderr):
            # A pipe on Windows or in a C locale cannot write every name: better escaped than lost.
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        width = None if sys.stdout.isatty() else 160  # a pipe has no width of its own
        self._out = rich.console.Console(highlight=False, emoji=False, soft_wrap=True, width=width)
        self._err = rich.console.Console(stderr=True, highlight=False, emoji=False, soft_wrap=True)

    def say(self, text: str) -> None:
        if not self.quiet and not self.as_json:
            self._out.print(text, markup=False)

    def warn(self, text: str, noted: str = "") -> None:
        """Say a warning.

        Args:
            text: With the command's names of options.
            noted: How a result has it, which names parameters.
        """
        self._said[noted] = text
        if not self.quiet:
            self._err.print(f"Warning: {text}", markup=False, style="yellow")

    def fail(self, kind: str, message: str) -> None:
        message = without_secrets(message)
        if self.as_json:
            self._object["error"] = {"kind": kind, "message": message}
        else:
            self._err.print(f"Error: {message}", markup=False, style="red")

    def give_json(self, values: Mapping[str, Any]) -> None:
        """Put a result into the object that is printed at the end of the command."""
        self._object.update(values)

    def print_json(self) -> None:
        """Print the object, if there is one; its warnings name options as the command does."""
        if not self._object:
            return
        if "warnings" in self._object:
            notes = self._object["warnings"]
            self._object["warnings"] = [self._said.get(note, note) for note in notes]
        text = json.dumps(self._object, ensure_ascii=not _is_unicode())
        self._out.print(text, markup=False, soft_wrap=True)

    def table(self, values: Mapping[str, Any]) -> None:
        """Names and values, one per row."""
        table = rich.table.Table(show_header=False, box=None, pad_edge=False)
        table.add_column(style="bold")
        table.add_column(overflow="fold")
        for name, value in values.items():
            table.add_row(name, "" if value is None else str(value))
        self._out.print(table)

    def rows(self, header: list[str], rows: list[list[str]]) -> None:
        """A table with a header."""
        table = rich.table.Table(*header, box=None, pad_edge=False)
        for row in rows:
            table.add_row(*row)
        self._out.print(table)

    @contextmanager
    def progress(self) -> Iterator[ProgressCallback]:
        """A callback that shows one bar a stage, on standard error."""
        if self.quiet or self.as_json:
            yield lambda _: None
            return
        bars = rich.progress.Progress(
            rich.progress.TextColumn("{task.description:10}"),
            rich.progress.BarColumn(),
            rich.progress.MofNCompleteColumn(),
            _Rate(),
            rich.progress.TimeRemainingColumn(elapsed_when_finished=True),
            console=self._err,
        )
        with bars:
            tasks: dict[str, rich.progress.TaskID] = {}

            def show(step: Progress) -> None:
                if step.stage not in tasks:
                    tasks[step.stage] = bars.add_task(step.stage, total=None)
                bars.update(tasks[step.stage], completed=step.done, total=step.total or None)

            yield show


def _in_our_words(message: Warning | str, flag: Callable[[str], str]) -> str:
    template = message.template if isinstance(message, SamGeoWarning) else str(message)
    return with_knobs(template, flag)


@contextmanager
def reporting(console: Console, flag: Callable[[str], str] = flag_of) -> Iterator[None]:
    """Errors as one sentence and an exit code; our warnings as lines; at the end the JSON object.

    Args:
        console: Where they are said.
        flag: What the command calls a parameter.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what libraries say is for those who program with them
        warnings.simplefilter("default", SamGeoWarning)
        warnings.showwarning = lambda message, *_: console.warn(
            _in_our_words(message, flag), _in_our_words(message, str)
        )
        try:
            yield
        except SamGeoError as error:
            console.fail(error.kind, with_knobs(error.template, flag))
            sys.exit(error.exit_code)
        except MessageError as error:
            console.fail("ParameterError", with_knobs(error.template, flag))
            sys.exit(ParameterError.exit_code)
        except KeyboardInterrupt:
            console.fail("Cancelled", "Stopped. What is finished is kept.")
            sys.exit(Cancelled.exit_code)
        finally:
            console.print_json()
