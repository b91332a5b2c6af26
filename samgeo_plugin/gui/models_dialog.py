# SPDX-License-Identifier: GPL-2.0-or-later
"""The engine's models: size, licence, state; download, verify, check, remove; a file of
one's own."""

from __future__ import annotations

from typing import Any, Optional

from qgis.PyQt.QtCore import Qt
from qgis.PyQt.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QMessageBox,
    QProgressBar,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from ..i18n import tr
from ..interactive.controller import Controller
from ..job import Failure, Progress
from .source_panel import megabytes, state_text


class ModelsDialog(QDialog):
    """A table and what can be done with the chosen row; nothing is fetched without a question."""

    def __init__(self, controller: Controller, parent: Optional[QWidget] = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(tr("Models"))
        self.resize(760, 420)
        self._controller = controller
        self._request: Optional[int] = None
        self.table = QTableWidget(0, 5)
        self.table.setHorizontalHeaderLabels(
            [tr("Model"), tr("State"), tr("Size"), tr("Licence"), tr("Note")]
        )
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.verticalHeader().hide()
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setStretchLastSection(True)

        self.use = QPushButton(tr("Use"))
        self.download = QPushButton(tr("Download…"))
        self.verify = QPushButton(tr("Verify"))
        self.check = QPushButton(tr("Check"))
        self.check.setToolTip(
            tr("Try the model on a picture of known houses: does it work as it should here?")
        )
        self.remove = QPushButton(tr("Remove…"))
        self.file = QPushButton(tr("Use a file…"))
        row = QHBoxLayout()
        for button in (
            self.use,
            self.download,
            self.verify,
            self.check,
            self.remove,
            self.file,
        ):
            row.addWidget(button)
        row.addStretch(1)
        self.text = QLabel()
        self.text.setWordWrap(True)
        self.progress = QProgressBar()
        self.cancel = QPushButton(tr("Cancel"))
        working = QHBoxLayout()
        working.addWidget(self.progress, 1)
        working.addWidget(self.cancel)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addWidget(self.table, 1)
        layout.addLayout(row)
        layout.addWidget(self.text)
        layout.addLayout(working)
        layout.addWidget(buttons)

        self.use.clicked.connect(self._use)
        self.download.clicked.connect(self._download)
        self.verify.clicked.connect(lambda: self._do("verify"))
        self.check.clicked.connect(lambda: self._do("check"))
        self.remove.clicked.connect(self._remove)
        self.file.clicked.connect(self._file)
        self.cancel.clicked.connect(self._cancel)
        self.table.itemSelectionChanged.connect(self._show_buttons)
        self.table.itemDoubleClicked.connect(lambda _: self._use())
        controller.models_changed.connect(self._fill)
        self._fill()
        controller.refresh_models()

    def _fill(self) -> None:
        models = self._controller.models
        self.table.setRowCount(len(models))
        chosen = 0
        for row, model in enumerate(models):
            state = state_text(str(model.get("state", "")))
            texts = [
                str(model.get("title") or model.get("name")),
                state,
                megabytes(model.get("size")),
                str(model.get("licence") or ""),
                str(model.get("note") or ""),
            ]
            for column, text in enumerate(texts):
                item = QTableWidgetItem(text)
                item.setToolTip(text)
                if column == 2:
                    item.setTextAlignment(
                        int(Qt.AlignmentFlag.AlignRight) | int(Qt.AlignmentFlag.AlignVCenter)
                    )
                self.table.setItem(row, column, item)
            if model.get("name") == self._controller.choice.model:
                chosen = row
        if models:
            self.table.selectRow(chosen)
        self._show_buttons()

    def _selected(self) -> Optional[dict[str, Any]]:
        row = self.table.currentRow()
        return self._controller.models[row] if 0 <= row < len(self._controller.models) else None

    def _show_buttons(self) -> None:
        model = self._selected()
        state = str(model.get("state", "")) if model else ""
        free = self._request is None
        self.use.setEnabled(bool(state) and state != "to download")
        self.download.setEnabled(free and state == "to download")
        self.verify.setEnabled(free and state == "on disk")
        self.check.setEnabled(free and state in ("on disk", "embedded"))
        self.remove.setEnabled(free and state == "on disk")
        self.progress.setVisible(not free)
        self.cancel.setVisible(not free)

    def _use(self) -> None:
        model = self._selected()
        if model is not None and self.use.isEnabled():
            self._controller.choose(model=str(model["name"]))
            self.accept()

    def _file(self) -> None:
        path, _ = QFileDialog.getOpenFileName(
            self,
            tr("A file of weights"),
            "",
            tr("Weights (*.pth *.pt *.safetensors *.onnx);;All files (*)"),
        )
        if path:
            self._controller.choose(model=path)
            self.accept()

    def _download(self) -> None:
        model = self._selected()
        if model is None:
            return
        answer = QMessageBox.question(
            self,
            tr("Download a model"),
            tr("Download {title}, {size}, under the licence {licence}?").format(
                title=model.get("title") or model.get("name"),
                size=megabytes(model.get("size")) or tr("of unknown size"),
                licence=model.get("licence") or tr("of its authors"),
            ),
        )
        if answer == QMessageBox.StandardButton.Yes:
            self._do("download")

    def _remove(self) -> None:
        model = self._selected()
        if model is None:
            return
        question = tr("Delete the file of {title}?").format(title=model.get("title"))
        if (
            QMessageBox.question(self, tr("Remove a model"), question)
            == QMessageBox.StandardButton.Yes
        ):
            self._do("remove")

    def _do(self, action: str) -> None:
        model = self._selected()
        if model is None or self._request is not None:
            return
        self.progress.setRange(0, 0)
        tells = action in ("verify", "check")
        self.text.setText(
            tr("Trying the model; this may take minutes.") if action == "check" else ""
        )
        self._request = self._controller.client.request(
            "models",
            {"action": action, "name": model["name"]},
            on_result=lambda result: self._ended(_note(result) if tells else tr("Done.")),
            on_failure=self._failed,
            on_progress=self._advance,
        )
        self._show_buttons()

    def _advance(self, progress: Progress) -> None:
        # Bytes exceed what a progress bar counts.
        self.progress.setRange(0, 1000 if progress.total else 0)
        self.progress.setValue(int(1000 * progress.done / max(progress.total, 1)))
        if progress.message:
            self.text.setText(progress.message)

    def _failed(self, failure: Failure) -> None:
        self._ended(tr("Cancelled.") if failure.kind == "Cancelled" else failure.message)

    def _ended(self, text: str) -> None:
        self._request = None
        self.text.setText(text)
        self._show_buttons()
        self._controller.refresh_models()

    def _cancel(self) -> None:
        if self._request is not None:
            self._controller.client.cancel(self._request)

    def done(self, result: int) -> None:
        """A download does not go on behind a closed window."""
        if self._request is not None:
            self._controller.client.forget(self._request)
            self._controller.client.cancel(self._request)
            self._request = None
        self._controller.models_changed.disconnect(self._fill)
        super().done(result)


def _note(result: dict[str, Any]) -> str:
    """What the engine says of the model that was verified or checked."""
    models = result.get("models") or [{}]
    return str(models[0].get("note") or "") or tr("Done.")
