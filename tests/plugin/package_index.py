# SPDX-License-Identifier: GPL-2.0-or-later
"""A package index and a proxy on this computer, and what may go wrong with them."""

from __future__ import annotations

import base64
import os
import socket
import ssl
import subprocess
import threading
import time
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


def wheel(folder: Path, name: str, version: str, files: dict[str, bytes]) -> Path:
    """A pure wheel."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        for inner, content in files.items():
            archive.writestr(inner, content)
        archive.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return path


def wheels(folder: Path, torch_bytes: int = 300_000) -> Path:
    """Stand-ins for torch (of so many bytes that do not shrink) and the engine."""
    folder.mkdir(parents=True, exist_ok=True)
    wheel(folder, "torch", "2.13.0", {"torch/__init__.py": b"", "torch/x": os.urandom(torch_bytes)})
    engine = {
        "samgeo_core/__init__.py": b"__version__ = '0.1.0'\n",
        "samgeo_core/worker/__init__.py": b"",
    }
    wheel(folder, "samgeo_seamless", "0.1.0", engine)
    return folder


class Server:
    """An HTTP server in a thread; ``requests`` counts what was asked for.

    Args:
        handler: Of its requests; gets this object as ``server.owner``.
    """

    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.owner = self  # type: ignore[attr-defined]
        self._server.daemon_threads = True
        self.requests: list[str] = []
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Index(BaseHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        owner: PackageIndex = self.server.owner  # type: ignore[attr-defined]
        owner.requests.append(self.path)
        name = self.path.strip("/").split("/")[-1]
        if self.path.startswith("/simple/"):
            links = "".join(
                f'<a href="/files/{path.name}">{path.name}</a>\n'
                for path in sorted(owner.folder.iterdir())
                if path.name.replace("_", "-").startswith(f"{name}-")
            )
            self._send(links.encode(), "text/html")
            return
        content = (owner.folder / name).read_bytes()
        self.send_response(200)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if owner.fault == "hangs":
            owner.released.wait(20)
            return
        if owner.fault == "is cut":
            self.wfile.write(content[: len(content) // 2])
            self.wfile.flush()
            self.connection.close()
            return
        step = len(content) if owner.fault != "is slow" else 20_000
        for start in range(0, len(content), step):
            try:
                self.wfile.write(content[start : start + step])
            except OSError:
                return
            if owner.fault == "is slow":
                time.sleep(0.1)

    def _send(self, content: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


class PackageIndex(Server):
    """Serves a folder's wheels; ``fault`` says what is wrong with files: "is slow", "is cut",
    "hangs", or nothing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.fault = ""
        self.released = threading.Event()
        super().__init__(_Index)

    def speak_tls(self, folder: Path) -> None:
        """With a certificate of its own making."""
        certificate, key = folder / "certificate.pem", folder / "key.pem"
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                   "-subj", "/CN=packages.example", "-keyout", str(key),
                   "-out", str(certificate)]  # fmt: skip
        subprocess.run(command, check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/simple/"

    def close(self) -> None:
        self.released.set()
        super().close()


class _Proxy(BaseHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass

    def do_CONNECT(self) -> None:
        owner: Proxy = self.server.owner  # type: ignore[attr-defined]
        owner.requests.append(self.path)
        if self.headers.get("Proxy-Authorization", "") != f"Basic {owner.secret}":
            self.send_response(407, "Proxy Authentication Required")
            self.send_header("Proxy-Authenticate", 'Basic realm="work"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(200, "Connection established")
        self.end_headers()
        self.close_connection = True
        with socket.create_connection(("127.0.0.1", owner.index.port)) as far:
            back = threading.Thread(target=_pump, args=(far, self.connection), daemon=True)
            back.start()
            _pump(self.connection, far)
            back.join(5)


def _pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while chunk := source.recv(1 << 16):
            target.sendall(chunk)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


class Proxy(Server):
    """A proxy that asks for a password; every host behind it is the index, which speaks TLS."""

    def __init__(self, index: PackageIndex, user: str, password: str) -> None:
        self.index = index
        self.secret = base64.b64encode(f"{user}:{password}".encode()).decode()
        super().__init__(_Proxy)
