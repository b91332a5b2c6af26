# SPDX-License-Identifier: GPL-2.0-or-later
"""The engine's environment: plan, resume, refusals, hints, proxy, report. Nothing is downloaded."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from qgis.core import QgsSettings

from samgeo_plugin import settings
from samgeo_plugin.engine.client import NoEngine
from samgeo_plugin.setup import diagnose, environment, environment_job, network, setup_plan
from samgeo_plugin.setup.environment import Marker
from samgeo_plugin.setup.environment_job import EnvironmentJob, PythonSearch, Setup
from samgeo_plugin.setup.gpu import GpuSearch
from samgeo_plugin.setup.setup_plan import PythonFacts, Size, Step

FACTS = PythonFacts(sys.executable, (3, 11, 2), True)


@pytest.fixture
def place(monkeypatch, tmp_path, qgis_app):
    """A folder with a space and an umlaut; no other environment is in the way."""
    QgsSettings().remove("samgeo_seamless")
    monkeypatch.delenv("SAMGEO_PYTHON", raising=False)
    folder = tmp_path / "größe 1" / "environment"
    monkeypatch.setenv("SAMGEO_ENVIRONMENT", str(folder))
    return folder


def plan_of(place: Path, *steps: Step) -> setup_plan.Plan:
    return setup_plan.Plan(place, sys.executable, "cpu", steps, Size(1, 1))


def python(name: str, code: str) -> Step:
    return Step(name, name.title(), sys.executable, ("-c", code))


def finish(job, wait) -> tuple[bool, str]:
    ends: list = []
    job.finished.connect(lambda well, text: ends.append((well, text)))
    job.start()
    wait(lambda: ends, 30)
    return ends[0]


def test_states_from_nothing_to_complete(place):
    assert environment.state() == environment.ABSENT
    with pytest.raises(NoEngine, match="set it up"):
        environment.engine_command()
    environment.write_marker(place, Marker(done=("venv",)))
    assert environment.state() == environment.PARTIAL
    with pytest.raises(NoEngine, match="not finished"):
        environment.engine_command()
    python = environment.python_of(place)
    python.parent.mkdir(parents=True)
    python.touch()
    steps = ("venv", "pip", "torch", "engine", "check")
    environment.write_marker(place, Marker(done=steps, engine=environment.wheel_version()))
    assert environment.state() == environment.COMPLETE
    assert environment.engine_command().program == str(python)


def test_an_engine_older_than_the_plugin_is_outdated_and_only_it_is_renewed(place, monkeypatch):
    python = environment.python_of(place)
    python.parent.mkdir(parents=True)
    python.touch()
    steps = ("venv", "pip", "torch", "engine", "check")
    environment.write_marker(place, Marker(done=steps, engine="0.0.1"))
    for module in (environment, setup_plan):
        monkeypatch.setattr(module, "wheel_version", lambda: "0.1.0")
    assert environment.state() == environment.OUTDATED
    plan = setup_plan.make_plan(FACTS, "cpu")
    assert [step.name for step in plan.steps] == ["engine", "check"]


def test_another_build_of_torch_keeps_the_venv(place):
    python = environment.python_of(place)
    python.parent.mkdir(parents=True)
    python.touch()
    steps = ("venv", "pip", "torch", "engine", "check")
    environment.write_marker(place, Marker(done=steps, engine=environment.wheel_version()))
    names = [step.name for step in setup_plan.make_plan(FACTS, "cuda").steps]
    assert names == ["torch", "engine", "check"]


def test_an_own_python_or_its_folder_is_used_as_it_is(place, tmp_path):
    settings.PYTHON.set(sys.executable)
    assert environment.state() == environment.OWN
    assert environment.engine_command().program == sys.executable
    venv = tmp_path / "venv"
    environment.python_of(venv).parent.mkdir(parents=True)
    os.symlink(sys.executable, environment.python_of(venv))
    settings.PYTHON.set(str(venv))
    assert environment.engine_command().program == str(environment.python_of(venv))
    settings.PYTHON.set("/no/such/python")
    with pytest.raises(NoEngine, match="/no/such/python"):
        environment.engine_command()
    settings.PYTHON.clear()


def test_a_folder_with_other_files_a_full_disk_and_a_protected_folder_are_refused(
    place, monkeypatch
):
    place.mkdir(parents=True)
    (place / "thesis.txt").touch()
    assert "other files" in setup_plan.refuse_folder(place, Size(1, 1))
    (place / "thesis.txt").unlink()
    assert setup_plan.refuse_folder(place, Size(1, 1)) is None
    assert "MB free" in setup_plan.refuse_folder(place, Size(1, 10**9))
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert "cannot be written" in setup_plan.refuse_folder(place, Size(1, 1))


def test_a_setup_that_ends_in_its_first_step_can_be_retried(place, wait):
    half = f"import os, time; os.makedirs({str(place / 'bin')!r}, exist_ok=True); time.sleep(60)"
    job = EnvironmentJob(plan_of(place, python("venv", half)))
    ends: list = []
    job.finished.connect(lambda well, text: ends.append((well, text)))
    job.start()
    wait(lambda: (place / "bin").exists())
    job.cancel()
    wait(lambda: ends)
    assert setup_plan.refuse_folder(place, Size(1, 1)) is None
    plan = setup_plan.make_plan(FACTS, "cpu")
    assert [step.name for step in plan.steps][:2] == ["clear", "venv"]
    (place / "leftover").touch()
    only = setup_plan.Plan(place, sys.executable, "cpu", plan.steps[:1], Size(1, 1), plan.marker)
    assert finish(EnvironmentJob(only), wait)[0]
    assert [path.name for path in place.iterdir()] == [environment.MARKER]
    assert environment.read_marker(place).done == (), "clearing is never remembered as done"


def test_what_an_older_plugin_left_of_a_venv_is_no_obstacle(place, tmp_path, monkeypatch):
    place.mkdir(parents=True)
    (place / "pyvenv.cfg").touch()
    (place / "bin").mkdir()
    assert setup_plan.refuse_folder(place, Size(1, 1)) is None
    (place / "thesis.txt").touch()
    assert "other files" in setup_plan.refuse_folder(place, Size(1, 1))
    (place / "thesis.txt").unlink()
    monkeypatch.setenv("SAMGEO_ENVIRONMENT", str(tmp_path / "elsewhere"))
    assert "other files" in setup_plan.refuse_folder(place, Size(1, 1)), "a chosen folder"


def test_a_missing_venv_module_is_named_and_python_is_looked_for_again(
    place, wait, client, monkeypatch
):
    from samgeo_plugin.gui.environment_widget import EnvironmentWidget

    monkeypatch.setattr(shutil, "which", lambda name: None)
    lacking = PythonFacts(sys.executable, (3, 11, 2), False)
    widget = EnvironmentWidget(client(), Setup())
    monkeypatch.setattr(setup_plan, "python_candidates", list)
    widget._look_for_python()
    wait(lambda: not widget._search.searching)
    widget._python_found(lacking)
    assert "apt install python3.11-venv" in widget.promise.text()
    assert widget.set_up.isEnabled()
    assert widget.set_up.text() == "Look again"
    before = widget._search
    widget.set_up.click()
    assert widget._search is not before
    widget._python_found(FACTS)
    assert widget.set_up.text() == "Set up the engine"
    widget.deleteLater()


def test_steps_run_one_after_the_other_and_a_failed_one_is_resumed(place, wait):
    flag = place.parent / "flag"
    steps = (
        python("venv", "print('made größe')"),
        python("torch", f"import os, sys; sys.exit(0 if os.path.exists({str(flag)!r}) else 1)"),
        python("check", "print('fine')"),
    )
    lines: list = []
    job = EnvironmentJob(plan_of(place, *steps))
    job.output.connect(lines.append)
    well, text = finish(job, wait)
    assert not well
    assert "Torch failed" in text
    assert "made größe" in lines
    assert environment.read_marker(place).done == ("venv",)
    flag.touch()
    rest = setup_plan.Plan(
        place, sys.executable, "cpu", steps[1:], Size(1, 1), environment.read_marker(place)
    )
    assert finish(EnvironmentJob(rest), wait)[0]
    assert environment.read_marker(place).done == ("venv", "torch", "check")


@pytest.mark.parametrize(
    ("output", "says"),
    [
        ("OSError: [Errno 28] No space left on device", "disk is full"),
        ("NewConnectionError(...): Failed to establish a new connection", "cannot be reached"),
        ("SSLError(SSLCertVerificationError(1, 'CERTIFICATE_VERIFY_FAILED'))", "not trusted"),
        ("ProxyError('Cannot connect to proxy.', OSError('refused'))", "proxy refuses"),
        (
            "ProxyError('Cannot connect to proxy.', OSError('407 Proxy'))",
            "user name and a password",
        ),
        ("The virtual environment was not created: ensurepip is not available", "python3-venv"),
        ("was not created successfully because ensurepip is not\navailable.  On", "python3-venv"),
        ("ERROR: No matching distribution found for torch==2.13.0", "does not exist"),
    ],
)
def test_what_pip_says_becomes_one_sentence_with_a_way_out(place, wait, output, says):
    step = python("torch", f"import sys; print({output!r}); sys.exit(1)")
    well, text = finish(EnvironmentJob(plan_of(place, step)), wait)
    assert not well
    assert says in text
    assert text.count(".") <= 3


def test_cancel_ends_the_command_and_keeps_what_is_done(place, wait):
    setup = Setup()
    steps = (python("venv", "pass"), python("torch", "import time; time.sleep(60)"))
    ends: list = []
    setup.finished.connect(lambda *end: ends.append(end))
    setup.start(plan_of(place, *steps))
    wait(lambda: setup.at == 1)
    setup.cancel()
    wait(lambda: ends)
    assert ends[0][0] is False
    assert "go on" in ends[0][1]
    assert not setup.running
    assert environment.read_marker(place).done == ("venv",)


def test_only_a_folder_of_ours_is_removed(place, wait):
    place.mkdir(parents=True)
    (place / "thesis.txt").touch()
    told: list = []
    environment_job.remove(told.append)
    assert "left alone" in told[0]
    environment.write_marker(place, Marker())
    environment_job.remove(told.append)
    wait(lambda: len(told) == 2)
    assert told[1] == ""
    assert not place.exists()


@pytest.mark.parametrize("kind", ["python", "gpu"])
def test_a_window_that_is_deleted_while_it_searches_ends_the_search(
    tmp_path, wait, monkeypatch, kind, qgis_app
):
    from qgis.PyQt import sip
    from qgis.PyQt.QtCore import QObject, QProcess

    raised: list = []
    monkeypatch.setattr(sys, "excepthook", lambda *args: raised.append(args))
    slow = tmp_path / "slow"
    slow.write_text("#!/bin/sh\nexec sleep 30\n")
    slow.chmod(0o755)
    window = QObject()
    if kind == "python":
        search = PythonSearch([str(slow)], parent=window)
    else:
        search = GpuSearch(str(slow), parent=window)
    search.start()
    wait(lambda: search._process.state() == QProcess.ProcessState.Running)
    sip.delete(window)
    assert raised == []


def test_the_search_asks_pythons_and_leaves_out_what_is_none(place, wait, tmp_path):
    old = tmp_path / "python2"
    old.write_text('#!/bin/sh\necho \'{"version": [3, 9, 1], "venv": true, "ensurepip": true}\'\n')
    noise = tmp_path / "qgis"
    noise.write_text("#!/bin/sh\necho hello\n")
    for script in (old, noise):
        script.chmod(0o755)
    found: list = []
    search = PythonSearch([str(old), str(noise), "/no/such", sys.executable])
    search.found.connect(found.append)
    search.start()
    wait(lambda: found)
    assert found[0].path == sys.executable
    assert found[0].version == sys.version_info[:3]


def test_the_plan_pins_torch_and_takes_the_cpu_index(place, monkeypatch, tmp_path):
    (tmp_path / "constraints.txt").write_text("# no\ntorch==2.13.0\nnumpy==2.4.6\n")
    monkeypatch.setattr(setup_plan, "ENGINE", tmp_path)
    monkeypatch.setattr(setup_plan.platform, "system", lambda: "Linux")
    monkeypatch.delenv("SAMGEO_TORCH_INDEX", raising=False)
    torch = next(s for s in setup_plan.make_plan(FACTS, "cpu").steps if s.name == "torch")
    assert torch.arguments[-1] == "torch==2.13.0"
    assert "https://download.pytorch.org/whl/cpu" in torch.arguments
    cuda = next(s for s in setup_plan.make_plan(FACTS, "cuda").steps if s.name == "torch")
    assert "--index-url" not in cuda.arguments
    engine = next(s for s in setup_plan.make_plan(FACTS, "cpu").steps if s.name == "engine")
    assert "-c" in engine.arguments
    assert all(s.network for s in setup_plan.make_plan(FACTS, "cpu").steps if s.name == "pip")


def test_qgis_proxy_is_handed_on_and_never_shown(place):
    store = QgsSettings()
    for key, value in (
        ("proxyEnabled", True), ("proxyType", "HttpProxy"), ("proxyHost", "proxy.example"),
        ("proxyPort", "3128"), ("proxyUser", "me@work"), ("proxyPassword", "p:w"),
        ("noProxyUrls", ["http://intranet.example/x"]),
    ):  # fmt: skip
        store.setValue(f"proxy/{key}", value)
    try:
        variables = network.proxy_variables()
        assert variables["HTTPS_PROXY"] == "http://me%40work:p%3Aw@proxy.example:3128"
        assert variables["NO_PROXY"] == "intranet.example"
        text = network.without_secrets(f"via {variables['HTTPS_PROXY']} from {Path.home()}/x")
        assert text == "via http://***@proxy.example:3128 from ~/x"
        assert "p%3Aw" not in diagnose.report(None)
    finally:
        store.remove("proxy")
    assert network.proxy_variables() == {}


def test_the_report_says_versions_places_and_the_last_error(place):
    settings.LAST_ERROR.set("The disk is full.")
    environment.write_marker(place, Marker(done=("venv",), engine="0.0.1"))
    text = diagnose.report(None)
    for part in ("0.1.0", "partial", "The disk is full.", "venv", "0.0.1", "größe 1"):
        assert part in text
    settings.LAST_ERROR.clear()


def test_a_damaged_marker_is_no_environment(place):
    place.mkdir(parents=True)
    (place / environment.MARKER).write_text("{")
    assert environment.read_marker(place) is None
    (place / environment.MARKER).write_text(json.dumps([1]))
    assert environment.read_marker(place) is None
    assert environment.state() == environment.ABSENT
    shutil.rmtree(place)


def test_the_widget_says_how_much_a_click_downloads(place, wait, client):
    from samgeo_plugin.gui.environment_widget import EnvironmentWidget

    widget = EnvironmentWidget(client(), Setup())
    widget.show()
    wait(lambda: "MB" in widget.promise.text(), 20)
    assert "475 MB" in widget.promise.text()
    assert widget.set_up.isEnabled()
    assert widget.set_up.text() == "Set up the engine"
    widget.show_report()
    assert "Plugin" in widget.output.toPlainText()
    widget.close()


def sealed(folder: Path, **changed: object) -> Path:
    from samgeo_plugin.setup import bundle

    folder.mkdir()
    values = {
        "engine": "0.9.0", "python": ".".join(map(str, sys.version_info[:2])),
        "system": bundle.system(), "build": "cpu", "models": ["mobile-sam"],
        "requirements": ["samgeo-seamless[training]"], "disk_mb": 1, **changed,
    }  # fmt: skip
    (folder / "bundle.json").write_text(json.dumps(values), encoding="utf-8")
    return folder


def test_a_bundle_is_installed_from_without_an_index(place, tmp_path):
    from samgeo_plugin.setup import bundle

    folder = sealed(tmp_path / "bundle")
    plan = setup_plan.make_plan(FACTS, "cuda", bundle=bundle.read(folder))
    assert [step.name for step in plan.steps] == [
        "verify", "venv", "pip", "torch", "engine", "models", "check",
    ]  # fmt: skip
    assert not any(step.network for step in plan.steps)
    for step in plan.steps:
        if step.name in ("pip", "torch", "engine"):
            assert "--no-index" in step.arguments
            assert str(folder / "wheels") in step.arguments
            assert "--index-url" not in step.arguments
        if step.name == "engine":  # else pip keeps the engine of an earlier bundle
            assert "--upgrade" in step.arguments
    assert plan.build == "cpu"
    assert plan.size == Size(0, 1)
    assert plan.marker.sealed


def test_an_engine_of_a_bundle_is_not_called_outdated(place, monkeypatch):
    python = environment.python_of(place)
    python.parent.mkdir(parents=True)
    python.touch()
    steps = ("venv", "pip", "torch", "engine", "check")
    for module in (environment, setup_plan):
        monkeypatch.setattr(module, "wheel_version", lambda: "0.1.0")
    environment.write_marker(place, Marker(done=steps, engine="0.9.0", sealed=True))
    assert environment.state() == environment.COMPLETE


def test_a_bundle_that_is_none_or_for_another_system_is_named(
    place, tmp_path, wait, client, monkeypatch
):
    from samgeo_plugin.gui.environment_widget import EnvironmentWidget

    widget = EnvironmentWidget(client(), Setup())
    widget.show()
    widget.bundle.setFilePath(str(tmp_path))
    wait(lambda: "holds no bundle" in widget.promise.text())
    assert not widget.set_up.isEnabled()
    widget.bundle.setFilePath(str(sealed(tmp_path / "other", system="amiga-m68k")))
    wait(lambda: "amiga-m68k" in widget.promise.text())
    widget.bundle.setFilePath(str(sealed(tmp_path / "fits")))
    wait(lambda: "from the bundle, without a network" in widget.promise.text(), 20)
    assert widget.set_up.isEnabled()
    assert not widget.build.isEnabled()
    monkeypatch.setattr(setup_plan, "python_candidates", lambda: [sys.executable])
    widget.bundle.setFilePath(str(sealed(tmp_path / "newer", python="3.99")))
    wait(lambda: "needs Python 3.99" in widget.promise.text(), 20)
    widget.bundle.setFilePath("")
    wait(lambda: "475 MB" in widget.promise.text(), 20)
    widget.close()
    settings.BUNDLE.clear()


def complete(place: Path, **values: object) -> None:
    """As after a setup that has ended well."""
    python = environment.python_of(place)
    python.parent.mkdir(parents=True)
    python.touch()
    done = ("venv", "pip", "torch", "engine", "check")
    known = {"engine": environment.wheel_version(), "done": done, **values}
    environment.write_marker(place, Marker(**known))


def free(monkeypatch, megabytes: int) -> None:
    usage = SimpleNamespace(free=megabytes * 1e6)
    monkeypatch.setattr(setup_plan.shutil, "disk_usage", lambda path: usage)


def test_set_up_again_that_is_refused_leaves_a_working_environment(
    place, wait, client, monkeypatch
):
    from samgeo_plugin.gui.environment_widget import EnvironmentWidget

    complete(place)
    free(monkeypatch, 1500)
    setup = Setup()
    widget = EnvironmentWidget(client(), setup)
    widget.show()
    wait(lambda: widget.set_up.isEnabled(), 20)
    widget.build.setCurrentIndex(widget.build.findData("cuda"))
    ends: list = []
    setup.finished.connect(lambda *end: ends.append(end))
    widget.set_up.click()
    wait(lambda: ends)
    assert "1500 MB free" in ends[0][1]
    assert environment.state() == environment.COMPLETE
    assert environment.read_marker(place).build == "cpu"
    widget.close()


def test_set_up_again_begins_anew_in_the_room_of_what_it_removes(place, monkeypatch):
    complete(place)
    free(monkeypatch, 1500)
    plan = setup_plan.make_plan(FACTS, "cpu", anew=True)
    names = [step.name for step in plan.steps]
    assert names == ["clear", "venv", "pip", "torch", "engine", "check"]
    assert plan.marker.done == ()
    assert environment.state() == environment.COMPLETE, "a plan changes nothing"
    assert plan.size.disk == 2000
    assert setup_plan.refuse_folder(place, plan.size) is None
    cuda = setup_plan.make_plan(FACTS, "cuda", anew=True)
    assert "5700 MB are needed" in setup_plan.refuse_folder(place, cuda.size)


def test_only_the_room_and_the_downloads_that_are_left_are_asked_for(place, monkeypatch, tmp_path):
    from samgeo_plugin.setup import bundle

    for module in (environment, setup_plan):
        monkeypatch.setattr(module, "wheel_version", lambda: "0.1.0")
    complete(place, engine="0.0.1")
    update = setup_plan.make_plan(FACTS, "cpu")
    assert [step.name for step in update.steps] == ["engine", "check"]
    assert update.size == Size(250, 250), "its packages are there and are at most exchanged"
    sealed_update = bundle.read(sealed(tmp_path / "bundle", disk_mb=2000))
    assert setup_plan.make_plan(FACTS, "cpu", bundle=sealed_update).size == Size(0, 250)
    environment.write_marker(place, Marker(build="cuda", done=("venv", "pip", "torch")))
    rest = setup_plan.make_plan(FACTS, "cuda")
    assert [step.name for step in rest.steps] == ["engine", "check"]
    assert rest.size.download == 250
    assert 500 < rest.size.disk < 700
    environment.write_marker(place, Marker())
    assert setup_plan.make_plan(FACTS, "cuda").size == Size(3225, 7700)


def test_a_complete_environment_says_what_setting_it_up_again_downloads(place, wait, client):
    from samgeo_plugin.gui.environment_widget import EnvironmentWidget

    complete(place)
    widget = EnvironmentWidget(client(), Setup())
    widget.show()
    wait(lambda: "475 MB" in widget.promise.text(), 20)
    assert widget.promise.text().startswith("Nothing needs to be downloaded.")
    widget.build.setCurrentIndex(widget.build.findData("cuda"))
    widget.build.activated.emit(widget.build.currentIndex())
    assert "3225 MB (PyTorch for CUDA" in widget.promise.text()
    assert widget.set_up.text() == "Set up again"
    widget.close()
