# SPDX-License-Identifier: GPL-2.0-or-later
"""The history of automatic runs: what each was told and has found; repeat it, or go on."""

from __future__ import annotations

from typing import Optional

from qgis.PyQt.QtCore import Qt, pyqtSignal
from qgis.PyQt.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QHBoxLayout,
    QHeaderView,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from ..i18n import tr
from ..interactive.automatic import AREA, RASTER, VIEW, Automatic
from ..interactive.runs import DONE, FAILED, RUNNING, STOPPED, Run
from ..interactive.search_kinds import EVERYTHING, EXAMPLES, WORDS
from ..processing.parameters import title_of

_NUMBER = Qt.ItemDataRole.UserRole


class RunsDialog(QDialog):
    """Not modal: the map stays in use.

    Args:
        automatic: Whose runs.
        parent: QGIS's window.
    """

    settings_wanted = pyqtSignal(object)

    def __init__(self, automatic: Automatic, parent: Optional[QWidget] = None) -> None:
        super().__init__(parent)
        self._automatic = automatic
        self._newest = 0
        self.setWindowTitle(tr("Automatic runs"))
        titles = (
            tr("Started"), tr("State"), tr("What"), tr("Where"), tr("Raster"), tr("Model"),
            tr("Tiles"), tr("Shown"), tr("In the target layer"), tr("Seconds"),
        )  # fmt: skip
        self.table = QTableWidget(0, len(titles))
        self.table.setHorizontalHeaderLabels(titles)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.verticalHeader().setVisible(False)
        self.table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self.table.itemSelectionChanged.connect(self._show_buttons)
        self.go_on = QPushButton(tr("Go on"))
        self.go_on.setToolTip(
            tr(
                "The tiles that are left; after QGIS was closed all of them, quickly, and without "
                "what the target layer has already"
            )
        )
        self.repeat = QPushButton(tr("Repeat"))
        self.repeat.setToolTip(tr("The same raster, area and settings as a new run"))
        self.use = QPushButton(tr("Use the settings"))
        self.use.setToolTip(tr("The panel shows what this run was told"))
        self.forget = QPushButton(tr("Forget"))
        self.forget.setToolTip(tr("Take the run off this list; layers stay as they are"))
        close = QPushButton(tr("Close"))
        row = QHBoxLayout()
        for button in (self.go_on, self.repeat, self.use, self.forget):
            row.addWidget(button)
        row.addStretch(1)
        row.addWidget(close)
        layout = QVBoxLayout(self)
        layout.addWidget(self.table)
        layout.addLayout(row)
        self.go_on.clicked.connect(lambda: automatic.go_on(self.chosen()))
        self.repeat.clicked.connect(lambda: automatic.repeat(self.chosen()))
        self.use.clicked.connect(self._use)
        self.forget.clicked.connect(lambda: automatic.runs.forget(self.chosen()))
        close.clicked.connect(self.close)
        automatic.runs.changed.connect(self.show_runs)
        automatic.changed.connect(self._show_buttons)
        self.resize(900, 320)
        self.show_runs()

    def chosen(self) -> int:
        """The number of the chosen run; 0 where none is."""
        rows = self.table.selectionModel().selectedRows()
        return int(self.table.item(rows[0].row(), 0).data(_NUMBER)) if rows else 0

    def show_runs(self) -> None:
        """The newest run first; the choice stays until there is a newer one."""
        runs = self._automatic.runs.items[::-1]
        newest = runs[0].number if runs else 0
        chosen = self.chosen() if newest == self._newest else newest
        self._newest = newest
        self.table.setRowCount(len(runs))
        for row, run in enumerate(runs):
            for column, text in enumerate(_texts(run)):
                item = QTableWidgetItem(text)
                item.setData(_NUMBER, run.number)
                self.table.setItem(row, column, item)
        numbers = [run.number for run in runs]
        if numbers:
            self.table.selectRow(numbers.index(chosen) if chosen in numbers else 0)
        self._show_buttons()

    def _show_buttons(self) -> None:
        number = self.chosen()
        idle = bool(number) and not self._automatic.busy
        self.go_on.setEnabled(bool(number) and self._automatic.can_go_on(number))
        self.repeat.setEnabled(idle)
        self.use.setEnabled(bool(number))
        self.forget.setEnabled(idle)

    def _use(self) -> None:
        run = self._automatic.runs.find(self.chosen())
        if run is not None:
            self.settings_wanted.emit(run)


def _what(run: Run) -> str:
    if run.what == WORDS:
        return tr("Words: {words}").format(words=run.words)
    what = {EXAMPLES: tr("All like the accepted ones"), EVERYTHING: tr("Everything")}
    return what.get(run.what) or title_of("CLASS", run.what)


def _texts(run: Run) -> tuple[str, ...]:
    """A run's row."""
    where = {
        VIEW: tr("Visible extent"), AREA: tr("Polygons of a layer"), RASTER: tr("Whole raster"),
    }  # fmt: skip
    states = {
        RUNNING: tr("running"), DONE: tr("done"), STOPPED: tr("stopped"), FAILED: tr("failed"),
    }  # fmt: skip
    return (
        run.started,
        states.get(run.state, run.state),
        _what(run),
        where.get(run.where, run.where),
        run.raster_name,
        run.model,
        f"{run.done} / {run.tiles}",
        str(run.shown),
        str(run.taken),
        f"{run.seconds:.1f}",
    )
