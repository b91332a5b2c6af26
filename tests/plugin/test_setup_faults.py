# SPDX-License-Identifier: GPL-2.0-or-later
"""The setup where something is wrong: proxies, mirrors, connections, disks, Pythons.

Real venvs and pip, against servers of this computer. pip is the one that the Python brings: the
step that renews it is left out, and counting lines, which it may not know, are off.
"""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import sys
from pathlib import Path

import package_index
import pytest
from qgis.core import QgsSettings

from samgeo_plugin.setup import bundle, environment, environment_job, setup_plan
from samgeo_plugin.setup.environment import Marker
from samgeo_plugin.setup.environment_job import EnvironmentJob, Setup
from samgeo_plugin.setup.setup_plan import PythonFacts, Size

BASE = getattr(sys, "_base_executable", sys.executable)
FACTS = PythonFacts(BASE, sys.version_info[:3], True)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """An environment without packages, made once."""
    folder = tmp_path_factory.mktemp("made") / "environment"
    subprocess.run([BASE, "-m", "venv", str(folder)], check=True)
    return folder


needs_openssl = pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl")


@pytest.fixture
def index(tmp_path):
    served = package_index.PackageIndex(package_index.wheels(tmp_path / "served"))
    yield served
    served.close()


@pytest.fixture
def place(monkeypatch, tmp_path, qgis_app, index):
    """Where the environment goes; pip knows no other index than the one here."""
    QgsSettings().remove("samgeo_seamless")
    QgsSettings().remove("proxy")
    for name in ("SAMGEO_PYTHON", "PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "PIP_CONSTRAINT"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "environment"
    for name, value in {
        "SAMGEO_ENVIRONMENT": str(folder),
        "SAMGEO_TORCH_INDEX": "",
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_NO_CACHE_DIR": "1",
        "PIP_INDEX_URL": index.url,
        "PIP_DEFAULT_TIMEOUT": "2",
    }.items():
        monkeypatch.setenv(name, value)
    yield folder
    QgsSettings().remove("proxy")


def begun(place: Path, made: Path) -> None:
    """As after the steps that make the environment and renew pip."""
    shutil.copytree(made, place, symlinks=True)
    environment.write_marker(place, Marker(done=("venv", "pip")))


def plan(place: Path, build: str = "cpu", **given: object) -> setup_plan.Plan:
    """What a click on the button runs."""
    found = setup_plan.make_plan(FACTS, build, place, **given)
    steps = []
    for step in found.steps:
        words = [{"raw": "off", "3": "1"}.get(word, word) for word in step.arguments]
        if step.name != "pip":
            steps.append(dataclasses.replace(step, arguments=tuple(words)))
    return dataclasses.replace(found, steps=tuple(steps), size=Size(1, 1))


def run(place: Path, wait, seconds: float = 60, **given: object) -> tuple[bool, str]:
    ends: list = []
    job = EnvironmentJob(plan(place, **given))
    lines: list = []
    job.output.connect(lines.append)
    job.finished.connect(lambda well, text: ends.append((well, text)))
    job.start()
    wait(lambda: ends, seconds)
    print("\n".join(lines))
    return ends[0]


def install(place: Path, *wheels: Path) -> None:
    pip = [str(environment.python_of(place)), "-m", "pip", "install", "-q", "--no-index"]
    subprocess.run([*pip, *map(str, wheels)], check=True)


def installed(place: Path, name: str) -> list[str]:
    """The versions of a package that are there."""
    found = place.glob(f"lib/python*/site-packages/{name}-*.dist-info")
    return [path.name[len(name) + 1 : -len(".dist-info")] for path in found]


def assert_goes_on(place: Path, wait, done: tuple[str, ...]) -> None:
    """The steps that are done stay done, and the rest works once the fault is gone."""
    assert environment.read_marker(place).done == done
    left = [step.name for step in plan(place).steps]
    assert left == [s for s in ("venv", "torch", "engine", "check") if s not in done]
    well, text = run(place, wait)
    assert well, text
    assert {"torch", "engine", "check"} <= set(environment.read_marker(place).done)


@needs_openssl
def test_a_proxy_that_asks_for_a_password_is_named_and_gets_it_from_qgis(
    place, made, index, wait, monkeypatch, tmp_path
):
    begun(place, made)
    index.speak_tls(tmp_path)
    proxy = package_index.Proxy(index, "me@work", "p:w")
    monkeypatch.setenv("PIP_INDEX_URL", "https://packages.example/simple/")
    monkeypatch.setenv("PIP_TRUSTED_HOST", "packages.example")
    store = QgsSettings()
    settings = {
        "proxyEnabled": True, "proxyType": "HttpProxy", "proxyHost": "127.0.0.1",
        "proxyPort": str(proxy.port),
    }  # fmt: skip
    for key, value in settings.items():
        store.setValue(f"proxy/{key}", value)
    try:
        well, text = run(place, wait)
        assert not well
        assert "user name and a password" in text
        store.setValue("proxy/proxyUser", "me@work")
        store.setValue("proxy/proxyPassword", "wrong")
        assert "user name and a password" in run(place, wait)[1]
        assert not index.requests
        store.setValue("proxy/proxyPassword", "p:w")
        assert_goes_on(place, wait, ("venv", "pip"))
        assert any("packages.example" in path for path in proxy.requests)
    finally:
        proxy.close()


def test_a_connection_that_is_cut_is_named_and_the_setup_goes_on(place, made, index, wait):
    begun(place, made)
    index.fault = "is cut"
    well, text = run(place, wait)
    assert not well
    assert "cut in the middle" in text
    index.fault = ""
    assert_goes_on(place, wait, ("venv", "pip"))


def test_a_mirror_that_does_not_answer_is_given_up(place, made, index, wait):
    begun(place, made)
    index.fault = "hangs"
    well, text = run(place, wait)
    assert not well
    # pip from 25 on counts a file of which nothing came as a download that was cut.
    assert "cannot be reached" in text or "cut in the middle of a download" in text
    index.fault = ""
    index.released.set()
    assert_goes_on(place, wait, ("venv", "pip"))


def test_a_slow_mirror_is_waited_for_and_can_be_cancelled(place, made, index, wait):
    begun(place, made)
    index.fault = "is slow"  # 300 kB in steps of 20 kB, ten a second
    setup = Setup()
    ends: list = []
    setup.finished.connect(lambda *end: ends.append(end))
    setup.start(plan(place))
    wait(lambda: any("/files/torch" in path for path in index.requests), 30)
    setup.cancel()
    wait(lambda: ends)
    assert "go on" in ends[0][1]
    assert_goes_on(place, wait, ("venv", "pip"))


def test_no_server_at_all_is_named(place, made, index, wait):
    begun(place, made)
    index.close()
    well, text = run(place, wait)
    assert not well
    assert "cannot be reached" in text


def test_a_full_disk_is_named_and_more_room_lets_it_go_on(tmp_path, made, index, wait, place):
    small = tmp_path / "small"
    small.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", str(small)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a small disk cannot be mounted here")
    try:
        package_index.wheels(index.folder, torch_bytes=50_000_000)
        target = small / "environment"
        begun(target, made)
        well, text = run(target, wait)
        assert not well
        assert "disk is full" in text
        subprocess.run(["mount", "-o", "remount,size=200m", str(small)], check=True)
        assert_goes_on(target, wait, ("venv", "pip"))
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)


def test_a_python_without_venv_is_named_and_the_setup_can_be_retried(place, wait, tmp_path):
    lacking = tmp_path / "python3"
    lacking.write_text(
        "#!/bin/sh\n"
        "echo 'The virtual environment was not created successfully because ensurepip is not'\n"
        "echo 'available.  On Debian/Ubuntu systems, you need to install the python3-venv'\n"
        "exit 1\n"
    )
    lacking.chmod(0o755)
    found = setup_plan.make_plan(dataclasses.replace(FACTS, path=str(lacking)), "cpu", place)
    only = dataclasses.replace(found, steps=found.steps[:1], size=Size(1, 1))
    ends: list = []
    job = EnvironmentJob(only)
    job.finished.connect(lambda *end: ends.append(end))
    job.start()
    wait(lambda: ends)
    assert "python3-venv" in ends[0][1]
    assert environment.read_marker(place).done == ()
    assert [step.name for step in plan(place).steps] == ["venv", "torch", "engine", "check"]


def test_an_environment_that_is_damaged_is_made_again_and_removed(place, made, index, wait):
    begun(place, made)
    assert run(place, wait)[0]
    (package,) = place.glob("lib/python*/site-packages/torch")
    shutil.rmtree(package)
    # What "Set up again" does: from the start, in a folder that is ours.
    environment.write_marker(place, Marker())
    names = [step.name for step in plan(place).steps]
    assert names == ["clear", "venv", "torch", "engine", "check"]
    assert run(place, wait)[0]
    assert package.is_dir()
    told: list = []
    environment_job.remove(told.append)
    wait(lambda: told)
    assert told == [""]
    assert not place.exists()


def test_steps_say_how_much_they_download_and_how_far_a_file_is(place, wait):
    found = {step.name: step for step in setup_plan.make_plan(FACTS, "cpu", place).steps}
    assert found["torch"].megabytes + found["engine"].megabytes + found["pip"].megabytes == 475
    assert found["venv"].megabytes == found["check"].megabytes == 0
    code = (
        "import time\n"
        "for n in range(0, 100, 10):\n"
        "    print(f'Progress {n * 1000000} of 100000000', flush=True)\n"
        "    time.sleep(0.35)\n"
    )
    step = setup_plan.Step("torch", "Torch", sys.executable, ("-c", code), False, 190)
    setup = Setup()
    told: list = []
    setup.changed.connect(lambda: told.append(setup.text))
    setup.start(setup_plan.Plan(place, sys.executable, "cpu", (step,), Size(1, 1)))
    wait(lambda: not setup.running, 20)
    assert "Step 1 of 1: Torch, about 190 MB" in told
    assert any("of 100 MB" in text for text in told)
    assert any("s left" in text for text in told)
    assert not any(line.startswith("Progress") for line in setup.lines)


@pytest.mark.parametrize("there", ["0.0.1", "0.2.0"])
def test_an_engine_of_another_version_is_replaced_by_the_bundles(
    place, made, index, wait, tmp_path, there
):
    begun(place, made)
    files = {"samgeo_core/__init__.py": b"__version__ = 'x'\n", "samgeo_core/worker.py": b""}
    install(place, package_index.wheel(tmp_path, "samgeo_seamless", there, files))
    steps = ("venv", "pip", "torch", "engine", "check")
    environment.write_marker(place, Marker(done=steps, engine=there))
    shutil.copytree(index.folder, tmp_path / "bundle" / "wheels")
    (tmp_path / "bundle" / "install.py").touch()  # says that every file is whole
    sealed = bundle.SealedBundle(
        tmp_path / "bundle", "0.1.0", "3.11", bundle.system(), "cpu", ("samgeo-seamless",), (), 1
    )
    install(place, index.folder / "torch-2.13.0-py3-none-any.whl")
    assert run(place, wait, bundle=sealed)[0]
    assert installed(place, "samgeo_seamless") == ["0.1.0"]
    assert environment.read_marker(place).engine == "0.1.0"


def test_another_build_of_torch_replaces_the_one_that_is_there(place, made, index, wait, tmp_path):
    begun(place, made)
    other = {"torch/__init__.py": b"", "torch/cpu.py": b""}
    install(place, package_index.wheel(tmp_path, "torch", "2.13.0+cpu", other))
    environment.write_marker(place, Marker(build="cpu", done=("venv", "pip", "torch")))
    index.fault = "is cut"
    assert not run(place, wait, build="cuda")[0]
    index.fault = ""
    assert run(place, wait, build="cuda")[0], "it goes on where it was"
    assert installed(place, "torch") == ["2.13.0"]
    assert environment.read_marker(place).build == "cuda"


def test_a_torch_that_the_constraints_no_longer_name_comes_from_its_own_index(
    place, made, index, wait, tmp_path, monkeypatch
):
    """On Linux the default index has the build for CUDA: 3 GB."""
    begun(place, made)
    install(place, package_index.wheel(tmp_path, "torch", "2.12.0+cpu", {"torch/__init__.py": b""}))
    steps = ("venv", "pip", "torch", "engine", "check")
    environment.write_marker(place, Marker(build="cpu", done=steps, engine="0.0.1"))
    monkeypatch.setattr(setup_plan, "ENGINE", tmp_path)
    (tmp_path / "constraints.txt").write_text("torch==2.13.0\n")
    assert [step.name for step in plan(place).steps] == ["torch", "engine", "check"]
    assert run(place, wait)[0]
    assert installed(place, "torch") == ["2.13.0"]
    environment.write_marker(place, Marker(build="cpu", done=steps, engine="0.0.1"))
    assert [step.name for step in plan(place).steps] == ["engine", "check"]
