# SPDX-License-Identifier: GPL-2.0-or-later
"""Find automatically: what and where, how far it is, how sure it must be, what is right of it."""

from __future__ import annotations

from typing import Any, Optional

from qgis.core import (
    QgsCoordinateTransform,
    QgsCsException,
    QgsFeatureRequest,
    QgsGeometry,
    QgsMapLayerProxyModel,
    QgsProject,
    QgsVectorLayer,
)
from qgis.gui import QgsCollapsibleGroupBox, QgsMapCanvas, QgsMapLayerComboBox
from qgis.PyQt.QtCore import QSignalBlocker, Qt
from qgis.PyQt.QtWidgets import (
    QAction,
    QCheckBox,
    QComboBox,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QSlider,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from .. import settings
from ..i18n import tr
from ..interactive.automatic import AREA, RASTER, VIEW, Automatic, Wanted, search_of
from ..interactive.controller import Controller
from ..interactive.examples import Examples
from ..interactive.find_like import FindLike
from ..interactive.found_objects import Found
from ..interactive.runs import NOT_KNOWN, Run
from ..interactive.search_kinds import EVERYTHING, EXAMPLES, USUAL_LEAST, WORDS
from ..interactive.words import text_of
from ..processing.parameters import title_of
from ..processing.segment_raster import CLASSES
from .example_tool import ExampleTool
from .runs_dialog import RunsDialog
from .word_row import WordRow


class FindPanel(QgsCollapsibleGroupBox):
    """The search and what is done with its result.

    Args:
        controller: The plugin's state.
        automatic: Starts and ends runs.
        find: The search.
        examples: The project's.
        tool: Corrects by clicks.
        tool_action: Chooses that tool.
        canvas: The map.
        parent: Qt's owner.
    """

    def __init__(
        self,
        controller: Controller,
        automatic: Automatic,
        find: FindLike,
        examples: Examples,
        tool: ExampleTool,
        tool_action: QAction,
        canvas: QgsMapCanvas,
        parent: Optional[QWidget] = None,
    ) -> None:
        super().__init__(tr("Find automatically"), parent)
        self._controller = controller
        self._automatic = automatic
        self._find = find
        self._examples = examples
        self._tool = tool
        self._canvas = canvas
        self._runs_dialog: Optional[RunsDialog] = None
        self.setFlat(True)

        self.what = QComboBox()
        self.what.addItem(tr("All like the accepted ones"), EXAMPLES)
        self.what.addItem(tr("Words…"), WORDS)
        for word in CLASSES:
            self.what.addItem(title_of("CLASS", word), EVERYTHING if word == "all" else word)
        self.what.setToolTip(
            tr(
                "What is like your objects; what words name; everything, or one class of the "
                "embedded model"
            )
        )
        self.words = WordRow(controller)
        self.words.changed.connect(self._show_words)
        self.words.entered.connect(self._entered)
        self.where = QComboBox()
        for text, value in (
            (tr("Visible extent"), VIEW),
            (tr("Polygons of a layer"), AREA),
            (tr("Whole raster"), RASTER),
        ):
            self.where.addItem(text, value)
        self.where.setToolTip(tr("Where objects are looked for"))
        self.area = QgsMapLayerComboBox()
        self.area.setFilters(QgsMapLayerProxyModel.Filter.PolygonLayer)
        for box in (self.what, self.where, self.area):
            box.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.start = QPushButton()
        self.start.clicked.connect(self._start)
        self.runs = QToolButton()
        self.runs.setText(tr("Runs…"))
        self.runs.setToolTip(tr("Earlier runs with their settings, to repeat or to go on"))
        self.runs.clicked.connect(self.show_runs)
        self.into = QCheckBox(tr("Into the target layer at the end"))
        self.into.setToolTip(
            tr("Also what a run has found that is stopped; one step of the layer's undo")
        )
        self.into.toggled.connect(lambda wanted: self._into_setting().set(wanted))
        self.progress = QProgressBar()
        self.progress.setMaximumHeight(8)
        self.progress.setTextVisible(False)
        self.counts = QLabel()
        self.counts.setWordWrap(True)

        self.least = QSlider(Qt.Orientation.Horizontal)
        self.least.setRange(0, 95)
        self.least.setToolTip(tr("How probable the class of an object that is shown must be"))
        self.least.valueChanged.connect(self._slid)
        self.least_text = QLabel()
        self.least_text.setMinimumWidth(self.least_text.fontMetrics().horizontalAdvance("0.00 "))
        probability = QHBoxLayout()
        self.least_name = QLabel()
        probability.addWidget(self.least_name)
        probability.addWidget(self.least, 1)
        probability.addWidget(self.least_text)

        self.correct = QToolButton()
        self.correct.setDefaultAction(tool_action)
        self.next = QPushButton(tr("What to ask next"))
        self.next.setToolTip(tr("Go to the object whose answer teaches most"))
        self.next.clicked.connect(self._ask)
        self.hint = QLabel()
        self.hint.setWordWrap(True)
        self.take = QPushButton(tr("Take into the target layer"))
        self.take.setToolTip(tr("Copy what is shown; one step of the layer's undo"))
        self.take.clicked.connect(lambda _: automatic.take())
        self.correct.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        row = QHBoxLayout()
        row.setSpacing(3)
        for button in (self.correct, self.next):
            button.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
            button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            row.addWidget(button, 1)

        # A box that is opened shows all that lies in it, also what is hidden on purpose.
        inside = QWidget()
        whole = QVBoxLayout(self)
        whole.setContentsMargins(6, 4, 6, 4)
        whole.addWidget(inside)
        layout = QVBoxLayout(inside)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        begin = QHBoxLayout()
        begin.setSpacing(3)
        begin.addWidget(self.start, 1)
        begin.addWidget(self.runs)
        layout.addWidget(self.what)
        layout.addWidget(self.words)
        layout.addWidget(self.where)
        layout.addWidget(self.area)
        layout.addWidget(self.into)
        layout.addLayout(begin)
        layout.addWidget(self.progress)
        layout.addWidget(self.counts)
        layout.addLayout(probability)
        layout.addLayout(row)
        layout.addWidget(self.hint)
        layout.addWidget(self.take)

        self.what.currentIndexChanged.connect(self._show_into)
        self.what.currentIndexChanged.connect(self.show_state)
        self.where.currentIndexChanged.connect(self.show_state)
        automatic.changed.connect(self.show_state)
        automatic.runs.changed.connect(self.show_state)
        find.changed.connect(self.show_state)
        examples.changed.connect(self.show_state)
        tool.asked_changed.connect(self._show_asked)
        tool.class_wanted.connect(self._want_class)
        self._show_into()
        self._show_words()
        self._show_asked(None)

    def release(self) -> None:
        """The panel is about to be deleted."""
        self.words.release()
        if self._runs_dialog is not None:
            self._runs_dialog.close()
            self._runs_dialog.deleteLater()
            self._runs_dialog = None

    # --- what is shown --------------------------------------------------------------------------

    def show_state(self, *_: object) -> None:
        find = self._find
        self.area.setVisible(self.where.currentData() == AREA)
        by_examples = self.what.currentData() == EXAMPLES
        by_words = self.what.currentData() == WORDS
        self.words.setVisible(by_words)
        self.start.setEnabled(find.running or not by_words or self.words.possible)
        self.start.setText(
            tr("Stop")
            if find.running
            else tr("Find all like these")
            if by_examples
            else tr("Find all")
        )
        self.start.setToolTip(
            tr("Find all objects that are like the accepted ones of each class, in the background")
            if by_examples
            else tr("Find all objects in the background; clicks go on working")
            if self.start.isEnabled()
            else _no_word_model()
        )
        self.runs.setEnabled(bool(self._automatic.runs.items))
        sorts = self._slides == EXAMPLES
        self.least_name.setText(tr("Probability") if sorts else tr("Least score"))
        self.progress.setVisible(find.running)
        self.progress.setRange(0, find.tiles)  # 0 to 0 while nothing is known: it moves
        self.progress.setValue(find.done)
        blocker = QSignalBlocker(self.least)
        least = self._least()
        self.least.setValue(round((USUAL_LEAST if least is None else least) * 100))
        del blocker
        self.least_text.setText("–" if least is None else f"{self.least.value() / 100:.2f}")
        self.counts.setText(self._counts())
        self.counts.setVisible(bool(self.counts.text()))
        for widget in (self.correct, self.next, self.hint):
            widget.setVisible(sorts or by_examples)
        self.next.setEnabled(bool(find.ask) and find.there)
        self.correct.defaultAction().setEnabled(find.there and find.by_examples)
        self.take.setEnabled(bool(find.kept) and not self._automatic.takes)

    @property
    def _slides(self) -> str:
        """What the slider is of: what was looked for, else what is to be looked for."""
        return self._find.what if self._find.shows else str(self.what.currentData())

    def _least(self) -> Optional[float]:
        """Where the slider is; None for the engine's own, which is not known yet."""
        if self._find.shows:
            return self._find.leasts.shown
        what = self._slides
        return self.words.search.least if what == WORDS else self._find.leasts.of(what)

    def _show_words(self) -> None:
        """Words can be chosen where a model understands them."""
        item = self.what.model().item(self.what.findData(WORDS))
        item.setEnabled(self.words.possible)
        item.setToolTip("" if self.words.possible else _no_word_model())
        self.show_state()

    def _into_setting(self) -> settings.Setting:
        by_examples = self.what.currentData() == EXAMPLES
        return settings.RUN_LIKE_INTO if by_examples else settings.RUN_INTO

    def _show_into(self, *_: object) -> None:
        self.into.setChecked(self._into_setting().get())

    def _counts(self) -> str:
        find = self._find
        lines = []
        if find.shows:
            text = tr("{kept} shown of {found} objects").format(
                kept=len(find.kept), found=len(find.found)
            )
            # The slider below is of these, not of what is chosen above.
            other = find.what != self.what.currentData()
            lines.append(f"{self._title(find.what)}: {text}" if other else text)
        counts = self._examples.counts
        if counts:
            named = [f"{name} {count}" for name, count in sorted(counts.items()) if name]
            none = [tr("none of these {count}").format(count=counts[""])] if counts[""] else []
            lines.append(tr("Examples: {counts}").format(counts=", ".join([*named, *none])))
        return "\n".join(lines)

    def _title(self, what: str) -> str:
        """Of what was looked for."""
        if what == WORDS:
            return text_of(self._find.search.words)
        return self.what.itemText(self.what.findData(what))

    def _show_asked(self, one: Optional[Found]) -> None:
        if one is None:
            text = tr("Left click on an object: right. Right click: wrong.")
        else:
            kept = self._find.kept.get(one.id)
            text = (
                tr("{name} ({probability})? Y yes, X none of the classes, 1–9 class, N next")
                .format(name=kept[0], probability=f"{kept[1] or 0:.2f}")
                if kept
                else tr("Not shown now. 1–9 class, X none of the classes, N next")
            )  # fmt: skip
        self.hint.setText(text)

    def _want_class(self) -> None:
        self._controller.reporter.show(
            "warning",
            tr("No class is known that this object could be of: add one in “New class”."),
        )

    # --- what is done ---------------------------------------------------------------------------

    def _slid(self, value: int) -> None:
        self.least_text.setText(f"{value / 100:.2f}")
        what, find, least = self._slides, self._find, value / 100
        # Another model of words, chosen since, has scores of another kind.
        other = find.shows and find.search.detector != self.words.search.detector
        if what == WORDS and not other:
            self.words.set_least(least)
        if find.shows or what != WORDS:
            find.set_least(what, least)

    def _entered(self) -> None:
        """Enter in the box of the words."""
        if not self._automatic.busy and self.start.isEnabled():
            self._start()
            self._canvas.setFocus()

    def _start(self) -> None:
        if self._automatic.busy:
            self._automatic.stop()
            return
        where = self.where.currentData()
        area = None if where == RASTER else self._area()
        if area is None and where != RASTER:
            return
        crs, what = self._canvas.mapSettings().destinationCrs(), self.what.currentData()
        self._automatic.start(
            Wanted(what, where, area, crs, self.into.isChecked(), self.words.search)
        )

    def show_runs(self) -> None:
        """The history, beside the map."""
        if self._runs_dialog is None:
            self._runs_dialog = RunsDialog(self._automatic, self.window())
            self._runs_dialog.settings_wanted.connect(self._use_settings)
        self._runs_dialog.show()
        self._runs_dialog.raise_()

    def _use_settings(self, run: Run) -> None:
        """The panel shows what a run was told."""
        self.what.setCurrentIndex(max(self.what.findData(run.what), 0))
        self.where.setCurrentIndex(max(self.where.findData(run.where), 0))
        self.into.setChecked(run.into)
        if run.what == WORDS:
            self.words.show_search(search_of(run))
        elif run.least != NOT_KNOWN:
            self._find.set_least(run.what, run.least)

    def _area(self) -> Optional[QgsGeometry]:
        """Where to look, in the map's CRS; None for everywhere, or with a sentence for nowhere."""
        if self.where.currentData() == VIEW:
            return QgsGeometry.fromRect(self._canvas.extent())
        layer = self.area.currentLayer()
        if self.where.currentData() == RASTER:
            return None
        shapes: list[QgsGeometry] = []
        if isinstance(layer, QgsVectorLayer):
            move = QgsCoordinateTransform(
                layer.crs(), self._canvas.mapSettings().destinationCrs(), QgsProject.instance()
            )
            source: Any = layer.getFeatures(QgsFeatureRequest().setNoAttributes())
            if layer.selectedFeatureCount():
                source = layer.getSelectedFeatures()
            for feature in source:
                if not feature.hasGeometry():
                    continue
                shape = QgsGeometry(feature.geometry())
                try:
                    shape.transform(move)
                except QgsCsException:
                    continue
                shapes.append(shape)
        if not shapes:
            self._controller.reporter.show(
                "warning", tr("Choose a layer whose polygons are the area.")
            )
            return None
        whole = QgsGeometry.collectGeometry(shapes)
        # A union takes seconds of thousands; polygons that do not touch need none.
        return whole if whole.isGeosValid() else QgsGeometry.unaryUnion(shapes)

    def _ask(self) -> None:
        action = self.correct.defaultAction()
        if not action.isChecked():
            action.trigger()
        if not self._tool.ask_next():
            self._controller.reporter.show("info", tr("All that was worth asking is answered."))
        self._canvas.setFocus()


def _no_word_model() -> str:
    return tr(
        "No model that understands words is on this computer: download SAM 3, Grounding DINO or "
        "OWLv2 with the button beside “Model”."
    )
