# SPDX-License-Identifier: GPL-2.0-or-later
"""The worker's method ``models``: list, info, download, verify, check, remove."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import Cancelled, ModelError, ParameterError
from ..interactive.windows import Check
from ..models.catalogue import EMBEDDED

ACTIONS = ("list", "info", "download", "verify", "check", "remove")


def do_models(params: dict[str, Any], check: Check, progress: Any) -> dict[str, Any]:
    """One action on the models of this computer.

    Args:
        params: ``action`` and, for all but "list", ``name``.
        check: Raises ``Cancelled``.
        progress: Told about downloads.

    Returns:
        ``models``, as ``docs/protocol.md`` describes them.

    Raises:
        ParameterError: The action is unknown, or a name is missing.
        ModelError: There is no such model.
        CheckpointError: A file cannot be had, or is not what it was.
    """
    # Asking the registry loads torch in parts; only this method needs it here.
    from ..models.weights import checkpoints
    from ..models.weights.download import Listener
    from ..models.weights.download import Progress as Downloaded

    unknown = sorted(set(params) - {"action", "name"})
    if unknown:
        raise ParameterError(f"Unknown parameter {unknown[0]!r:.80}: known are action and name.")
    action, name = params.get("action", "list"), params.get("name")
    if action not in ACTIONS:
        raise ParameterError(f"There is no action {action!r:.80}: use {', '.join(ACTIONS)}.")
    if action == "list":
        return {"models": [_status(status) for status in checkpoints.list_models()]}
    if not isinstance(name, str) or not name:
        raise ParameterError(f"To {action} a model, give its name.")
    note = ""
    if action == "download":

        def cancelled() -> bool:
            try:
                check()
            except Cancelled:
                return True
            return False

        def told(step: Downloaded) -> None:
            # In kilobytes: protocol numbers stay small and exact.
            progress("download", step.done // 1024, (step.total or 0) // 1024, step.filename)

        checkpoints.download(name, Listener(progress=told, cancelled=cancelled))
    elif action == "verify":
        found = checkpoints.verify(name)
        problems = [f"{v.path.name}: {v.problem}" for v in found if v.problem]
        published = all(v.published for v in found)
        note = "; ".join(problems) or (
            "The checksum is the published one."
            if published
            else "The file is what it was when it was downloaded; no checksum is published."
        )
    elif action == "check":
        note = _checked(name, check)
    elif action == "remove":
        freed = checkpoints.remove(name)
        note = f"{freed / 1e6:.0f} MB were freed."
    elif action == "info":
        from ..models.load import details as details_of

        details = details_of(name)
        parts = []
        if details.recognised is not None:
            parts.append(f"recognised as {details.recognised.family}")
        if details.parameters:
            parts.append(f"{details.parameters / 1e6:.1f} million parameters")
        if details.sha256:
            parts.append(f"sha256 {details.sha256}")
        note = ", ".join(parts)
    for status in checkpoints.list_models():
        if status.entry.name == name:
            return {"models": [{**_status(status), "note": note or _status(status)["note"]}]}
    return {"models": [_file(name, note)]}


def _checked(name: str, stop: Check) -> str:
    """What a model reached on the picture of the package.

    Raises:
        ModelError: It does not work as it should.
    """
    from ..model_check.check import check_model

    found = check_model(name, stop=stop)
    found.raise_if_failed()
    reached = ", ".join(
        f"{one.title} {one.value:.2f}" for one in found.properties if one.name != "finite"
    )
    return f"Works as it should: {reached}; {sum(found.seconds.values()):.0f} s."


def _status(status: Any) -> dict[str, Any]:
    entry = status.entry
    state = "on disk" if status.installed else "to download"
    if entry.name == EMBEDDED:
        state = "embedded"
    notes = []
    if entry.kind == "concept":
        notes.append("finds things by words")
    if entry.gated:
        notes.append("its publisher wants a login and an accepted licence")
    if not status.installed and status.bytes_here:
        notes.append(f"{status.bytes_here / 1e6:.0f} MB are here already")
    return {
        "name": entry.name,
        "family": entry.family,
        "title": entry.title,
        "size": entry.size or status.bytes_here,
        "licence": entry.licence,
        "state": state,
        "path": None if status.path is None else str(status.path),
        "note": "; ".join(notes),
        "page": entry.page,
        "kind": entry.kind,
    }


def _file(name: str, note: str) -> dict[str, Any]:
    """A model that is a file of the user's own."""
    path = Path(name).expanduser()
    if not path.exists():
        raise ModelError(f"There is no model and no file {name!r:.200}.")
    size = path.stat().st_size if path.is_file() else 0
    return {
        "name": name,
        "family": "",
        "title": path.name,
        "size": size,
        "licence": "",
        "state": "on disk",
        "path": str(path),
        "note": note,
        "page": "",
        "kind": "promptable",
    }
