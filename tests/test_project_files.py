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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_pictures_and_links_of_a_page_exist(page):
    for link in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
        if not re.match("https?:|mailto:", link):
            known = page.parent / link
            made = known.with_suffix("")  # pages of notebooks
            assert known.exists() or made.exists(), link


def test_every_picture_is_used():
    texts = "".join(page.read_text(encoding="utf-8") for page in PAGES) + read("README.md")
    for picture in (ROOT / "docs" / "images").iterdir():
        assert picture.name in texts
