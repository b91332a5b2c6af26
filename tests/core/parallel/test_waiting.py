# SPDX-License-Identifier: GPL-2.0-or-later
"""The worker's threads sleep where they wait, so that a busy machine does not slow every click."""

import os
import subprocess
import sys

from samgeo_core.parallel.waiting import wait_asleep

ASK = (
    "import samgeo_core.worker.__main__, sys, os\n"
    "print('torch' in sys.modules, os.environ['OMP_WAIT_POLICY'], os.environ['GOMP_SPINCOUNT'])"
)


def test_the_worker_says_so_before_torch_is_loaded():
    variables = {k: v for k, v in os.environ.items() if not k.startswith(("OMP", "GOMP", "KMP"))}
    told = subprocess.run(
        [sys.executable, "-c", ASK], capture_output=True, text=True, check=True, env=variables
    )
    assert told.stdout.split() == ["False", "PASSIVE", "0"]


def test_what_the_user_set_stays(monkeypatch):
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    monkeypatch.delenv("KMP_BLOCKTIME", raising=False)
    wait_asleep()
    assert os.environ["OMP_WAIT_POLICY"] == "ACTIVE"
    assert os.environ["GOMP_SPINCOUNT"] == "0"
