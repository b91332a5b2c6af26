# SPDX-License-Identifier: GPL-2.0-or-later
"""The files around the code are valid and agree: workflows, Makefile, hooks, citation, pages."""

import importlib.metadata
import re
from pathlib import Path

import pytest
import samgeo_core
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from samgeo_core.bundle.target import VERSIONS

ROOT = Path(__file__).resolve().parents[1]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
PAGES = sorted((ROOT / "docs").rglob("*.md"))
CARD = ROOT / "core" / "models" / "embedded" / "embedded.md"


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
    assert matrix["python"] == list(VERSIONS) == ["3.10", "3.11", "3.12", "3.13", "3.14"]
    assert 'requires-python = ">=3.10"' in read("pyproject.toml")
    named = re.findall(r"Python :: (3\.\d+)", read("pyproject.toml"))
    assert named == list(VERSIONS)
    assert "MINIMUM_PYTHON = (3, 10)" in read("samgeo_plugin/setup/setup_plan.py")
    oldest = re.search(r"qgisMinimumVersion=(\d+)\.(\d+)", read("metadata.txt"))
    images = jobs["qgis"]["strategy"]["matrix"]["image"]
    assert f"qgis/qgis:release-{oldest[1]}_{oldest[2]}" in images
    assert "qgis/qgis:latest" in images


def pins() -> list[Requirement]:
    lines = read("constraints.txt").splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def pythons_of(pin: Requirement) -> list[str]:
    """The supported Pythons for which a line of constraints.txt counts."""
    marker = pin.marker
    return [
        python
        for python in VERSIONS
        if marker is None or marker.evaluate({"python_version": python})
    ]


def test_each_package_is_pinned_to_one_version_for_each_python():
    found: dict[str, list[str]] = {}
    for pin in pins():
        found.setdefault(pin.name, []).extend(pythons_of(pin))
    for name, pythons in found.items():
        assert sorted(pythons) == sorted(VERSIONS), f"{name}: a second line with a marker?"
    # The plugin's setup reads this line, without evaluating markers.
    assert [pin.marker for pin in pins() if pin.name == "torch"] == [None]


def test_what_is_pinned_runs_on_the_pythons_that_it_is_pinned_for():
    """As the packages that are installed say; ``tools/check_pins.py`` asks the index about all."""
    seen = 0
    for pin in pins():
        try:
            installed = importlib.metadata.metadata(pin.name)
        except importlib.metadata.PackageNotFoundError:
            continue
        if installed["Version"] not in pin.specifier:
            continue
        seen += 1
        needs = SpecifierSet(installed["Requires-Python"] or "")
        missing = [python for python in pythons_of(pin) if f"{python}.99" not in needs]
        assert not missing, f"{pin} needs Python {needs}: pin another version for {missing}"
    assert seen > 20


def test_the_version_of_transformers_is_the_same_everywhere():
    from samgeo_core.models.weights import pretrained

    wanted = [Requirement(text) for text in project()["optional-dependencies"]["concepts"]]
    pinned = [pin for pin in pins() if pin.name == "transformers"]
    assert sorted(map(str, wanted)) == sorted(map(str, pinned))
    (here,) = [pin for pin in pinned if pin.marker is None or pin.marker.evaluate()]
    assert pretrained.VERSION in here.specifier


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


def test_the_protocols_page_has_each_method_each_parameter_and_each_kind_of_failure():
    import samgeo_core.job as job
    from samgeo_core import errors
    from samgeo_core.worker.job_methods import METHODS

    page = read("docs/protocol.md")
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", page, re.MULTILINE))
    assert set(METHODS) <= set(rows)
    for method, parameters in (
        ("prompt", job.PromptParameters),
        ("refine", job.RefineParameters),
        ("look", job.LookParameters),
        ("collect_next", job.CollectionParameters),
        ("regularize", job.RegularizeParameters),
    ):
        missing = [name for name in vars(parameters)["__dataclass_fields__"]
                   if f"`{name}`" not in rows[method]]  # fmt: skip
        assert not missing, f"{method}: {missing}"
    kinds = [name for name, kind in vars(errors).items()
             if isinstance(kind, type) and issubclass(kind, errors.SamGeoError)]  # fmt: skip
    assert not [k for k in kinds if k != "SamGeoError" and f"`{k}`" not in page]


@pytest.mark.parametrize(
    "page",
    [*PAGES, *sorted(CARD.parent.glob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"],
    ids=lambda page: page.stem,
)
def test_pictures_and_links_of_a_page_exist(page):
    for link in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
        if not re.match("https?:|mailto:", link):
            known = page.parent / link
            made = known.with_suffix("")  # pages of notebooks
            shared = ROOT / "samgeo_plugin" / "resources" / "help"  # tools/docs_hooks.py adds them
            help_picture = shared / known.name.removeprefix("help_")
            assert known.exists() or made.exists() or help_picture.is_file(), link


def test_the_card_tells_what_the_model_is_now_and_leaves_its_generations_to_the_history():
    card = CARD.read_text(encoding="utf-8")
    headings = re.findall("^## (.*)$", card, re.MULTILINE)
    assert headings == [
        "How to use it",
        "What it is good at",
        "What it is bad at",
        "How well it does",
        "What it was trained on, in total",
        "How it can be trained again",
        "How it works",
        "History",
    ]
    assert not re.search("in brackets of the|[a-z]+ generation (before|without)", card)
    history = (CARD.parent / "history.md").read_text(encoding="utf-8")
    anchors = {
        re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")
        for title in re.findall("^##+ (.*)$", history, re.MULTILINE)
    }
    asked = set(re.findall(r"history\.md#([\w-]+)", card))
    assert asked
    assert asked <= anchors


def test_the_card_says_what_the_weights_file_says():
    """Size, parameters and the thresholds that jobs use."""
    card = CARD.read_text(encoding="utf-8")
    facts = yaml.safe_load(CARD.with_suffix(".json").read_text(encoding="utf-8"))
    assert f"{facts['parameters'] / 1e6:.1f} million parameters" in card
    assert f"{facts['bytes'] / 1e6:.1f} MB" in card
    assert re.search(rf"^\| `--min-score` \| {facts['score_threshold']};", card, re.MULTILINE)
    assert re.search(
        rf"^\| `--min-stability` \| {facts['stability_threshold']} ", card, re.MULTILINE
    )


def test_every_picture_is_used():
    texts = "".join(page.read_text(encoding="utf-8") for page in PAGES) + read("README.md")
    for picture in (ROOT / "docs" / "images").iterdir():
        assert picture.name in texts
