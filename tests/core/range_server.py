# SPDX-License-Identifier: GPL-2.0-or-later
"""A folder over HTTP with ranges, on this machine, which counts what it sends.

It runs in a process of its own: rasterio holds Python's lock while it opens a raster, and a server
in a thread could not answer it.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass(frozen=True)
class Sent:
    """Bytes by path, and the requests that were refused with 503."""

    bytes: dict[str, int]
    refused: int


class RangeServer:
    """Use as a context manager; ``failing`` answers each first request with 503."""

    def __init__(self, folder: Path, *, failing: bool = False) -> None:
        words = [sys.executable, __file__, str(folder), *(["failing"] if failing else [])]
        self._process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.url = f"http://127.0.0.1:{self._process.stdout.readline().strip()}"

    def sent(self) -> Sent:
        """What was sent since the last call."""
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return Sent(*json.loads(self._process.stdout.readline()))

    def __enter__(self) -> RangeServer:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        server = self.server
        name = self.path.partition("?")[0]
        path = server.folder / name.lstrip("/")
        if not path.is_file():
            return self._end(404)
        if server.failing and body and name not in server.refused:
            server.refused.add(name)
            return self._end(503)
        size, wanted = path.stat().st_size, self.headers.get("Range")
        first, last = 0, size - 1
        if wanted:
            match = re.match(r"bytes=(\d+)-(\d*)", wanted)
            first, last = int(match[1]), min(size - 1, int(match[2] or size - 1))
            if first >= size:
                return self._end(416)
        self.send_response(206 if wanted else 200)
        if wanted:
            self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(last - first + 1))
        self.end_headers()
        if body:
            with path.open("rb") as file:
                file.seek(first)
                data = file.read(last - first + 1)
            with server.lock:
                server.sent[name] = server.sent.get(name, 0) + len(data)
            self.wfile.write(data)
        return None

    def _end(self, code: int) -> None:
        self.send_response(code)
        self.send_header("Content-Length", "0")
        self.end_headers()


def _main() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.folder, server.failing = Path(sys.argv[1]), "failing" in sys.argv[2:]
    server.sent, server.refused, server.lock = {}, set(), threading.Lock()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    for _ in sys.stdin:
        with server.lock:
            print(json.dumps([server.sent, len(server.refused)]), flush=True)
            server.sent = {}


if __name__ == "__main__":
    _main()
