# SPDX-License-Identifier: GPL-2.0-or-later
"""The engine's sentences speak of QGIS's own parameters, never of the command's options."""

import re

from conftest import ROOT

from samgeo_plugin.engine.knobs import _COMMAND, in_our_words, label
from samgeo_plugin.job import Failure, Log, option


def test_a_failure_names_the_parameter_as_the_dialog_does(qgis_app):
    text = f"Start over with {option('fresh')}."
    said = in_our_words(Failure(1, "JobError", text))
    assert said.message == "Start over with “Forget what a cancelled run has done”."


def test_a_parameter_without_a_label_keeps_its_name(qgis_app):
    assert label("cluster") == "“cluster”"


def test_a_command_is_the_button_or_the_algorithm_that_does_it(qgis_app):
    text = (
        "SAM 2.1 tiny is not on this computer: get it with 'samgeo models download sam2.1-tiny' "
        "(about 156 MB, licence Apache-2.0), or give the path of a file that you have."
    )
    assert in_our_words(Failure(1, "CheckpointError", text)).message == (
        "SAM 2.1 tiny is not on this computer: get it with “Download…” in the panel’s list of "
        "models, behind the button beside “Model” (about 156 MB, licence Apache-2.0), or give "
        "the path of a file that you have."
    )
    said = in_our_words(Log("warning", "Classify its result with 'samgeo classify'."))
    assert said.message == "Classify its result with “Classify objects”."


def test_no_message_of_the_engine_quotes_a_command_that_qgis_has_no_words_for():
    """But for the list of models, whose message says itself where it is in QGIS."""
    quoted = set()
    for path in (ROOT / "core").rglob("*.py"):
        if not {"cli", "bundle", "job"} & set(path.relative_to(ROOT / "core").parts):
            text = re.sub(r"\"\s+f?\"", "", path.read_text("utf-8"))
            quoted |= set(re.findall(r"'samgeo [a-z][^'\n]*'", text))
    without = {command for command in quoted if not _COMMAND.fullmatch(command)}
    assert without == {"'samgeo models list'"} < quoted


def test_defaults_ranges_and_choices_of_dialogs_are_those_of_the_engine(qgis_app):
    from qgis.core import QgsProcessingParameterEnum, QgsProcessingParameterNumber

    from samgeo_plugin.job import SegmentParameters
    from samgeo_plugin.processing.provider import ALGORITHMS

    fields = SegmentParameters.__dataclass_fields__
    seen = set()
    for kind in ALGORITHMS:
        algorithm = kind()
        algorithm.initAlgorithm()
        if not algorithm.name().startswith("segment"):
            continue
        for definition in algorithm.parameterDefinitions():
            name = definition.name().lower()
            if name not in fields or name in ("extent", "area", "prompts", "bands", "model"):
                continue
            about, default = fields[name].metadata, fields[name].default
            seen.add(name)
            if isinstance(definition, QgsProcessingParameterNumber):
                assert definition.defaultValue() == default, name
                if about["least"] is not None:
                    assert definition.minimum() >= about["least"], name
                if about["most"] is not None:
                    assert definition.maximum() <= about["most"], name
            elif isinstance(definition, QgsProcessingParameterEnum):
                words = algorithm.choices[definition.name()]
                assert len(definition.options()) == len(words), name
                if name == "scale":  # a number in the engine, some of them in the dialog
                    numbers = [float(word) for word in words if word != "auto"]
                    assert about["least"] == min(numbers)
                    assert about["most"] == max(numbers)
                    continue
                assert set(words) <= set(about.get("choices") or ()) or name in ("device",), name
    assert {"min_area", "tile_size", "margin", "mode", "workers", "precision"} <= seen


def test_every_parameter_of_a_dialog_has_its_label_in_messages(qgis_app):
    from samgeo_plugin import job
    from samgeo_plugin.processing.provider import ALGORITHMS

    known = {
        name
        for kind in vars(job).values()
        if isinstance(kind, type) and kind.__name__.endswith("Parameters")
        for name in getattr(kind, "__dataclass_fields__", {})
    }
    without = set()
    for kind in ALGORITHMS:
        algorithm = kind()
        algorithm.initAlgorithm()
        for definition in algorithm.parameterDefinitions():
            name = definition.name().lower()
            if name in known - {"input", "output"} and label(name) == f"“{name}”":
                without.add(name)
    assert not without


def test_what_a_file_refers_to_is_allowed_in_the_settings(qgis_app):
    said = in_our_words(
        Failure(1, "RasterError", f"unless you allow it ({option('allow_remote')}).")
    )
    assert "settings" in said.message
    assert "allow_remote" not in said.message
