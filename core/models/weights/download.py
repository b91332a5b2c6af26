# SPDX-License-Identifier: GPL-2.0-or-later
"""Download of a file: resumed, retried, verified, in place whole or not at all.

Bytes go to ``NAME.part`` beside the target; ``NAME.part.json`` remembers which version of which
file they are. Only what has passed its checks is renamed to the target. Proxies come from the
standard environment (``HTTPS_PROXY``, ``NO_PROXY``), certificates from the system and ``certifi``.
"""

from __future__ import annotations

import errno
import hashlib
import http.client
import json
import os
import shutil
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from functools import lru_cache
from pathlib import Path
from typing import cast

from ...errors import Cancelled, CheckpointError
from ...parallel.atomic_write import move
from ..catalogue import Source

TIMEOUT = 30.0
"""Seconds without a byte after which a connection counts as lost."""

RETRIES = 6
"""Attempts that may fail one after the other without a byte gained."""

_CHUNK = 1 << 20
_RETRIED_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
_LOST = (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError)


@dataclass(frozen=True)
class Progress:
    """How far a file is: bytes so far and in all (None where the server does not say)."""

    filename: str
    done: int
    total: int | None


@dataclass(frozen=True)
class Fetched:
    """A file that arrived and passed its checks."""

    path: Path
    sha256: str
    size: int


@dataclass(frozen=True)
class Listener:
    """Who is told of progress, and asked whether to go on."""

    progress: Callable[[Progress], None] = lambda _: None
    cancelled: Callable[[], bool] = lambda: False
    pause: Callable[[float], None] = time.sleep


class NotThere(CheckpointError):
    """The server has no such file."""


class _Retry(Exception):
    """The connection was lost; the next attempt goes on where this one stopped."""


def fetch(
    source: Source,
    target: Path,
    *,
    token: str | None = None,
    listener: Listener | None = None,
    check: Callable[[Path], None] = lambda _: None,
) -> Fetched:
    """Bring a file to ``target``; goes on with what an earlier, interrupted call left.

    Args:
        source: What to bring.
        target: Where it goes; its folder is made.
        token: Sent to the source's own host only, for files that need a login.
        listener: For progress and cancelling.
        check: Called with the complete file before it is renamed; raises CheckpointError.

    Raises:
        CheckpointError: The file cannot be had, is not what it should be, or there is no space.
        Cancelled: The listener said so; what has arrived is kept for the next call.
    """
    listener = listener or Listener()
    part = target.with_name(target.name + ".part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        for last in (False, True):
            resumed = part.exists()
            _download(source, part, token, listener)
            checksum = sha256_of(part)
            expected = _expected(source, part)
            if not expected or checksum == expected:
                break
            _forget(part)
            # A part from an earlier call may belong to something else: once more from the start.
            if last or not resumed:
                raise CheckpointError(
                    f"{source.filename} from {source.url} is not the published file (checksum "
                    f"{checksum[:12]}... instead of {expected[:12]}...): it was damaged on the "
                    "way or changed by its publisher; it was deleted. Try again later or from "
                    "another network."
                )
        try:
            check(part)
        except CheckpointError:
            _forget(part)
            raise
        size = part.stat().st_size
        move(part, target)
        _note(part).unlink(missing_ok=True)
    except OSError as error:
        raise disk_error(error, target) from error
    return Fetched(target, checksum, size)


def sha256_of(path: Path) -> str:
    """Checksum of a file, hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def looks_like_text(start: bytes) -> str:
    """Say what a file of weights is that is none: "" where its first bytes could be weights."""
    head = start[:512].lstrip().lower()
    if head.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        return "a web page (of a login, a proxy or an error)"
    if head.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer, not the file it points to"
    return ""


def _download(source: Source, part: Path, token: str | None, listener: Listener) -> None:
    failures = 0
    while True:
        before = part.stat().st_size if part.exists() else 0
        try:
            _attempt(source, part, token, listener)
            return
        except _Retry as lost:
            gained = part.exists() and part.stat().st_size > before
            failures = 1 if gained else failures + 1
            if failures > RETRIES:
                raise CheckpointError(
                    f"{source.filename} could not be downloaded from {source.url} ({lost}): check "
                    "the network or the proxy and try again; what has arrived is kept."
                ) from lost
            listener.pause(min(2.0 ** (failures - 1), 30.0))


def _attempt(source: Source, part: Path, token: str | None, listener: Listener) -> None:
    """One connection: append to the part, or begin it anew where the server's file changed."""
    note = _read_note(part)
    have = part.stat().st_size if part.exists() and note.get("url") == source.url else 0
    request = _request(source.url, token)
    if have:
        request.add_header("Range", f"bytes={have}-")
        if note.get("version"):
            request.add_header("If-Range", note["version"])
    try:
        response = _open(request)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 416:  # nothing after what we have: complete, or another file
                if str(error.headers.get("Content-Range", "")).endswith(f"/{have}"):
                    return
                _forget(part)
                raise _Retry("the file has changed on the server") from error
            if error.code in _RETRIED_STATUS:
                raise _Retry(f"the server answered {error.code} {error.reason}") from error
            raise _refused(source, error.code, str(error.reason)) from error
    except _LOST as error:
        raise _Retry(_reason(error)) from error
    with response:
        if response.status != 206 or not _goes_on(response.headers, have):
            have = 0
        total = _total(response.headers, have)
        _write_note(part, source.url, response.headers)
        _require_space(part, (total or 0) - have)
        if "text/html" in response.headers.get("Content-Type", ""):
            _forget(part)
            raise _not_weights(source, "a web page (of a login, a proxy or an error)")
        with part.open("ab" if have else "wb") as file:
            file.truncate(have)
            done = have
            while True:
                if listener.cancelled():
                    raise Cancelled(f"The download of {source.filename} was stopped.")
                try:
                    chunk = response.read(_CHUNK)
                except (http.client.HTTPException, OSError) as error:  # no route, TLS: not the disk
                    raise _Retry(_reason(error)) from error
                if not chunk:
                    break
                if done == 0 and (what := looks_like_text(chunk)):
                    file.close()
                    _forget(part)
                    raise _not_weights(source, what)
                file.write(chunk)
                done += len(chunk)
                listener.progress(Progress(source.filename, done, total))
            file.flush()
            os.fsync(file.fileno())
    if total is not None and done < total:
        raise _Retry(f"the connection closed after {done} of {total} bytes")
    if total is not None and done > total:
        _forget(part)
        raise _Retry("the server sent more than it announced")


def _request(url: str, token: str | None) -> urllib.request.Request:
    request = urllib.request.Request(url, headers={"User-Agent": "samgeo-seamless"})
    request.add_header("Accept-Encoding", "identity")
    if token:
        # Unredirected: the token is for this host, not for where it sends us.
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    return request


@lru_cache(maxsize=1)
def _certificates() -> ssl.SSLContext:
    context = ssl.create_default_context()
    try:
        import certifi
    except ImportError:
        pass
    else:
        context.load_verify_locations(certifi.where())
    return context


def _open(request: urllib.request.Request) -> http.client.HTTPResponse:
    """Open with the environment's proxies as they are now."""
    handlers = []
    if request.type == "https":
        handlers.append(urllib.request.HTTPSHandler(context=_certificates()))
    opener = urllib.request.build_opener(*handlers)
    return cast(http.client.HTTPResponse, opener.open(request, timeout=TIMEOUT))


def _goes_on(headers: Message, have: int) -> bool:
    return str(headers.get("Content-Range", "")).startswith(f"bytes {have}-")


def _total(headers: Message, have: int) -> int | None:
    length = headers.get("Content-Length")
    return have + int(length) if length is not None and length.isdigit() else None


def _note(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _read_note(part: Path) -> dict[str, str]:
    try:
        note = json.loads(_note(part).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}


def _write_note(part: Path, url: str, headers: Message) -> None:
    etag = headers.get("ETag") or ""
    version = etag if etag and not etag.startswith("W/") else headers.get("Last-Modified") or ""
    checksum = (headers.get("X-Linked-Etag") or "").strip('"')
    note = {"url": url, "version": version, "sha256": checksum}
    _note(part).write_text(json.dumps(note), "utf-8")


def _expected(source: Source, part: Path) -> str:
    """The published checksum, or the one that the hub's answer named."""
    linked = _read_note(part).get("sha256", "")
    return source.sha256 or (linked if len(linked) == 64 else "")


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _note(part).unlink(missing_ok=True)


def _require_space(part: Path, wanted: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if wanted > free:
        raise OSError(errno.ENOSPC, f"{wanted / 1e6:.0f} MB needed, {free / 1e6:.0f} MB free")


def disk_error(error: OSError, target: Path) -> CheckpointError:
    """The error for a file that this computer has no room for, or that it may not write."""
    where = f"{target.name} cannot be kept in {target.parent}"
    if error.errno == errno.ENOSPC:
        return CheckpointError(
            f"{where}: the disk is full ({error.strerror}). Free some space, or set "
            "SAMGEO_MODELS_DIR to a folder on another disk."
        )
    return CheckpointError(
        f"{where} ({error.strerror or error}): set SAMGEO_MODELS_DIR to a folder that can be "
        "written to."
    )


def _refused(source: Source, status: int, reason: str) -> CheckpointError:
    if status in (401, 403):
        return CheckpointError(
            f"The publisher of {source.filename} wants you to log in and accept a licence first "
            f"({status} from {source.url}): do so on the model's page, then set HF_TOKEN to your "
            "access token, or download the file yourself and give its path."
        )
    kind = NotThere if status in (404, 410) else CheckpointError
    return kind(
        f"{source.filename} is not at {source.url} ({status} {reason}): download it from the "
        "model's page yourself and give its path."
    )


def _not_weights(source: Source, what: str) -> CheckpointError:
    return CheckpointError(
        f"What {source.url} sent is {what}, not {source.filename}: check the proxy, or download "
        "the file yourself and give its path."
    )


def _reason(error: BaseException) -> str:
    return str(getattr(error, "reason", "") or error) or type(error).__name__
