# SPDX-License-Identifier: GPL-2.0-or-later
"""One training, from a layer and a raster to its verdict: data split by place, a learner, the
models that may be kept, and the figures of each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import torch

from ...classes.classifier import Classifier
from ...classes.saved import SavedClassifier, save_classifier
from ...errors import ModelError, ParameterError
from ...jobs.scale import has_scales, scale_for, scaled
from ...labels.places import Cut
from ...layers.reader import LayerLike
from ...models.base import PromptableModel
from ...models.catalogue import EMBEDDED
from ...models.embedding_cache import EmbeddingCache
from ...models.load import load_model
from ...models.promptable import TorchModel
from ...models.runtime import set_threads
from ...models.weights import checkpoints
from ...models.weights.own import (
    CLASSIFIER,
    OwnNotes,
    read_notes,
)
from ...raster.raster import Raster
from .card import card, forgotten
from .confident_examples import with_confident
from .examples import (
    LEAST_HELD_BACK,
    ExampleOptions,
    Examples,
    Window,
    Windows,
    on_side,
    read_examples,
    split,
)
from .finetune import LoopOptions, Run
from .gain import Verdict, best_of
from .learners import Learner, SamLearner, What, halved
from .levels import best_level, with_margin
from .measure import CachedEncoder, Measured, everything, measure, one_to_one, overlaps
from .variants import (
    CLASSIFIER_ALONE,
    TRAINED,
    TRAINED_CLASSIFIER,
    Variant,
    with_classifiers,
)

WATCHED = 0.25
"""Share of the objects to train on that are only watched, to know when to stop."""

EMBEDDINGS = "embeddings"
"""Where a run keeps embeddings in its folder."""

LARGEST_SCALE = 2.0
"""Scale above which windows are smaller, so that the network never sees more of one than at this
scale: an image of 4096 network pixels takes several GB."""

LEAST_WATCHED = 24
"""Objects to train on without which none are watched."""


@dataclass(frozen=True)
class TrainOptions:
    """All but the data.

    Args:
        model: What to begin with: a name or a path.
        what: "adapter", "decoder" or "whole"; None: the embedded model's decoder, adapters of
            others.
        window: Side of the windows, pixels; half of it at a scale of 4.
        points: Of the automatic mode that is measured, along a window's side.
        automatic_windows: Windows in which it is measured, at most; 0 leaves it out.
        confident: Learn from confident masks of what nobody labelled, too
            (``confident_examples.py``).
        licence: Of the trained model, for its card.
        person_minutes: That a person has worked on the labels in all, for the card.
        allow_remote: As of :class:`~samgeo_core.RasterOptions`.
        device, threads: See :func:`~samgeo_core.load_model`.
        examples: How the layer is read.
        loop: How long and how fast.
    """

    model: str = EMBEDDED
    what: What | None = None
    window: int = 1024
    points: int = 32
    automatic_windows: int = 4
    confident: bool = False
    licence: str = ""
    person_minutes: float | None = None
    allow_remote: bool = False
    device: str = "auto"
    threads: int | None = None
    examples: ExampleOptions = field(default_factory=ExampleOptions)
    loop: LoopOptions = field(default_factory=LoopOptions)


@dataclass(frozen=True)
class Trained:
    """What came out.

    Args:
        name: Of the model.
        path: Its file; None where it brought nothing and was not kept.
        verdict: The figures, before and after.
        card: What stands in the model's card, kept or not.
    """

    name: str
    path: str | None
    verdict: Verdict
    card: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "path": self.path, "verdict": asdict(self.verdict),
                "card": self.card}  # fmt: skip


@dataclass
class TrainingJob:
    """One training from its data to its verdict."""

    raster: Raster
    examples: Examples
    options: TrainOptions
    folder: Path
    learner: Learner
    before: PromptableModel
    notes: OwnNotes
    extra_notes: dict[str, str]
    windows: dict[str, list[Window]]
    left_out: list[str]
    digest: str
    confident: int = 0
    kept: dict[str, Any] = field(default_factory=dict)
    after: PromptableModel | None = None
    classifier: Classifier | None = None
    chosen: str = ""

    def run(self, name: str, report: Callable[[str, int, int], None]) -> Trained:
        options, held_back = self.options, self.windows["held back"]
        run = Run(
            self.learner,
            options.loop,
            self.windows["watched"],
            self.folder,
            self.digest,
            options.points,
        )
        run.resume()
        run.go(report)
        # What is measured is what is kept: tensors as the file will hold them.
        self.kept = {key: value.float() for key, value in halved(run.best).items()}
        after = self.learner.model(self.kept)
        score = self._threshold(after, report)
        if score is not None:
            after = self.learner.thresholds(after, score)
        found = self._measured(self.before, held_back, "before", report)
        seen = self._measured(after, held_back, "after", report)
        trained = Variant(after, None, seen)
        made = self._with_classifiers(name, Variant(self.before, None, found), trained, report)
        self.chosen, verdict = best_of(found, {name: v.figures for name, v in made.items()})
        self.after, self.classifier = made[self.chosen].model, made[self.chosen].classifier
        if self.chosen == CLASSIFIER_ALONE:
            self.kept, self.notes = {}, replace(self.notes, own_kind="classifier")
        else:
            if score is not None:
                self.notes = replace(self.notes, score_threshold=f"{score:.3f}")
            self.notes = replace(self.notes, **cast(Any, self.learner.settings))
        if self.classifier is not None:
            self.notes = replace(self.notes, classifier="yes")
        lost = forgotten(self.before, self.after, options.window)
        return Trained(name, None, verdict, card(self, name, run, verdict, lost))

    def _with_classifiers(
        self,
        label: str,
        before: Variant,
        trained: Variant,
        report: Callable[[str, int, int], None],
    ) -> dict[str, Variant]:
        """All that may be kept.

        A grid of points takes minutes per window: only models that propose objects have
        classifiers.
        """
        if not getattr(trained.model, "proposes", False):
            return {TRAINED: trained}
        most = self.options.automatic_windows
        windows = [w for w in self.windows["train"] + self.windows["watched"] if w.known.any()]
        made = with_classifiers(
            self.raster,
            before,
            trained,
            windows[: 2 * most],
            self.windows["held back"][:most],
            label,
            # A file of all weights stands for itself: there is none without trained ones.
            alone=self.notes.own_kind != "whole",
            points=self.options.points,
            report=lambda done, total: report("candidates", done, total),
        )
        wanted = (TRAINED_CLASSIFIER, TRAINED, CLASSIFIER_ALONE)
        made[TRAINED] = trained
        return {name: made[name] for name in wanted if name in made}

    def put_classifier(self, file: Path) -> None:
        """Write what is accepted beside the trained model's file, where that was learned."""
        if self.classifier is None:
            return
        scale = scale_for(None, self.raster, content=has_scales(self.options.model))
        model = scaled(load_model(str(file), "cpu", self.options.threads), scale, None)
        # Its features are those of the model in the file: that has another name for them.
        one = replace(self.classifier, model=model.info.fingerprint)
        about = {"model": file.stem, "raster": self.raster.name, "examples": []}
        saved = SavedClassifier(one, "objects", about)
        save_classifier(file.with_suffix(CLASSIFIER), saved)

    def _measured(
        self,
        model: PromptableModel,
        windows: Sequence[Window],
        stage: str,
        report: Callable[[str, int, int], None],
    ) -> Measured:
        return measure(
            model,
            windows,
            automatic=self.options.automatic_windows,
            points=self.options.points,
            report=lambda done, total: report(stage, done, total),
        )

    def _threshold(
        self, after: PromptableModel, report: Callable[[str, int, int], None]
    ) -> float | None:
        """The score above which the automatic mode is best, on what was watched and trained on.

        None where nothing is labelled completely: then false objects are not known. As many
        objects must be found as by the base model.
        """
        windows = [w for w in self.windows["watched"] + self.windows["train"] if w.known.any()]
        windows = windows[: max(0, min(2, self.options.automatic_windows))]
        if not windows:
            return None
        report("threshold", 0, 2)
        hits = objects = 0
        for window in windows:
            found, _ = everything(self.before, window, self.options.points)
            hits += len(one_to_one(overlaps(found, [window.mask(o) for o in window.objects])))
            objects += len(window.objects)
        report("threshold", 1, 2)
        least = with_margin(hits, objects)
        level, _ = best_level(after, windows, self.options.points, least)
        report("threshold", 2, 2)
        return level


def prepare(
    raster: Raster,
    labels: LayerLike,
    options: TrainOptions,
    folder: Path,
    report: Callable[[str, int, int], None] = lambda stage, done, total: None,
) -> TrainingJob:
    """Read the data, split them, load the model, find what it is sure of.

    Raises:
        As :func:`train`.
    """
    examples = read_examples(raster, labels, options.examples)
    cut = split(examples, options.examples.held_back)
    scale = scale_for(None, raster, content=has_scales(options.model))
    maker = Windows(raster, round(options.window * min(1, LARGEST_SCALE / scale)))
    windows = {"held back": maker.around(examples, cut, "held back")}
    own = replace(
        examples,
        objects=on_side(examples.objects, cut, "train"),
        rejected=on_side(examples.rejected, cut, "train"),
    )
    windows |= _watched(maker, own, cut)
    _check_split(windows)
    set_threads(options.threads)
    located = checkpoints.locate(options.model)
    notes = read_notes(located.path) if located.path.suffix == ".safetensors" else None
    if notes is not None and notes.own_kind != "whole":
        raise ModelError(
            f"{options.model} was itself trained from {notes.base}: begin with "
            f"{notes.base}, or with a model that was trained as a whole."
        )
    base = scaled(load_model(options.model, options.device, options.threads), scale, None)
    what = options.what or ("decoder" if base.info.family == EMBEDDED else "adapter")
    learned = windows["train"]
    labelled = sum(len(window.objects) for window in learned)
    if options.confident:
        learned = with_confident(
            base, learned, options.points, lambda done, total: report("confident", done, total)
        )
    learner, before, extra = _learner(base, located, what, learned, options, folder, scale)
    checksum = checkpoints.checksum_of(located)
    kept_notes = OwnNotes(
        base.info.family,
        what,
        options.model if located.entry is not None else str(located.path.resolve()),
        checksum,
        str(base.info.score_threshold),
        str(base.info.stability_threshold),
    )
    facts = [
        examples.digest,
        checksum,
        what,
        asdict(options.loop),
        options.window,
        options.examples.held_back,
        *(["confident"] if options.confident else []),
    ]
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    return TrainingJob(
        raster=raster,
        examples=examples,
        options=options,
        folder=folder,
        learner=learner,
        before=before,
        notes=kept_notes,
        extra_notes=extra,
        windows=windows,
        left_out=[*examples.left_out, *maker.dropped],
        digest=digest,
        confident=sum(len(window.objects) for window in learned) - labelled,
    )


def _watched(maker: Windows, own: Examples, cut: Cut) -> dict[str, list[Window]]:
    """Windows to train on and to watch; the latter are split off by place, too."""
    if len(own.objects) >= LEAST_WATCHED:
        try:
            inner = split(own, WATCHED)
        except ParameterError:
            inner = None
        if inner is not None:
            return {
                "train": maker.around(own, inner, "train"),
                "watched": maker.around(own, inner, "held back"),
            }
    return {"train": maker.around(own, cut, "train"), "watched": []}


def _check_split(windows: dict[str, list[Window]]) -> None:
    """Refuse what cannot be trained on and measured.

    Raises:
        ParameterError: One side has too few objects that fit into a window.
    """
    for side in ("train", "held back"):
        count = len({o.id for w in windows[side] for o in w.objects})
        if count < LEAST_HELD_BACK:
            raise ParameterError(
                f"Only {count} objects are left to {'train on' if side == 'train' else 'measure'} "
                "that lie whole in a window: label more, at other places, or choose a larger "
                "window."
            )


def _learner(
    base: PromptableModel,
    located: checkpoints.Located,
    what: What,
    windows: Sequence[Window],
    options: TrainOptions,
    folder: Path,
    scale: float,
) -> tuple[Learner, PromptableModel, dict[str, str]]:
    """The learner, the model it begins with, and notes that the file needs besides."""
    if base.info.family == EMBEDDED:
        from .embedded_learner import EmbeddedLearner

        learner = EmbeddedLearner(
            located.path,
            windows,
            what,
            device=torch.device(base.info.device),
            name=base.info.name,
            scale=scale,
        )
        return learner, base, dict(learner.notes) if what == "whole" else {}
    if not isinstance(base, TorchModel):
        raise ModelError(
            f"{base.info.name} cannot be trained here: choose a model of the SAM family."
        )
    cache = EmbeddingCache(folder / EMBEDDINGS, in_memory=2)
    encoder = CachedEncoder(base, cache, base.info.fingerprint)
    sam = SamLearner(base, encoder, windows, what, seed=options.loop.seed)
    return sam, encoder, {}
