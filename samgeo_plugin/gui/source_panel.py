# SPDX-License-Identifier: GPL-2.0-or-later
"""The dock's upper half: raster, bands, model, device and target layer."""

from __future__ import annotations

from typing import Any, Optional

from qgis.core import QgsMapLayer, QgsMapLayerProxyModel, QgsProject, QgsRasterLayer, QgsVectorLayer
from qgis.gui import QgsCollapsibleGroupBox, QgsMapLayerComboBox, QgsRasterBandComboBox
from qgis.PyQt import sip
from qgis.PyQt.QtCore import QSignalBlocker, Qt, pyqtSignal
from qgis.PyQt.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QMenu,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from .. import rasters, settings
from ..i18n import tr
from ..interactive import target
from ..interactive.autosave import unsaved
from ..interactive.controller import Controller
from .field_dialog import FieldDialog
from .icons import theme_icon

_NEW_SAVED = "new:saved"
_NEW_SCRATCH = "new:memory"
_NEW_FILE = "new:file"


def megabytes(size: Any) -> str:
    """A size for a person; empty where it is not known."""
    if not isinstance(size, (int, float)) or size <= 0:
        return ""
    return f"{size / 1e6:.0f} MB" if size < 1e9 else f"{size / 1e9:.1f} GB"


class SourcePanel(QWidget):
    """Shows and changes the controller's choice."""

    models_wanted = pyqtSignal()
    render_wanted = pyqtSignal()

    def __init__(self, controller: Controller, parent: Optional[QWidget] = None) -> None:
        super().__init__(parent)
        self._controller = controller
        self._watched: Optional[QgsRasterLayer] = None
        self._followed: list[QgsVectorLayer] = []
        self._styled_bands: tuple[int, ...] = ()
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.setContentsMargins(0, 0, 0, 0)
        form.setVerticalSpacing(4)

        self.raster = QgsMapLayerComboBox()
        self.raster.setFilters(QgsMapLayerProxyModel.Filter.RasterLayer)
        self.raster.setAllowEmptyLayer(True)
        self.raster.setShowCrs(True)
        _shrink(self.raster)
        form.addRow(_label(tr("&Raster"), self.raster), self.raster)

        self.render = QToolButton()
        self.render.setText(tr("Render the visible extent…"))
        self.render.setToolTip(
            tr("This layer is not a file: its visible part can be rendered into a temporary one.")
        )
        self.render.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.render.setIcon(theme_icon("/mActionSaveMapAsImage.svg"))
        self.render.clicked.connect(self.render_wanted)
        self.render.hide()
        self._rendered = QLabel()
        self._rendered.setWordWrap(True)
        self._rendered.hide()
        form.addRow("", self.render)
        form.addRow("", self._rendered)

        self.model = QComboBox()
        _shrink(self.model)
        manage = QToolButton()
        manage.setIcon(theme_icon("/propertyicons/settings.svg"))
        manage.setToolTip(tr("Models: sizes, licences, download, files of one's own"))
        manage.clicked.connect(self.models_wanted)
        form.addRow(_label(tr("&Model"), self.model), _row(self.model, manage))

        self.target = QComboBox()
        _shrink(self.target)
        self.fields = QToolButton()
        self.fields.setIcon(theme_icon("/mSourceFields.svg"))
        self.fields.setToolTip(tr("Which attribute goes into which field"))
        self.fields.clicked.connect(self._map_fields)
        self.save = QToolButton()
        self.save.setIcon(theme_icon("/mActionSaveEdits.svg"))
        self.save.setPopupMode(QToolButton.ToolButtonPopupMode.MenuButtonPopup)
        self.save.clicked.connect(lambda _: controller.autosave.save())
        menu = QMenu(self.save)
        self.autosave = menu.addAction(tr("Save by itself while you pause"))
        self.autosave.setCheckable(True)
        self.autosave.triggered.connect(controller.autosave.set_on)
        self.save.setMenu(menu)
        form.addRow(_label(tr("&Target"), self.target), _row(self.target, self.fields, self.save))

        self._more = QgsCollapsibleGroupBox(tr("Bands and device"))
        self._more.setFlat(True)
        self._more.setCollapsed(True)
        inner = QFormLayout(self._more)
        inner.setVerticalSpacing(4)
        self.bands = []
        for text in (tr("Red"), tr("Green"), tr("Blue")):
            box = QgsRasterBandComboBox()
            _shrink(box)
            box.bandChanged.connect(self._bands_chosen)
            self.bands.append(box)
            inner.addRow(text, box)
        self.device = QComboBox()
        for key, text in (
            ("auto", tr("Automatic")),
            ("cpu", tr("CPU")),
            ("cuda", tr("NVIDIA GPU (CUDA)")),
            ("mps", tr("Apple GPU (MPS)")),
        ):
            self.device.addItem(text, key)
        inner.addRow(tr("Device"), self.device)

        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(form)
        layout.addWidget(self._more)

        self.raster.layerChanged.connect(self._raster_chosen)
        self.model.activated.connect(self._model_chosen)
        self.device.activated.connect(
            lambda _: controller.choose(device=str(self.device.currentData()))
        )
        self.target.activated.connect(self._target_chosen)
        controller.models_changed.connect(self._fill_models)
        controller.choice_changed.connect(self._show_choice)
        controller.target_changed.connect(self._fill_targets)
        controller.autosave.changed.connect(self._show_unsaved)
        controller.online.renderings.changed.connect(self._show_online)
        project = QgsProject.instance()
        project.layersAdded.connect(self._fill_targets)
        project.layersRemoved.connect(self._fill_targets)
        project.layersRemoved.connect(self._layers_removed)
        self._fill_models()
        self._fill_targets()
        self._show_unsaved()
        self._raster_chosen(self.raster.currentLayer())
        self._show_choice()

    def release(self) -> None:
        """Let go of the project's signals; the panel is about to be deleted."""
        self._watch(None)
        self._follow([])
        project = QgsProject.instance()
        project.layersAdded.disconnect(self._fill_targets)
        project.layersRemoved.disconnect(self._fill_targets)
        project.layersRemoved.disconnect(self._layers_removed)

    def choose_raster(self, layer: Optional[QgsMapLayer]) -> None:
        """Show and use a raster that somebody else has chosen."""
        if layer is not None:
            self.raster.setLayer(layer)

    # --- raster ---------------------------------------------------------------------------------

    def _watch(self, layer: Optional[QgsMapLayer]) -> None:
        """Bands and stretch follow the layer's styling, and all of it follows its source."""
        if self._watched is not None and not sip.isdeleted(self._watched):
            self._watched.rendererChanged.disconnect(self._styled)
            self._watched.dataSourceChanged.disconnect(self._source_changed)
        self._watched = layer if isinstance(layer, QgsRasterLayer) else None
        if self._watched is not None:
            self._watched.rendererChanged.connect(self._styled)
            self._watched.dataSourceChanged.connect(self._source_changed)

    def _source_changed(self) -> None:
        if self._watched is not None and not sip.isdeleted(self._watched):
            self._raster_chosen(self._watched)

    def _layers_removed(self, ids: list[str]) -> None:
        """Without the chosen raster none is chosen; the box itself would show another one."""
        controller = self._controller
        if controller.choice.raster not in ids:
            return
        in_work = bool(controller.session.prompts)
        blocker = QSignalBlocker(self.raster)
        self.raster.setLayer(None)
        del blocker
        self._raster_chosen(None)
        if in_work:
            controller.reporter.show(
                "info", tr("The raster was removed; the object in work was given up.")
            )

    def _styled(self) -> None:
        layer = self._watched
        if layer is None or sip.isdeleted(layer) or layer.renderer() is None:
            return
        if not layer.isValid():  # its source is being changed: _source_changed comes next
            return
        bands = tuple(rasters.usual_bands(layer))
        if bands == self._styled_bands:
            return
        self._styled_bands = bands
        self._raster_chosen(layer)

    def _raster_chosen(self, layer: Optional[QgsMapLayer]) -> None:
        bands = self._show_raster(layer)
        self._controller.choose(raster=layer.id() if layer is not None else None, bands=bands)

    def _show_raster(self, layer: Optional[QgsMapLayer]) -> tuple[int, ...]:
        """What there is to choose of a raster; the bands that QGIS shows of it."""
        self._watch(layer)
        for box in self.bands:
            blocker = QSignalBlocker(box)
            box.setLayer(layer)
            del blocker
        bands: tuple[int, ...] = ()
        is_file = True
        if layer is not None and layer.isValid():
            try:
                is_file = rasters.file_of(layer) is not None
            except rasters.LayerError as error:
                self._controller.reporter.show("warning", str(error))
            if is_file:
                bands = tuple(rasters.usual_bands(layer))
                self._styled_bands = bands
                self._show_bands(bands)
        self.render.setVisible(not is_file)
        for box in self.bands:
            box.setEnabled(is_file and layer is not None)
        self._show_online()
        return bands

    def _show_bands(self, bands: tuple[int, ...]) -> None:
        shown = bands * 3 if len(bands) == 1 else bands
        for box, band in zip(self.bands, shown):  # noqa: B905 - Python 3.9
            blocker = QSignalBlocker(box)
            box.setBand(band)
            del blocker

    def _bands_chosen(self) -> None:
        bands = tuple(box.currentBand() for box in self.bands)
        if all(band > 0 for band in bands):
            self._controller.choose(bands=bands[:1] if len(set(bands)) == 1 else bands)

    # --- model ----------------------------------------------------------------------------------

    def _fill_models(self) -> None:
        self.model.clear()
        chosen = self._controller.choice.model
        names = []
        for model in self._controller.models:
            name = str(model.get("name", ""))
            words = [state_text(str(model.get("state", ""))), megabytes(model.get("size"))]
            title = str(model.get("title") or name)
            self.model.addItem(f"{title} ({', '.join(word for word in words if word)})", name)
            at = self.model.count() - 1
            tip = [str(model.get(key)) for key in ("licence", "note") if model.get(key)]
            self.model.setItemData(at, "\n".join(tip), Qt.ItemDataRole.ToolTipRole)
            names.append(name)
        if not names:
            self.model.addItem(tr("Small model that comes with SamGeo Seamless"), "embedded")
            names.append("embedded")
        if chosen not in names:
            self.model.addItem(chosen, chosen)
            names.append(chosen)
        self.model.setCurrentIndex(names.index(chosen))

    def _model_chosen(self, index: int) -> None:
        name = str(self.model.itemData(index))
        known = {str(m.get("name")): m for m in self._controller.models}
        if known.get(name, {}).get("state") == "to download":
            # Nothing is downloaded from here: the manager says what and how much first.
            self._fill_models()
            self.models_wanted.emit()
            return
        self._controller.choose(model=name)

    # --- target ---------------------------------------------------------------------------------

    def _follow(self, layers: list[QgsVectorLayer]) -> None:
        """The list of targets follows names, and what else decides whether a layer is in it."""
        for each in self._followed:
            if not sip.isdeleted(each):
                for signal in (each.nameChanged, each.crsChanged, each.readOnlyChanged):
                    signal.disconnect(self._fill_targets)
        self._followed = layers
        for each in layers:
            for signal in (each.nameChanged, each.crsChanged, each.readOnlyChanged):
                signal.connect(self._fill_targets)

    def _fill_targets(self, *_: Any) -> None:
        blocker = QSignalBlocker(self.target)
        self.target.clear()
        self.target.addItem(
            theme_icon("/mActionNewGeoPackageLayer.svg"),
            tr("New layer, saved by itself"),
            _NEW_SAVED,
        )
        self.target.addItem(
            theme_icon("/mActionNewVectorLayer.svg"), tr("New temporary layer"), _NEW_SCRATCH
        )
        self.target.addItem(
            theme_icon("/mActionNewGeoPackageLayer.svg"), tr("New GeoPackage layer…"), _NEW_FILE
        )
        there = QgsProject.instance().mapLayers().values()
        vectors = [each for each in there if isinstance(each, QgsVectorLayer)]
        self._follow(vectors)
        chosen = self._controller.target_id
        layers = [each for each in vectors if each.id() == chosen or target.problem(each) is None]
        if layers:
            self.target.insertSeparator(self.target.count())
        for layer in sorted(layers, key=lambda each: each.name().lower()):
            self.target.addItem(theme_icon("/mIconPolygonLayer.svg"), layer.name(), layer.id())
        # A separator has no data: looking for None would find it.
        at = self.target.findData(chosen) if chosen else -1
        new = _NEW_SCRATCH if self._controller.temporary else _NEW_SAVED
        self.target.setCurrentIndex(at if at >= 0 else self.target.findData(new))
        self.fields.setEnabled(at >= 0)
        del blocker

    def _target_chosen(self, index: int) -> None:
        key = self.target.itemData(index)
        if key in (_NEW_SAVED, _NEW_SCRATCH):
            self._controller.set_target(None, temporary=key == _NEW_SCRATCH)
        elif key == _NEW_FILE:
            path, _ = QFileDialog.getSaveFileName(
                self,
                tr("New GeoPackage layer"),
                "",
                "GeoPackage (*.gpkg)",
                options=QFileDialog.Option.DontConfirmOverwrite,
            )
            if path:
                path = path if path.lower().endswith(".gpkg") else path + ".gpkg"
                self._controller.new_target(path)
        else:
            layer = QgsProject.instance().mapLayer(str(key))
            if isinstance(layer, QgsVectorLayer):
                self._controller.set_target(layer)
        self._fill_targets()

    def _show_unsaved(self) -> None:
        """How much a crash would cost."""
        autosave = self._controller.autosave
        count = unsaved(self._controller.target_layer())
        self.save.setEnabled(count > 0 or autosave.layer is not None)
        tip = (
            tr("Save the target layer: {count} changed features are not saved yet").format(
                count=count
            )
            if count
            else tr("Save the target layer: nothing to save")
        )
        others = autosave.waits_for
        if others:
            tip += "\n" + tr(
                "It is not saved by itself now, as that would save the changes of {others}, too."
            ).format(others=", ".join(each.name() for each in others))
        self.save.setToolTip(tip)
        self.save.setIcon(theme_icon("/mActionSaveEdits.svg" if count else "/mActionFileSave.svg"))
        self.autosave.setChecked(autosave.on)

    def _map_fields(self) -> None:
        layer = self._controller.target_layer()
        if layer is not None:
            FieldDialog(layer, self).exec()

    # --- what others changed --------------------------------------------------------------------

    def _show_choice(self) -> None:
        choice = self._controller.choice
        at = self.device.findData(choice.device)
        if at < 0:
            self.device.addItem(choice.device, choice.device)
            at = self.device.count() - 1
        self.device.setCurrentIndex(at)
        at = self.model.findData(choice.model)
        if at >= 0:
            self.model.setCurrentIndex(at)
        else:
            self._fill_models()
        shown = self.raster.currentLayer()
        if choice.raster and (shown is None or shown.id() != choice.raster):
            blocker = QSignalBlocker(self.raster)
            layer = QgsProject.instance().mapLayer(choice.raster)
            self.raster.setLayer(layer)
            del blocker
            self._show_raster(layer)
            self._show_bands(choice.bands)
        self._show_online()

    def _show_online(self) -> None:
        """What stands in for a layer that is not a file."""
        controller = self._controller
        renderings = controller.online.renderings
        text = ""
        if controller.choice.rendered is not None:
            text = tr("A temporary rendering is in use.")
        elif not self.render.isHidden():
            text = tr(
                "The view of this online layer is used; {size} of {limit} MB are kept until the "
                "project is closed."
            ).format(size=round(renderings.megabytes), limit=settings.RENDER_CACHE.get())
        self._rendered.setVisible(bool(text))
        self._rendered.setText(text)


def state_text(state: str) -> str:
    return {
        "embedded": tr("embedded"),
        "on disk": tr("on disk"),
        "to download": tr("to download"),
    }.get(state, state)


def _label(text: str, buddy: QWidget) -> QLabel:
    label = QLabel(text)
    label.setBuddy(buddy)
    return label


def _row(field: QWidget, *buttons: QWidget) -> QWidget:
    row = QWidget()
    layout = QHBoxLayout(row)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(2)
    layout.addWidget(field, 1)
    for button in buttons:
        layout.addWidget(button)
    return row


def _shrink(box: QComboBox) -> None:
    """A long layer name must not make the dock wide."""
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(8)
    box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
