# SPDX-License-Identifier: GPL-2.0-or-later
"""A client of the worker for tests, and (run as a script) the worker with an oracle as its model.

``ORACLE`` in the environment holds words: ``slow=SECONDS`` (every encoding), ``beat=SECONDS`` (of
the heart), ``print`` (the model prints to standard output, from Python and from C, as libraries
do).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from queue import Empty, Queue

HERE = Path(__file__).parent


def environment(folder: Path, words: str = "") -> dict[str, str]:
    import samgeo_core

    package = Path(samgeo_core.__path__[0])
    roots = [str(package.parent), str(HERE)]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(roots),
        "SAMGEO_CACHE_DIR": str(folder / "cache"),
        "SAMGEO_MODELS_DIR": str(folder / "models"),
        "OMP_NUM_THREADS": "1",
        "ORACLE": words,
    }


class Client:
    """Starts a worker and talks to it."""

    def __init__(self, folder: Path, words: str = "", command=None) -> None:
        self.process = subprocess.Popen(
            command or [sys.executable, str(HERE / "worker_client.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(folder, words),
            cwd=folder,
        )
        self.lines: Queue = Queue()
        self.heartbeats: list[tuple[float, dict]] = []
        self.bad: list[bytes] = []
        self.errors = bytearray()
        self.number = 0
        threading.Thread(target=self._read, daemon=True).start()
        threading.Thread(target=self._drain, daemon=True).start()

    def _read(self) -> None:
        for line in self.process.stdout:
            try:
                message = json.loads(line)
            except ValueError:
                self.bad.append(line)
                continue
            if message.get("event") == "heartbeat":
                self.heartbeats.append((time.monotonic(), message))
            else:
                self.lines.put(message)
        self.lines.put(None)

    def _drain(self) -> None:
        for line in self.process.stderr:
            self.errors += line

    def send_raw(self, data: bytes) -> None:
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def send(self, method: str, **params) -> int:
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        self.send_raw(json.dumps(message).encode() + b"\n")
        return self.number

    def receive(self, timeout: float = 30.0) -> dict:
        try:
            message = self.lines.get(timeout=timeout)
        except Empty:
            raise TimeoutError(f"nothing in {timeout} s; stderr: {self.errors[-2000:]}") from None
        if message is None:
            raise EOFError(f"the worker is gone; stderr: {self.errors[-2000:]}")
        return message

    def answer(self, number: int | None, timeout: float = 30.0) -> dict:
        """The result or failure of a request; others are passed over."""
        while True:
            message = self.receive(timeout)
            if message.get("id") == number and message["event"] in ("result", "failure"):
                return message

    def ask(self, method: str, **params) -> dict:
        message = self.answer(self.send(method, **params))
        if message["event"] == "failure":
            raise AssertionError(f"{method}: {message}")
        return message["result"]

    def fails(self, method: str, **params) -> dict:
        message = self.answer(self.send(method, **params))
        assert message["event"] == "failure", message
        return message

    def end(self) -> int:
        self.process.stdin.close()
        return self.process.wait(timeout=10)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            stream.close()


def serve() -> None:
    from samgeo_core.errors import ModelError
    from samgeo_core.testing.promptable_oracle import OracleModel
    from samgeo_core.worker import serve as worker
    from samgeo_core.worker.session_methods import Engine

    words = dict(word.partition("=")[::2] for word in os.environ["ORACLE"].split())

    class Odd(OracleModel):
        def encode(self, images):
            if "print" in words:
                print('{"event":"result","id":1,"result":{}}', flush=True)
                os.system("echo a stray line of a C library")
            time.sleep(float(words.get("slow", 0)))
            return super().encode(images)

    def load(name, device, threads, precision):
        if name == "faulty":
            raise ValueError("a fault of ours")
        if name != "oracle":
            raise ModelError(f"There is no model {name!r}.")
        return Odd(128, 64)

    worker.HEARTBEAT_SECONDS = float(words.get("beat", worker.HEARTBEAT_SECONDS))
    worker.main(lambda: Engine(load))


if __name__ == "__main__":
    serve()
