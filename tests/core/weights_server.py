# SPDX-License-Identifier: GPL-2.0-or-later
"""A web server on this computer that serves files, and misbehaves as it is told."""

from __future__ import annotations

import http.server
import threading
from dataclasses import dataclass, field


@dataclass
class Behaviour:
    """What the server does next.

    ``cut`` closes the connection after that many bytes, ``cuts`` times; ``lie`` announces all but
    sends nothing after the cut. ``status`` answers with an error, ``statuses`` times.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    etag: str = '"one"'
    cut: int = 0
    cuts: int = 0
    status: int = 0
    statuses: int = 0
    ranges: bool = True
    announce: bool = True
    html: bytes = b""
    redirect: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    @property
    def asked(self) -> list[str]:
        """The ranges that were asked for, "" where the whole file was."""
        return [headers.get("Range", "") for _, headers in self.requests]


class _Handler(http.server.BaseHTTPRequestHandler):
    behaviour: Behaviour

    def log_message(self, *args: object) -> None:
        return None

    def do_GET(self) -> None:
        told = self.behaviour
        told.requests.append((self.path, dict(self.headers)))
        if told.status and told.statuses != 0:
            told.statuses -= 1
            self.send_error(told.status)
            return
        if told.redirect:
            self.send_response(302)
            self.send_header("Location", told.redirect + self.path)
            self.end_headers()
            return
        if told.html:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(told.html)
            return
        body = told.files.get(self.path.lstrip("/"))
        if body is None:
            self.send_error(404)
            return
        first = self._first(body)
        if first == len(body) and first:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(body)}")
            self.end_headers()
            return
        self.send_response(206 if first else 200)
        if first:
            self.send_header("Content-Range", f"bytes {first}-{len(body) - 1}/{len(body)}")
        if told.announce:
            self.send_header("Content-Length", str(len(body) - first))
        self.send_header("ETag", told.etag)
        for name, value in told.headers.items():
            self.send_header(name, value)
        self.end_headers()
        rest = body[first:]
        if told.cut and told.cuts != 0:
            told.cuts -= 1
            rest = rest[: told.cut]
        self.wfile.write(rest)

    def _first(self, body: bytes) -> int:
        wanted = self.headers.get("Range", "")
        if not self.behaviour.ranges or not wanted:
            return 0
        if self.headers.get("If-Range", self.behaviour.etag) != self.behaviour.etag:
            return 0
        return min(int(wanted.removeprefix("bytes=").rstrip("-")), len(body))


class Server:
    """``with Server() as server:`` serves ``server.behaviour`` at ``server.url``."""

    def __enter__(self) -> Server:
        self.behaviour = Behaviour()
        handler = type("Handler", (_Handler,), {"behaviour": self.behaviour})
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
