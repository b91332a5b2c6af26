# SPDX-License-Identifier: GPL-2.0-or-later
"""The setup on Windows and macOS, as far as it can be simulated on Linux."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path, PureWindowsPath
from types import SimpleNamespace

import pytest
from qgis.core import QgsSettings

from samgeo_plugin import settings
from samgeo_plugin.setup import (
    base_libraries,
    environment,
    environment_job,
    network,
    pythons,
    setup_plan,
)
from samgeo_plugin.setup.environment import Marker
from samgeo_plugin.setup.setup_plan import PythonFacts, Size

FACTS = PythonFacts(sys.executable, (3, 11, 2), True)
ALL_STEPS = ("venv", "pip", "torch", "engine", "check")

OSGEO4W = """\
# Python on Windows as OSGeo4W has it: _ssl and _sqlite3 load where QGIS's bin is searched only.
import os, sys
sys.base_prefix = {base!r}
folders = []
class Added:
    def __init__(self, folder): self.folder = folder; folders.append(folder)
    def __enter__(self): return self
    def __exit__(self, *_): folders.remove(self.folder)
os.add_dll_directory = Added
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name in ("_ssl", "_sqlite3") and {bin!r} not in folders:
            raise ImportError("DLL load failed while importing " + name)
sys.meta_path.insert(0, Finder())
"""


@pytest.fixture
def place(monkeypatch, tmp_path, qgis_app):
    QgsSettings().remove("samgeo_seamless")
    monkeypatch.delenv("SAMGEO_PYTHON", raising=False)
    folder = tmp_path / "environment"
    monkeypatch.setenv("SAMGEO_ENVIRONMENT", str(folder))
    return folder


def osgeo4w_venv(folder: Path, qgis: Path) -> str:
    """An environment whose Python behaves as one made with QGIS's on Windows; its Python."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    base = qgis / "apps" / "Python312"
    base.mkdir(parents=True)
    text = OSGEO4W.format(base=str(base), bin=str(qgis / "bin"))
    (packages / "osgeo4w_python.py").write_text(text, encoding="utf-8")
    (packages / "osgeo4w.pth").write_text("import osgeo4w_python\n", encoding="utf-8")
    return str(environment.python_of(folder))


def has_ssl(python: str) -> bool:
    return subprocess.run([python, "-I", "-c", "import ssl, sqlite3"]).returncode == 0


def test_an_environment_of_qgis_python_on_windows_gets_its_ssl(tmp_path):
    qgis = tmp_path / "QGIS 3.40"
    python = osgeo4w_venv(tmp_path / "environment", qgis)
    (qgis / "bin").mkdir()
    assert not has_ssl(python)
    command = [python, "-I", base_libraries.__file__]
    assert subprocess.run(command).returncode == 0
    assert has_ssl(python)
    left = "import os, osgeo4w_python; print(osgeo4w_python.folders)"
    told = subprocess.run([python, "-I", "-c", left], stdout=subprocess.PIPE, check=True)
    assert told.stdout.strip() == b"[]", "QGIS's other libraries are not for the engine"
    assert subprocess.run(command).returncode == 0, "a second time"


def test_a_python_without_ssl_anywhere_is_named_before_pip_fails(tmp_path):
    python = osgeo4w_venv(tmp_path / "environment", tmp_path / "QGIS 3.40")
    done = subprocess.run([python, "-I", base_libraries.__file__], stdout=subprocess.PIPE)
    assert done.returncode == 1
    assert b"lacks SSL" in done.stdout
    assert not list((tmp_path / "environment").rglob("samgeo_*.pth"))


@pytest.mark.parametrize("system", ["Windows", "Linux"])
def test_on_windows_the_libraries_come_before_pip(place, monkeypatch, system):
    monkeypatch.setattr(setup_plan.platform, "system", lambda: system)
    names = [step.name for step in setup_plan.make_plan(FACTS, "cpu").steps]
    assert names[0] == "venv"
    assert ("libraries" in names) == (system == "Windows")
    assert names[names.index("pip") - 1] == ("libraries" if system == "Windows" else "venv")


def test_pythons_of_the_windows_registry_come_first(monkeypatch, tmp_path):
    installed = tmp_path / "Python313" / "python.exe"
    installed.parent.mkdir()
    installed.touch(mode=0o755)

    def query(root: int, key: str) -> str:
        if root == 1 and key == r"Software\Python\PythonCore\3.13\InstallPath":
            return f"{installed.parent}{os.sep}"
        raise FileNotFoundError(key)

    registry = SimpleNamespace(HKEY_CURRENT_USER=1, HKEY_LOCAL_MACHINE=2, QueryValue=query)
    monkeypatch.setitem(sys.modules, "winreg", registry)
    monkeypatch.setattr(pythons.platform, "system", lambda: "Windows")
    found = pythons.python_candidates()
    assert found[0] == str(installed)
    assert len(found) > 1, "QGIS's own Python comes after it"


def test_on_a_mac_pythons_off_the_path_come_first_and_the_app_s_last(monkeypatch, tmp_path):
    bundled = tmp_path / "QGIS.app" / "Contents" / "MacOS" / "bin"
    homebrew = tmp_path / "opt" / "homebrew" / "bin"
    for folder, name in ((bundled, "python3"), (homebrew, "python3.12")):
        folder.mkdir(parents=True)
        (folder / name).touch(mode=0o755)
    isfile = os.path.isfile
    monkeypatch.setattr(pythons.platform, "system", lambda: "Darwin")
    monkeypatch.setattr(pythons.sys, "exec_prefix", str(bundled.parent))
    monkeypatch.setattr(pythons.sys, "_base_executable", str(bundled.parent / "QGIS"))
    monkeypatch.setenv("PATH", "/nowhere")
    here = {"/opt/homebrew/bin/python3.12": str(homebrew / "python3.12")}
    monkeypatch.setattr(os.path, "isfile", lambda path: isfile(here.get(path, path)))
    monkeypatch.setattr(os, "access", lambda path, mode: True)
    found = [path for path in pythons.python_candidates() if not path.startswith("/usr")]
    assert found == ["/opt/homebrew/bin/python3.12", str(bundled / "python3")]


def test_an_environment_whose_qgis_was_updated_is_made_anew(place, tmp_path):
    python = environment.python_of(place)
    python.parent.mkdir(parents=True)
    python.touch()  # as Scripts\python.exe stays on Windows, which cannot start any more
    old = tmp_path / "QGIS 3.40.7" / "apps" / "Python312"
    old.mkdir(parents=True)
    (old / "python.exe").touch()
    config = f"home = {old}\nversion = 3.12.10\n"
    (place / "pyvenv.cfg").write_text(config, encoding="utf-8")
    environment.write_marker(place, Marker(done=ALL_STEPS, engine=environment.wheel_version()))
    assert environment.state() == environment.COMPLETE
    (old / "python.exe").unlink()
    assert environment.state() == environment.PARTIAL
    names = [step.name for step in setup_plan.make_plan(FACTS, "cpu").steps]
    assert names[:2] == ["clear", "venv"]


@pytest.mark.parametrize(
    ("output", "says"),
    [
        (
            'SSLError("Can\'t connect to HTTPS URL because the SSL module is not available.")',
            "install Python 3.12",
        ),
        ("This Python lacks SSL or SQLite.", "install Python 3.12"),
        ("ModuleNotFoundError: No module named 'encodings'", "install Python 3.12"),
        ("HINT: ... this system does not have Windows Long Path support enabled.", "shorter path"),
        ("OSError: [WinError 126] The specified module could not be found. c10.dll", "vc_redist"),
        ("PermissionError: [WinError 5] Access is denied: 'torch\\\\lib\\\\c10.dll'", "in use"),
        ("PermissionError: [WinError 32] The process cannot access the file", "in use"),
        ("PermissionError: [Errno 13] Permission denied: '/opt/x'", "cannot be written to"),
    ],
)
def test_what_fails_on_windows_and_macos_has_a_way_out_of_its_own(tmp_path, output, says):
    step = setup_plan.Step("torch", "Torch", "python", ())
    assert says in environment_job.explain(step, output, tmp_path)


@pytest.mark.parametrize("allowed", [0, 1])
def test_a_folder_too_deep_for_windows_is_refused_before_anything_is_downloaded(
    monkeypatch, tmp_path, qgis_app, allowed
):
    deep = tmp_path / ("d" * 100) / "environment"
    registry = SimpleNamespace(
        HKEY_LOCAL_MACHINE=2,
        OpenKey=lambda root, path: contextlib.nullcontext(path),
        QueryValueEx=lambda key, name: (allowed, 4),
    )
    monkeypatch.setitem(sys.modules, "winreg", registry)
    assert setup_plan.refuse_folder(deep, Size(1, 1)) is None
    monkeypatch.setattr(setup_plan.platform, "system", lambda: "Windows")
    why = setup_plan.refuse_folder(deep, Size(1, 1))
    assert why is None if allowed else "too long for Windows" in why


def test_a_folder_that_the_finder_has_looked_into_is_still_empty(tmp_path, qgis_app):
    (tmp_path / ".DS_Store").touch()
    assert setup_plan.refuse_folder(tmp_path, Size(1, 1)) is None
    (tmp_path / "thesis.txt").touch()
    assert "other files" in setup_plan.refuse_folder(tmp_path, Size(1, 1))


def test_what_replaces_the_engine_s_files_waits_until_it_has_ended(client, wait):
    engine = client("")
    results: list = []
    engine.request("hello", on_result=results.append, on_failure=results.append)
    wait(lambda: results)
    pid, alive = engine.pid, []
    engine.stop(then=lambda: alive.append(Path(f"/proc/{pid}/cmdline").exists()))
    assert alive == [], "it still runs"
    wait(lambda: alive)
    assert alive == [False]
    engine.stop(then=lambda: alive.append(False))
    assert len(alive) == 2, "none runs: at once"


def test_a_temporary_folder_with_an_open_file_takes_no_result_away(monkeypatch, qgis_app):
    from samgeo_plugin.processing import jobs

    def refused(path: object, *_: object, **__: object) -> None:
        raise PermissionError(13, "The process cannot access the file", str(path))

    with jobs.temporary_folder() as folder:
        (folder / "given.gpkg").touch()
        monkeypatch.setattr(os, "unlink", refused)
    monkeypatch.undo()
    assert folder.exists()
    with jobs.temporary_folder() as other:
        (other / "given.gpkg").touch()
    assert not other.exists()


@pytest.mark.parametrize(
    "text",
    [
        r"cannot open C:\Users\Ada\x.tif",
        "cannot open C:/Users/Ada/x.tif",
        r"cannot open 'c:\\users\\ada\\x.tif'",
    ],
)
def test_a_report_names_no_user_of_windows(monkeypatch, text):
    monkeypatch.setattr(network.Path, "home", lambda: PureWindowsPath(r"C:\Users\Ada"))
    assert "ada" not in network.without_secrets(text).lower()
    assert "~" in network.without_secrets(text)


def test_a_conda_environment_of_windows_is_used_as_it_is(place, tmp_path):
    (tmp_path / "python.exe").touch()
    settings.PYTHON.set(str(tmp_path))
    assert environment.own_python() == str(tmp_path / "python.exe")
    settings.PYTHON.clear()
