# SPDX-License-Identifier: GPL-2.0-or-later
"""What is said of an NVIDIA GPU before the download, and why one is not used."""

from __future__ import annotations

import pytest

from samgeo_plugin import settings
from samgeo_plugin.setup import gpu, setup_plan
from samgeo_plugin.setup.gpu import Gpu, GpuSearch, advice, parsed, why_not

OLD, MIDDLE, NEW = (Gpu("GeForce X", driver) for driver in ("470.82", "535.54.03", "580.1"))
PASCAL, BLACKWELL = Gpu("GTX 1080", "580.1", 6.1), Gpu("RTX 5090", "580.1", 12.0)
BLACKWELL_OLD_DRIVER = Gpu("RTX 5090", "575.2", 12.0)
KEPLER = Gpu("GTX 780", "580.1", 3.5)


@pytest.fixture(autouse=True)
def linux(monkeypatch, qgis_app):
    monkeypatch.setattr(gpu.platform, "system", lambda: "Linux")
    yield
    settings.CUDA_12.clear()
    GpuSearch.latest = None


def test_nvidia_smis_answer_is_read():
    assert parsed("NVIDIA GeForce RTX 3060, 535.54.03\nOther, 1\n") == Gpu(
        "NVIDIA GeForce RTX 3060", "535.54.03"
    )
    assert parsed("NVIDIA RTX A4000, 580.65.06, 8.6\n") == Gpu("NVIDIA RTX A4000", "580.65.06", 8.6)
    assert parsed('Field "compute_cap" is not a valid field to query.') is None
    assert parsed("NVIDIA-SMI has failed because it couldn't communicate with the driver") is None
    assert parsed("") is None


@pytest.mark.parametrize(
    ("card", "build", "says"),
    [
        (None, "cpu", "the CPU build is right"),
        (None, "cuda", "choose CPU"),
        (OLD, "cuda", "too old for PyTorch; update it to 525"),
        (MIDDLE, "cuda", "CUDA 12 fits"),
        (NEW, "cuda", "CUDA 13 fits"),
        (NEW, "cpu", "used if you choose CUDA"),
        (PASCAL, "cuda", "CUDA 12 fits"),  # 13 has no code for it, whatever the driver
        (BLACKWELL, "cuda", "CUDA 13 fits"),
        (BLACKWELL_OLD_DRIVER, "cuda", "update it to 580"),  # 12.6 has no code for it
        (KEPLER, "cuda", "too old for PyTorch: choose CPU"),
    ],
)
def test_the_build_that_fits_the_driver_is_told_before_the_download(card, build, says):
    assert says in advice(card, build)


@pytest.mark.parametrize(
    ("card", "build", "device", "chosen", "says"),
    [
        (NEW, "cuda", "cuda:0", "auto", ""),
        (NEW, "cuda", "cpu", "cpu", "set to CPU"),
        (None, "cuda", "cpu", "auto", "no NVIDIA GPU"),
        (OLD, "cuda", "cpu", "auto", "older than 525"),
        (BLACKWELL_OLD_DRIVER, "cuda", "cpu", "auto", "older than 580"),
        (KEPLER, "cuda", "cpu", "auto", "as old as GTX 780"),
        (NEW, "cpu", "cpu", "auto", "CPU build"),
        (NEW, "cuda", "cpu", "auto", "PyTorch cannot use it"),
        (NEW, "cuda", "", "auto", "no model has run"),
        (NEW, "cuda", "auto", "auto", "no model has run"),
    ],
)
def test_the_report_says_why_a_gpu_is_not_used(card, build, device, chosen, says):
    reason = why_not(card, build, device, chosen)
    assert (says in reason) if says else reason == ""


def test_a_card_is_looked_for_and_chooses_the_index(tmp_path, wait, monkeypatch):
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'Quadro Y, 535.1'\n")
    program.chmod(0o755)
    found: list = []
    search = GpuSearch(str(program))
    search.found.connect(found.append)
    search.start()
    wait(lambda: found)
    assert found == [Gpu("Quadro Y", "535.1")]
    monkeypatch.delenv("SAMGEO_TORCH_INDEX", raising=False)
    monkeypatch.setattr(setup_plan.platform, "system", lambda: "Linux")
    assert setup_plan._torch_index("cuda") == ("--index-url", gpu.CUDA_12)
    none: list = []
    search = GpuSearch(str(tmp_path / "missing"))
    search.found.connect(none.append)
    search.start()
    wait(lambda: none)
    assert none == [None]
    assert setup_plan._torch_index("cuda") == ()


def test_an_nvidia_smi_that_does_not_know_the_capability_is_asked_again_without(tmp_path, wait):
    program = tmp_path / "nvidia-smi"
    program.write_text(
        "#!/bin/sh\n"
        'case "$1" in *compute_cap*) echo "Field \\"compute_cap\\" is not a valid field"; exit 2;; '
        "*) echo 'Quadro Z, 470.1';; esac\n"
    )
    program.chmod(0o755)
    found: list = []
    search = GpuSearch(str(program))
    search.found.connect(found.append)
    search.start()
    wait(lambda: found)
    assert found == [Gpu("Quadro Z", "470.1")]


@pytest.mark.parametrize(
    ("system", "card", "index"),
    [
        ("Windows", NEW, (gpu.CUDA_13,)),
        ("Windows", PASCAL, (gpu.CUDA_12,)),
        ("Linux", PASCAL, (gpu.CUDA_12,)),
        ("Linux", BLACKWELL, ()),  # PyPI has CUDA 13
    ],
)
def test_the_index_has_code_for_the_card(system, card, index, monkeypatch):
    monkeypatch.delenv("SAMGEO_TORCH_INDEX", raising=False)
    monkeypatch.setattr(setup_plan.platform, "system", lambda: system)
    settings.CUDA_12.set(gpu.needs_cuda_12(card))
    assert setup_plan._torch_index("cuda")[1:] == index
