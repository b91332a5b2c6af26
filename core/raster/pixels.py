# SPDX-License-Identifier: GPL-2.0-or-later
"""The source's own pixels: windows of values and validity, overviews, and blocks never written."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import rasterio
from rasterio.windows import Window

from ..errors import RasterError
from ..types import AnyArray, BoolArray, PixelBox
from .bands import BandPlan, read_values
from .gdal import GDAL_ERRORS, cache_bytes, deepest, gdal_env
from .sources import Source


class SourcePixels:
    """Reads a source at its own resolution, or at one of its overviews'.

    Args:
        source: Open raster.
        plan: The bands to read.
    """

    def __init__(self, source: Source, plan: BandPlan) -> None:
        self.source = source
        self.plan = plan
        self.full: rasterio.DatasetReader = source.dataset
        self._cache = cache_bytes(source.dataset)
        self._overviews: dict[int, rasterio.DatasetReader] = {}

    @property
    def shape(self) -> tuple[int, int]:
        return self.full.height, self.full.width

    def read(
        self, box: PixelBox, dataset: rasterio.DatasetReader | None = None
    ) -> tuple[AnyArray, BoolArray]:
        """Values and validity, (b, h, w) each, before any stretch.

        Args:
            box: Pixels of ``dataset``, inside it.
            dataset: The source (also where None), or what :meth:`level` returned.

        Raises:
            RasterError: A block cannot be read; names the window.
        """
        chosen = self.full if dataset is None else dataset
        window = Window(box.col0, box.row0, box.width, box.height)
        try:
            with gdal_env(self._cache, remote=self.source.remote):
                values, valid = read_values(chosen, self.plan, window)
        except GDAL_ERRORS as error:
            part = "" if chosen is self.full else " of an overview"
            raise RasterError(
                f"{self.source.name} cannot be read in rows {box.row0} to {box.row1} and columns "
                f"{box.col0} to {box.col1}{part}; the file is damaged or incomplete there: "
                f"{deepest(error)}"
            ) from error
        if chosen is self.full:
            for hole in self.holes(box):
                rows, cols = hole.slices(box)
                valid[:, rows, cols] = False
        return values, valid

    def level(self, scale: float) -> rasterio.DatasetReader:
        """The coarsest overview that still has all that a scale needs, or the source itself.

        Args:
            scale: Source pixels a wanted pixel, the smaller of both directions.
        """
        if scale < 2.0 or not self.source.plain:
            return self.full
        factors = self.full.overviews(self.plan.colour[0])
        fitting = [i for i, factor in enumerate(factors) if factor <= scale * (1 + 1e-6)]
        for index in sorted(fitting, key=lambda i: -factors[i]):
            if index not in self._overviews:
                with gdal_env(remote=self.source.remote):
                    self._overviews[index] = self.source.open_overview(index)
            dataset = self._overviews[index]
            # An overview without the mask of its raster would call everything valid.
            if dataset.mask_flag_enums == self.full.mask_flag_enums:
                return dataset
        return self.full

    @cached_property
    def reads_bytes(self) -> bool:
        """All bands are uint8 without scale or offset."""
        plan = self.plan
        plain = all(s == 1.0 for s in plan.scales) and all(o == 0.0 for o in plan.offsets)
        return plain and all(self.full.dtypes[n - 1] == "uint8" for n in plan.colour)

    @cached_property
    def always_valid(self) -> bool:
        """No mask, no alpha, no floats: only blocks that were never written have no data."""
        plan = self.plan
        return (
            plan.mask == "none"
            and plan.alpha is None
            and all("int" in self.full.dtypes[n - 1] for n in plan.colour)
            and (plan.palette is None or bool((plan.palette[:, 3] > 0).all()))
        )

    @cached_property
    def _may_have_holes(self) -> bool:
        return (
            self.source.plain
            and self.full.driver == "GTiff"
            and self.plan.mask == "none"
            and self.plan.alpha is None
        )

    def holes(self, box: PixelBox) -> Iterator[PixelBox]:
        """Blocks of a sparse GeoTIFF that were never written, as far as they lie in a window."""
        if not self._may_have_holes:
            return
        band = self.plan.colour[0]
        high, wide = self.full.block_shapes[band - 1]
        for row in range(box.row0 // high, -(-box.row1 // high)):
            for col in range(box.col0 // wide, -(-box.col1 // wide)):
                offset = self.full.get_tag_item(f"BLOCK_OFFSET_{col}_{row}", "TIFF", bidx=band)
                if offset is None:
                    block = PixelBox(row * high, col * wide, (row + 1) * high, (col + 1) * wide)
                    yield block.intersection(box)
