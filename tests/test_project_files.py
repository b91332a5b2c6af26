# SPDX-License-Identifier: GPL-2.0-or-later
"""The files around the code are valid and agree: workflows, Makefile, hooks, citation, pages."""

import re
from pathlib import Path

import pytest
import samgeo_core
import yaml

ROOT = Path(__file__).resolve().parents[1]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
PAGES = sorted((ROOT / "docs").rglob("*.md"))


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def commands() -> list[str]:
    """What the workflows run."""
    found = []
    for path in sorted((ROOT / ".github" / "workflows").glob("*.yml")):
        jobs = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"]
        for job in jobs.values():
            found += [step["run"] for step in job["steps"] if "run" in step]
    return found


def test_the_plugins_setup_and_a_bundle_install_the_same_extras():
    from samgeo_core.bundle.make import QGIS_EXTRAS

    plan = read("samgeo_plugin/setup/setup_plan.py")
    assert re.search(r'^EXTRAS = "(.*)"$', plan, re.MULTILINE)[1] == ",".join(QGIS_EXTRAS)


def test_workflows_run_targets_that_exist_and_the_tests_of_the_makefile():
    tests = re.search(r"^CORE_TESTS := (.*)$", MAKEFILE, re.MULTILINE)[1]
    assert any(
        command.startswith("python -m pytest") and command.endswith(tests) for command in commands()
    )
    called = {
        word
        for command in commands()
        if command.startswith("make ")
        for word in command.split()[1:]
        if re.fullmatch("[a-z-]+", word)
    }
    assert {"lint", "docs", "coverage", "test-plugin"} <= called <= TARGETS
    for name in tests.split():
        assert (ROOT / name).exists()


def test_workflows_cover_the_systems_and_pythons_that_are_promised():
    jobs = yaml.safe_load(read(".github/workflows/test.yml"))["jobs"]
    matrix = jobs["engine"]["strategy"]["matrix"]
    assert {name.split("-")[0] for name in matrix["os"]} == {"ubuntu", "windows", "macos"}
    assert matrix["python"] == ["3.10", "3.11", "3.12", "3.13", "3.14"]
    assert 'requires-python = ">=3.10"' in read("pyproject.toml")
    oldest = re.search(r"qgisMinimumVersion=(\d+)\.(\d+)", read("metadata.txt"))
    images = jobs["qgis"]["strategy"]["matrix"]["image"]
    assert f"qgis/qgis:release-{oldest[1]}_{oldest[2]}" in images
    assert "qgis/qgis:latest" in images


def test_every_target_is_described_by_make_help():
    assert set(re.findall(r"^([a-z-]+):.*##", MAKEFILE, re.MULTILINE)) == TARGETS


def test_hooks_are_valid():
    hooks = yaml.safe_load(read(".pre-commit-config.yaml"))["repos"][0]["hooks"]
    for hook in hooks:
        assert {"id", "name", "entry", "language"} <= set(hook)
        program = hook["entry"].split()[0]
        assert program == "cmp" or program.removeprefix(".venv/bin/") in ("ruff", "lint-imports")


def test_the_version_is_the_same_everywhere():
    version = samgeo_core.__version__
    assert yaml.safe_load(read("CITATION.cff"))["version"] == version
    assert re.search(r"^version=(.*)$", read("metadata.txt"), re.MULTILINE)[1] == version


def test_the_citation_has_what_the_format_asks_for():
    citation = yaml.safe_load(read("CITATION.cff"))
    assert {"cff-version", "message", "title", "authors"} <= set(citation)


def project():
    tomllib = pytest.importorskip("tomllib")  # from Python 3.11 on
    return tomllib.loads(read("pyproject.toml"))["project"]


def test_the_conda_recipe_says_what_pyproject_says():
    ours, recipe = project(), yaml.safe_load(read("recipe/recipe.yaml"))
    assert recipe["context"]["version"] == samgeo_core.__version__
    assert recipe["package"]["name"] == ours["name"]
    assert f">={recipe['context']['python_min']}" == ours["requires-python"]
    run = recipe["requirements"]["run"]
    assert run[0] == "python >=${{ python_min }}"
    assert [one.replace(" ", "") for one in run[1:]] == [
        one.replace("torch", "pytorch", 1) if one.startswith("torch") else one
        for one in ours["dependencies"]
    ]
    names = [f"{name} = {place}" for name, place in ours["scripts"].items()]
    assert recipe["build"]["python"]["entry_points"] == names
    about = recipe["about"]
    assert (about["license"], about["summary"]) == (ours["license"], ours["description"])
    assert about["homepage"] == ours["urls"]["Homepage"]
    assert (ROOT / about["license_file"]).exists()
    scripts = [test["script"] for test in recipe["tests"] if "script" in test]
    assert all(line.split()[0] in ours["scripts"] for script in scripts for line in script)


def container() -> list[tuple[str, str]]:
    """Instructions of the Containerfile and their arguments."""
    lines = [line for line in read("Containerfile").splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [tuple(line.split(maxsplit=1)) for line in joined.splitlines() if line.strip()]


def test_the_container_is_built_of_files_that_exist_and_are_not_ignored():
    kept = [line[1:] for line in read(".dockerignore").splitlines() if line.startswith("!")]
    copied = [text.split() for word, text in container() if word == "COPY"]
    stages = {text.split(" AS ")[1] for word, text in container() if " AS " in text}
    for sources in copied:
        if sources[0].startswith("--from="):
            assert sources[0].removeprefix("--from=") in stages
            continue
        for source in sources[:-1]:
            assert (ROOT / source).exists()
            assert source in kept
    assert sorted(kept) == sorted(name for words in copied for name in words[:-1] if "=" not in name
                                  and not name.startswith("/"))  # fmt: skip


def test_the_container_runs_the_command_as_a_user_with_pinned_packages():
    said = dict(container())  # of each instruction the last
    assert yaml.safe_load(said["ENTRYPOINT"]) == list(project()["scripts"])
    assert said["USER"] != "root"
    python = re.search(r"PYTHON=(\S+)", read("Containerfile"))[1]
    jobs = yaml.safe_load(read(".github/workflows/test.yml"))["jobs"]
    assert python in jobs["engine"]["strategy"]["matrix"]["python"]
    runs = " ".join(text for word, text in container() if word == "RUN")
    assert "-c constraints.txt" in runs
    assert "libexpat1" in runs  # needed by GDAL in rasterio's wheels
    assert "SAMGEO_MODELS_DIR=/models" in said["ENV"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_pictures_and_links_of_a_page_exist(page):
    for link in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
        if not re.match("https?:|mailto:", link):
            known = page.parent / link
            made = known.with_suffix("")  # pages of notebooks
            shared = ROOT / "samgeo_plugin" / "resources" / "help"  # tools/docs_hooks.py adds them
            help_picture = shared / known.name.removeprefix("help_")
            assert known.exists() or made.exists() or help_picture.is_file(), link


def test_every_picture_is_used():
    texts = "".join(page.read_text(encoding="utf-8") for page in PAGES) + read("README.md")
    for picture in (ROOT / "docs" / "images").iterdir():
        assert picture.name in texts
