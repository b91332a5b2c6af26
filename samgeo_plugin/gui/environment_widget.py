# SPDX-License-Identifier: GPL-2.0-or-later
"""The engine's environment: what there is, what a click would download, its progress and log."""

from __future__ import annotations

from typing import Optional

from qgis.gui import QgsFileWidget
from qgis.PyQt.QtWidgets import (
    QApplication,
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QMessageBox,
    QPlainTextEdit,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from .. import settings
from ..engine.client import EngineClient
from ..i18n import tr
from ..setup import bundle, diagnose, environment, setup_plan
from ..setup.environment_job import PythonSearch, Setup, remove
from ..setup.gpu import Gpu, GpuSearch, advice
from ..setup.setup_plan import Plan, PythonFacts


class EnvironmentWidget(QWidget):
    """Set up, resume, update, remove and diagnose the engine's environment.

    Args:
        client: The engine, which is stopped before its environment changes.
        setup: What runs the setup; it outlives this widget.
        parent: Qt's owner.
    """

    def __init__(
        self, client: EngineClient, setup: Setup, parent: Optional[QWidget] = None
    ) -> None:
        super().__init__(parent)
        self._client = client
        self._setup = setup
        self._search: Optional[PythonSearch] = None
        self._facts: Optional[PythonFacts] = None
        self._searched = False

        self.state = QLabel()
        self.state.setWordWrap(True)
        self.build = QComboBox()
        self.build.addItem(tr("CPU (works everywhere)"), environment.CPU)
        self.build.addItem(tr("CUDA (NVIDIA GPU)"), environment.CUDA)
        self.build.setCurrentIndex(max(self.build.findData(settings.BUILD.get()), 0))
        self.gpu = QLabel()
        self.gpu.setWordWrap(True)
        self._gpu: Optional[Gpu] = None
        self._gpu_search: Optional[GpuSearch] = None
        self.folder = QgsFileWidget()
        self.folder.setStorageMode(QgsFileWidget.StorageMode.GetDirectory)
        self.folder.lineEdit().setPlaceholderText(str(environment.standard_folder()))
        self.folder.setFilePath(settings.FOLDER.get())
        self.python = QgsFileWidget()
        self.python.setStorageMode(QgsFileWidget.StorageMode.GetFile)
        self.python.lineEdit().setPlaceholderText(
            tr("none: the plugin makes and keeps its own environment")
        )
        self.python.setFilePath(settings.PYTHON.get())
        self.python.setToolTip(
            tr("A Python, or the folder of an environment, in which samgeo-seamless is installed")
        )
        self.bundle = QgsFileWidget()
        self.bundle.setStorageMode(QgsFileWidget.StorageMode.GetDirectory)
        self.bundle.lineEdit().setPlaceholderText(tr("none: packages come from the network"))
        self.bundle.setFilePath(settings.BUNDLE.get())
        self.bundle.setToolTip(
            tr("A folder made by 'samgeo bundle': everything is installed from it, offline")
        )
        self.promise = QLabel()
        self.promise.setWordWrap(True)

        form = QFormLayout()
        form.addRow(tr("State"), self.state)
        form.addRow(tr("PyTorch build"), self.build)
        form.addRow("", self.gpu)
        form.addRow(tr("Folder"), self.folder)
        form.addRow(tr("Bundle"), self.bundle)
        form.addRow(tr("Existing Python"), self.python)
        form.addRow("", self.promise)

        self.set_up = QPushButton()
        self.cancel = QPushButton(tr("Cancel"))
        self.remove = QPushButton(tr("Remove…"))
        self.diagnose = QPushButton(tr("Diagnose"))
        buttons = QHBoxLayout()
        for button in (self.set_up, self.cancel, self.remove, self.diagnose):
            buttons.addWidget(button)
        buttons.addStretch(1)
        self.progress = QProgressBar()
        self.step = QLabel()
        self.output = QPlainTextEdit()
        self.output.setReadOnly(True)
        self.output.setMaximumBlockCount(5000)
        self.output.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.output.setMinimumHeight(120)

        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(form)
        layout.addLayout(buttons)
        layout.addWidget(self.step)
        layout.addWidget(self.progress)
        layout.addWidget(self.output, 1)

        self.set_up.clicked.connect(self._set_up)
        self.cancel.clicked.connect(setup.cancel)
        self.remove.clicked.connect(self._remove)
        self.diagnose.clicked.connect(self.show_report)
        self.build.activated.connect(self._changed)
        self.folder.fileChanged.connect(self._changed)
        self.bundle.fileChanged.connect(self._bundle_changed)
        self.python.fileChanged.connect(self._changed)
        setup.changed.connect(self.show_state)
        setup.output.connect(self.output.appendPlainText)
        for line in setup.lines:
            self.output.appendPlainText(line)
        self.show_state()

    # --- what is shown --------------------------------------------------------------------------

    def showEvent(self, event: object) -> None:  # noqa: N802
        super().showEvent(event)
        if self._gpu_search is None:
            self._gpu_search = GpuSearch(parent=self)
            self._gpu_search.found.connect(self._gpu_found)
            self._gpu_search.start()
        if not self._searched and environment.state() != environment.OWN:
            self._look_for_python()

    def _look_for_python(self) -> None:
        self._searched = True
        self._facts = None
        sealed = bundle.chosen()
        self._search = PythonSearch(parent=self, version=sealed.version if sealed else None)
        self._search.found.connect(self._python_found)
        self._search.start()
        self.show_state()

    @property
    def _lacks_python(self) -> bool:
        """The search has ended without a Python that can make an environment."""
        if self._search is None or self._search.searching:
            return False
        return self._facts is None or setup_plan.missing_venv(self._facts) is not None

    def _gpu_found(self, gpu: Optional[Gpu]) -> None:
        self._gpu = gpu
        self.show_state()

    def _python_found(self, facts: Optional[PythonFacts]) -> None:
        self._facts = facts
        self.show_state()

    def show_state(self) -> None:
        """Fill in what is true now."""
        state = environment.state()
        running = self._setup.running
        facts, build = self._facts, str(self.build.currentData())
        texts = {
            environment.ABSENT: tr("Not set up yet."),
            environment.PARTIAL: tr("The setup is not finished."),
            environment.OUTDATED: tr("Ready, but older than the plugin."),
            environment.COMPLETE: tr("Ready."),
            environment.OWN: tr("A Python of your own is used: {python}").format(
                python=environment.own_python()
            ),
        }
        self.state.setText(texts[state])
        verbs = {
            environment.PARTIAL: tr("Go on with the setup"),
            environment.OUTDATED: tr("Update the engine"),
            environment.COMPLETE: tr("Set up again"),
        }
        text = verbs.get(state, tr("Set up the engine"))
        self.set_up.setText(tr("Look again") if self._lacks_python else text)
        can_set_up = state in verbs or state == environment.ABSENT
        self.set_up.setEnabled(
            can_set_up
            and not running
            and (facts is not None or self._lacks_python)
            and bundle.problem() is None
        )
        self.cancel.setEnabled(running)
        self.remove.setEnabled(
            not running and environment.read_marker(environment.folder()) is not None
        )
        for widget in (self.build, self.folder, self.bundle):
            widget.setEnabled(not running and state != environment.OWN)
        if bundle.named():
            self.build.setEnabled(False)  # a bundle has its own
        self.python.setEnabled(not running)
        self.progress.setVisible(running)
        self.progress.setRange(0, self._setup.total)
        self.progress.setValue(self._setup.at)
        self.step.setText(self._setup.text)
        self.step.setVisible(bool(self._setup.text))
        self.gpu.setText(advice(self._gpu, build) if self._gpu_search is not None else "")
        self.promise.setText(self._promise(state, facts))

    def _promise(self, state: str, facts: Optional[PythonFacts]) -> str:
        if state == environment.OWN:
            return tr("Nothing is downloaded or installed.")
        why = bundle.problem()
        if why is not None:
            return why
        sealed = bundle.chosen()
        if facts is None:
            if self._lacks_python and sealed is not None:
                return tr(
                    "The bundle needs Python {version}, and none was found; install it, or make a "
                    "bundle for a Python that is here."
                ).format(version=sealed.python)
            if self._searched and self._search is not None and not self._search.searching:
                return tr(
                    "No Python from 3.10 on was found; install one, or name an existing Python."
                )
            return tr("Looking for a Python…")
        missing = setup_plan.missing_venv(facts)
        if missing is not None and state in (environment.ABSENT, environment.PARTIAL):
            return missing
        plan = self._plan(facts, state)
        if not plan.steps or (missing is not None and state == environment.COMPLETE):
            return tr("Nothing needs to be downloaded.")
        what = self._what_a_click_does(plan, facts)
        if state == environment.COMPLETE:
            first = tr("Nothing needs to be downloaded. Set up again begins anew:")
            return f"{first} {what}"
        return what

    def _what_a_click_does(self, plan: Plan, facts: PythonFacts) -> str:
        sealed = bundle.chosen()
        if sealed is not None:
            return tr(
                "A click installs the engine {engine} from the bundle, without a network, and uses "
                "about {disk} MB in {folder}, with Python {version} of {python}."
            ).format(
                engine=sealed.engine,
                disk=plan.size.disk,
                folder=plan.folder,
                version=".".join(map(str, facts.version)),
                python=facts.path,
            )
        names = {step.name for step in plan.steps}
        if names <= {setup_plan.LIBRARIES, "engine", "check"}:
            return tr("The engine's own wheel is installed from the plugin; few or no downloads.")
        return tr(
            "A click downloads about {download} MB (PyTorch for {build} and the packages that the "
            "engine needs, from PyPI and pytorch.org) and uses {disk} MB in {folder}, with Python "
            "{version} of {python}. Nothing else on the system is changed."
        ).format(
            download=plan.size.download,
            build=plan.build.upper(),
            disk=plan.size.disk,
            folder=plan.folder,
            version=".".join(map(str, facts.version)),
            python=facts.path,
        )

    # --- what is done ---------------------------------------------------------------------------

    def _changed(self, *_: object) -> None:
        settings.BUILD.set(str(self.build.currentData()))
        settings.FOLDER.set(self.folder.filePath().strip())
        settings.PYTHON.set(self.python.filePath().strip())
        self._client.stop()
        if not self._searched and self.isVisible():
            self.showEvent(None)
        self.show_state()

    def _bundle_changed(self, *_: object) -> None:
        settings.BUNDLE.set(self.bundle.filePath().strip())
        self._look_for_python()  # another bundle may want another Python

    def _set_up(self) -> None:
        if self._lacks_python and not self._setup.running:
            self._look_for_python()
            return
        if self._facts is None or self._setup.running:
            return
        # "Set up again" is from the start, as the user asked; packages come from pip's cache.
        plan, setup = self._plan(self._facts, environment.state()), self._setup
        self._client.stop(then=lambda: setup.start(plan))

    def _plan(self, facts: PythonFacts, state: str) -> Plan:
        """What a click does in this state."""
        anew = state == environment.COMPLETE
        build = str(self.build.currentData())
        return setup_plan.make_plan(facts, build, bundle=bundle.chosen(), anew=anew)

    def _remove(self) -> None:
        target = environment.folder()
        answer = QMessageBox.question(
            self,
            tr("Remove the engine"),
            tr("Delete {folder} with everything in it?").format(folder=target),
        )
        if answer != QMessageBox.StandardButton.Yes:
            return
        setup = self._setup
        setup.tell(tr("Removing…"))
        # The window may be gone when it is done; the setup is not.
        done = tr("The environment was removed.")
        self._client.stop(then=lambda: remove(lambda error: setup.tell(error or done)))

    def show_report(self) -> None:
        """Write the report into the box and onto the clipboard."""
        text = diagnose.report(self._client)
        self.output.setPlainText(text)
        QApplication.clipboard().setText(text)
        self._setup.tell(tr("The report is on the clipboard."))
