# SPDX-License-Identifier: GPL-2.0-or-later
"""Stands in for the engine's Python and delays each answer, as a slow computer would.

    SAMGEO_SLOW=1.0 SAMGEO_SLOW_PYTHON=.venv/bin/python slow_engine.py -m samgeo_core.worker

Answers pass one after the other; greeting, progress and heartbeats pass at once, as do the answers
to ``open`` and ``cancel``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from queue import Queue

SLOW = float(os.environ["SAMGEO_SLOW"])
AT_ONCE = {"open", "cancel", "shutdown", "models"}


def main() -> int:
    engine = subprocess.Popen(
        [os.environ["SAMGEO_SLOW_PYTHON"], *sys.argv[1:]],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    methods: dict[int, str] = {}
    late: Queue = Queue()
    lock = threading.Lock()

    def say(line: bytes) -> None:
        with lock:
            sys.stdout.buffer.write(line)
            sys.stdout.buffer.flush()

    def pass_on() -> None:
        for line in sys.stdin.buffer:
            request = json.loads(line)
            methods[request["id"]] = request["method"]
            engine.stdin.write(line)
            engine.stdin.flush()
        engine.stdin.close()

    def delay() -> None:
        while (line := late.get()) is not None:
            time.sleep(SLOW)
            say(line)

    threading.Thread(target=pass_on, daemon=True).start()
    slow = threading.Thread(target=delay)
    slow.start()
    for line in engine.stdout:
        message = json.loads(line)
        is_answer = message.get("event") in ("result", "failure")
        if is_answer and methods.get(message.get("id"), "open") not in AT_ONCE:
            late.put(line)
        else:
            say(line)
    late.put(None)
    slow.join()
    return engine.wait()


if __name__ == "__main__":
    sys.exit(main())
