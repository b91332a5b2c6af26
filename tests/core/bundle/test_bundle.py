# SPDX-License-Identifier: GPL-2.0-or-later
"""A bundle: what goes in, that it appears whole, and that its install.py needs nothing else.

pip is replaced by what writes small wheels; a real bundle, installed without a network, is what
``docs/offline.md`` describes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner
from samgeo_core.bundle import install
from samgeo_core.bundle.make import BundleOptions, make_bundle
from samgeo_core.bundle.target import PLATFORMS, Target, here
from samgeo_core.cli.commands import main
from samgeo_core.errors import CheckpointError, OutputError, ParameterError
from samgeo_core.models.catalogue import find
from samgeo_core.models.weights import checkpoints

HERE = here().python


def wheel(
    folder: Path, name: str, *needs: str, version: str = "1.0", tags: str = "py3-none-any"
) -> Path:
    path = folder / f"{name}-{version}-{tags}.whl"
    about = f"{name}-{version}.dist-info"
    said = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}/__init__.py", "")
        text = "\n".join([*said, *(f"Requires-Dist: {need}" for need in needs)]) + "\n"
        archive.writestr(f"{about}/METADATA", text)
        archive.writestr(f"{about}/WHEEL", f"Wheel-Version: 1.0\nTag: {tags}\n")
        archive.writestr(f"{about}/licenses/LICENSE", f"licence of {name}\n")
        archive.writestr(f"{about}/RECORD", "".join(f"{entry},,\n" for entry in archive.namelist()))
    return path


class Pip:
    """Remembers what it is asked, and writes the wheels."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def __call__(self, arguments, target) -> None:
        words = list(arguments)
        self.asked.append(words)
        if words[0] == "wheel":
            wheel(Path(words[words.index("-w") + 1]), "samgeo_seamless")
        else:
            folder = Path(words[words.index("-d") + 1])
            wheel(folder, "torch" if len(self.asked) < 3 else "numpy")


@pytest.fixture
def model(tmp_path, monkeypatch):
    """A downloaded model, small."""
    monkeypatch.setenv(checkpoints.FOLDER_VARIABLE, str(tmp_path / "models"))
    entry = find("efficient-sam-ti")
    folder = tmp_path / "models" / entry.name
    folder.mkdir(parents=True)
    name = entry.files[0].filename
    (folder / name).write_bytes(b"weights")
    checksum = install.checksum(folder / name)
    files = [{"name": name, "sha256": checksum, "size": 7}]
    (folder / "manifest.json").write_text(json.dumps({"files": files}))
    return entry.name


def made(tmp_path: Path, pip: Pip, **options) -> Path:
    return make_bundle(tmp_path / "out", BundleOptions(**options), run=pip).folder


def test_a_bundle_holds_wheels_models_licences_and_their_checksums(tmp_path, model):
    folder = made(tmp_path, Pip(), models=(model, "embedded"))
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {
        "bundle.json", "install.py", "README.txt", "SHA256SUMS",
        "wheels/torch-1.0-py3-none-any.whl", "wheels/numpy-1.0-py3-none-any.whl",
        "wheels/samgeo_seamless-1.0-py3-none-any.whl",
        "licences/torch-1.0/LICENSE", "licences/models.txt",
        f"models/{model}/efficient_sam_vitt.pt", f"models/{model}/manifest.json",
    } <= names  # fmt: skip
    about = json.loads((folder / "bundle.json").read_text())
    assert (about["python"], about["system"], about["build"]) == (HERE, install.system(), "cpu")
    assert about["models"] == [model]
    assert about["requirements"] == ["samgeo-seamless[concepts,training]"]
    assert "Apache-2.0" in (folder / "licences" / "models.txt").read_text()
    summed = {line.split("  ")[1] for line in (folder / "SHA256SUMS").read_text().splitlines()}
    assert summed == names - {"SHA256SUMS"}


def test_torch_comes_from_its_own_index_and_foreign_systems_by_their_tags(tmp_path, monkeypatch):
    monkeypatch.delenv("SAMGEO_TORCH_INDEX", raising=False)
    pip = Pip()
    made(tmp_path, pip, python="3.12", system="linux-x86_64")
    _, torch, rest = pip.asked
    assert "https://download.pytorch.org/whl/cpu" in torch
    assert torch[-1] == "torch"
    assert Path(torch[torch.index("-c") + 1]).name == "constraints.txt"
    assert rest[-2].endswith(".whl[concepts,training]")
    for words in (torch, rest):
        assert words[words.index("--python-version") + 1] == "3.12"
        assert words.count("--platform") == len(PLATFORMS["linux-x86_64"])
        assert ":all:" in words
    pip = Pip()
    make_bundle(tmp_path / "windows", BundleOptions(system="windows-x86_64"), run=pip)
    assert "--index-url" not in pip.asked[1]
    assert "win_amd64" in pip.asked[1]


OTHER = Target(
    "3.10" if HERE != "3.10" else "3.12",
    "windows-x86_64" if here().system != "windows-x86_64" else "linux-x86_64",
)


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """pip's only source: a folder of small wheels."""
    folder = tmp_path / "packages"
    folder.mkdir()
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("SAMGEO_TORCH_INDEX", "")
    return folder


def test_markers_are_those_of_the_other_python_and_system(tmp_path, packages):
    short = OTHER.python.replace(".", "")
    tags = f"cp{short}-cp{short}-{PLATFORMS[OTHER.system][0]}"
    wheel(packages, "torch", f"nccl ; sys_platform == '{sys.platform}'", tags=tags)
    wheel(packages, "pip", version="26.0")
    wheel(packages, "colorama")
    for version in ("1.0", "2.0", "3.0"):
        wheel(packages, "numpy", version=version)
    needs = ["torch", "numpy", f"colorama ; sys_platform != '{sys.platform}'"]
    engine = wheel(tmp_path, "samgeo_seamless", *needs)
    constraints = tmp_path / "constraints.txt"
    constraints.write_text(
        f"numpy==1.0 ; python_version == '{OTHER.python}'\n"
        f"numpy==2.0 ; python_version != '{OTHER.python}'\n"
    )
    options = BundleOptions(
        OTHER.python, OTHER.system, extras=(), wheel=engine, constraints=constraints
    )
    folder = make_bundle(tmp_path / "out", options).folder
    assert {path.name.split("-py3")[0] for path in (folder / "wheels").iterdir()} == {
        "samgeo_seamless-1.0", "pip-26.0", "colorama-1.0", "numpy-1.0", f"torch-1.0-{tags}.whl",
    }  # fmt: skip


def test_a_pip_whose_markers_cannot_be_replaced_is_not_trusted(tmp_path, packages, monkeypatch):
    place = tmp_path / "site" / "pip" / "_vendor" / "packaging"
    place.mkdir(parents=True)
    for folder in (place, place.parent, place.parent.parent):
        (folder / "__init__.py").touch()
    (place / "markers.py").write_text(
        "class Marker:\n    def __init__(self, text): ...\n    def evaluate(self): return False\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    options = BundleOptions(OTHER.python, OTHER.system, wheel=wheel(tmp_path, "samgeo_seamless"))
    with pytest.raises(ParameterError, match="cannot choose packages for another Python or system"):
        make_bundle(tmp_path / "out", options)


def test_a_folder_that_holds_something_is_left_alone_and_nothing_half_made_stays(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").touch()
    with pytest.raises(OutputError, match="name a new folder"):
        made(tmp_path, Pip())

    def failing(*_):
        raise ParameterError("pip could not gather the wheels")

    with pytest.raises(ParameterError, match="could not gather"):
        make_bundle(tmp_path / "other", run=failing)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]


def test_a_damaged_model_is_refused(tmp_path, model):
    file = tmp_path / "models" / model / "efficient_sam_vitt.pt"
    file.write_bytes(b"w3ights")
    with pytest.raises(CheckpointError, match="changed since"):
        made(tmp_path, Pip(), models=(model,))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"python": "2.7"}, "Python 2.7"),
        ({"system": "amiga"}, "amiga"),
        ({"build": "tpu"}, "tpu"),
        ({"build": "cuda", "system": "macos-arm64"}, "^There is no CUDA for macos-arm64: choose "),
        ({"wheel": Path("/no/such.whl")}, "no file"),
    ],
)
def test_wrong_options_are_named(options, says):
    with pytest.raises(ParameterError, match=says):
        BundleOptions(**options)


def script(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess:
    """The bundle's install.py, which may import nothing of the engine."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder.parent), **variables}
    return subprocess.run(
        [sys.executable, "-I", "-S", str(folder / "install.py"), *words],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_its_script_verifies_and_copies_models_once(tmp_path, model):
    folder = made(tmp_path, Pip(), models=(model,))
    assert "files are whole" in script(folder, "--verify").stdout
    place = {"SAMGEO_MODELS_DIR": str(tmp_path / "there")}
    first = script(folder, "--models", **place)
    assert f"model {model}" in first.stdout, first.stderr
    assert (tmp_path / "there" / model / "manifest.json").is_file()
    assert script(folder, "--models", **place).stdout == ""
    (folder / "wheels" / "numpy-1.0-py3-none-any.whl").write_bytes(b"cut")
    again = script(folder, "--verify")
    assert again.returncode == 1
    assert "numpy-1.0-py3-none-any.whl is damaged: copy it again" in again.stderr
    (folder / "wheels" / "numpy-1.0-py3-none-any.whl").unlink()
    assert "is missing" in script(folder, "--verify").stderr


def test_its_script_refuses_another_python_or_system_and_says_what_to_do(tmp_path):
    other = "3.10" if HERE != "3.10" else "3.12"
    folder = made(tmp_path, Pip(), python=other, system="windows-x86_64")
    answer = script(folder, str(tmp_path / "environment"))
    assert answer.returncode == 1
    assert f"This bundle is for Python {other}, and this is Python {HERE}" in answer.stderr
    assert not (tmp_path / "environment").exists()


def test_its_script_replaces_another_engine_and_another_build_of_torch(tmp_path, monkeypatch):
    """Both may satisfy the requirements; --upgrade would keep what is newer."""
    commands = []
    monkeypatch.setattr(install, "described", lambda: {"requirements": ["samgeo-seamless"]})
    monkeypatch.setattr(install.subprocess, "run", lambda words, **_: commands.append(words))
    install.install(tmp_path / "environment")
    assert "--force-reinstall" in commands[-1]
    assert "samgeo-seamless" in commands[-1]


def test_its_script_refuses_a_file_for_a_folder(tmp_path):
    folder = made(tmp_path, Pip())
    (tmp_path / "notes.txt").write_text("mine")
    answer = script(folder, str(tmp_path / "notes.txt"))
    assert answer.returncode == 1
    assert "notes.txt is a file: name an empty folder" in answer.stderr
    assert "Traceback" not in answer.stderr
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_models_lie_where_the_engine_looks_for_them(tmp_path, monkeypatch):
    monkeypatch.delenv(checkpoints.FOLDER_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert install.models_folder() == checkpoints.models_folder()


def test_the_command_says_what_is_wrong_in_a_sentence(tmp_path):
    answer = CliRunner().invoke(main, ["bundle", str(tmp_path / "b"), "--python", "2.7"])
    assert answer.exit_code == 2
    assert "Python 2.7 is none of" in answer.output
