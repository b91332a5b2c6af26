# SPDX-License-Identifier: GPL-2.0-or-later
"""What jobs with classes share: reading examples, the classifier and the model."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from ...classes.examples import NONE, Example, ExampleLayer, check_classes, read_examples
from ...classes.saved import SUFFIX, SavedClassifier, Subject, check_model, load_classifier
from ...errors import ParameterError
from ...job import option
from ...layers.inputs import Input, layer_input
from ...layers.publish import exists_already
from ...masks.job_folder import JobFolder
from ...models.base import PromptableModel
from ...raster.raster import Raster
from ..finished import check_job_folder
from ..options import ClassParameters, JobParameters, has_classes, no_new_classifier
from ..stages.prompt_stage import ModelFactory


class ModelParameters(Protocol):
    """The parameters of ``job`` that say which model."""

    @property
    def model(self) -> str: ...
    @property
    def device(self) -> str: ...
    @property
    def threads(self) -> int | None: ...
    @property
    def precision(self) -> str: ...


def check_options(params: ClassParameters) -> None:
    """Refuse options that contradict one another or would be passed over in silence.

    Raises:
        ParameterError: They do.
    """
    if params.examples is not None and params.class_field is None:
        raise ParameterError(
            f"Name the field of {option('examples')} that holds the classes with "
            f"{option('class_field')}, or give "
            f"layers of one class each with {option('like')} and {option('unlike')}."
        )
    exemplars = getattr(params, "exemplars", None)
    if params.class_field is not None and params.examples is None and exemplars is None:
        raise ParameterError(
            f"{option('class_field')} says nothing without {option('examples')}: give both."
        )
    if params.classifier is not None and (params.examples or params.like or params.unlike):
        raise ParameterError(
            f"Give either a saved classifier ({option('classifier')}) or examples, not both."
        )
    if params.save_classifier is not None:
        if params.classifier is not None or not has_classes(params):
            raise no_new_classifier()
        if Path(params.save_classifier).suffix != SUFFIX:
            raise ParameterError(f"The classifier {params.save_classifier} must end with {SUFFIX}.")
    if params.min_class_prob is not None and not 0 <= params.min_class_prob <= 1:
        raise ParameterError(
            f"{option('min_class_prob')} is {params.min_class_prob}, but must lie between 0 and 1."
        )


def check_new_classifier(params: JobParameters) -> None:
    """Refuse to replace a saved classifier without being allowed to.

    An interrupted run of the job, whose folder or its record is still there, may have saved it
    already.

    Raises:
        OutputError: It exists.
    """
    given = getattr(params, "save_classifier", None)
    if given is None or params.overwrite or not Path(given).exists():
        return
    folder = check_job_folder(params)
    if not folder.exists() and JobFolder(folder).finished() is None:
        raise exists_already(Path(given))


def example_layers(params: ClassParameters) -> list[ExampleLayer]:
    """Where the examples are."""
    layers = []
    if params.examples is not None:
        layers.append(ExampleLayer(params.examples, class_field=params.class_field))
    layers += map(ExampleLayer.named_as_file, params.like)
    layers += [ExampleLayer(path, class_name=NONE) for path in params.unlike]
    return layers


def class_examples(params: ClassParameters, raster: Raster) -> list[Example]:
    """The examples of a job on its raster; none where a saved classifier is given.

    Raises:
        PromptError: They cannot be used, or all are of one class.
    """
    if params.classifier is not None:
        return []
    examples = read_examples(example_layers(params), raster.transform, raster.crs, raster.shape)
    check_classes([example.class_name for example in examples])
    return examples


def inputs_of_classes(params: ClassParameters) -> list[Input]:
    """What a job with classes reads besides its raster: no output may take its place."""
    given = [
        one
        for known in example_layers(params)
        for one in layer_input("a layer of examples", known.path)
    ]
    if params.classifier is not None:
        given.append(Input("the classifier", (params.classifier,)))
    return given


def model_factory(params: ModelParameters) -> ModelFactory:
    """Makes the model in each worker; picklable."""
    return partial(_load, params.model, params.device, params.threads, params.precision)


def _load(model: str, device: str, threads: int | None, precision: str) -> PromptableModel:
    from ...models.load import load_model  # torch takes seconds to import

    return load_model(model, device, threads, precision)


def saved_classifier(
    params: ClassParameters, subject: Subject, model: PromptableModel
) -> SavedClassifier | None:
    """The classifier that was asked for by its path, refused where it is another model's."""
    if params.classifier is None:
        return None
    saved = load_classifier(params.classifier, subject)
    check_model(saved, model.info.fingerprint, model.info.name)
    return saved


def about(raster: Raster, model: PromptableModel, layers: Sequence[ExampleLayer]) -> dict[str, Any]:
    """Notes for a saved classifier: where it is from."""
    return {
        "model": model.info.name,
        "raster": raster.name,
        "raster_identity": raster.identity,
        "stretch": raster.spec["stretch"],
        "resolution": raster.spec["resolution"],
        "examples": [
            {"path": layer.path, "class_field": layer.class_field, "class": layer.class_name}
            for layer in layers
        ],
    }
