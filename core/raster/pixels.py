# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading source pixels: windows of values and validity, overviews, unwritten blocks."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import rasterio
from rasterio.windows import Window

from ..errors import RasterError
from ..sources.bands import BandPlan, read_values
from ..sources.gdal import GDAL_ERRORS, cache_bytes, deepest, gdal_env, open_dataset
from ..sources.opening import Source
from ..sources.references import files_named
from ..types import AnyArray, BoolArray, PixelBox
from .coverage import Coverage, coverage_of
from .overviews import agrees
from .tiff_blocks import written_blocks


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
        self._trust: dict[int, bool] = {}
        self._failed = False

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
        if self._failed:
            self._open_again()
        chosen = self.full if dataset is None else dataset
        window = Window(box.col0, box.row0, box.width, box.height)
        try:
            with gdal_env(self._cache, remote=self.source.remote):
                values, valid = read_values(chosen, self.plan, window)
        except GDAL_ERRORS as error:
            self._failed = chosen is self.full and self.full.driver == "VRT"
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

    def _open_again(self) -> None:
        """After a source of a virtual raster failed: the same handle would read zeros from then on.

        Raises:
            RasterError: It cannot be opened any more.
        """
        try:
            with gdal_env(self._cache, remote=self.source.remote):
                again = open_dataset(self.full.name, remote=self.source.remote)
        except GDAL_ERRORS as error:
            raise RasterError(
                f"{self.source.name} cannot be opened any more: {deepest(error)}"
            ) from error
        self.full = self.source.closing.enter_context(again)
        self._failed = False

    def level(self, scale: float) -> rasterio.DatasetReader:
        """The coarsest overview that still has all that a scale needs, or the source itself.

        Args:
            scale: Source pixels a wanted pixel, the smaller of both directions.
        """
        if scale < 2.0 or not self.source.plain:
            return self.full
        factors = self._factors
        fitting = [i for i, factor in enumerate(factors) if factor <= scale * (1 + 1e-6)]
        for index in sorted(fitting, key=lambda i: -factors[i]):
            if index not in self._overviews:
                with gdal_env(remote=self.source.remote):
                    self._overviews[index] = self.source.open_overview(index)
            if self._trusted(index):
                return self._overviews[index]
        return self.full

    @cached_property
    def _factors(self) -> list[int]:
        return list(self.full.overviews(self.plan.colour[0]))

    def _trusted(self, index: int) -> bool:
        """Whether an overview shows what its raster shows, looked at once."""
        if index not in self._trust:
            dataset = self._overviews[index]
            # An overview without the mask of its raster would call everything valid.
            self._trust[index] = dataset.mask_flag_enums == self.full.mask_flag_enums and agrees(
                self, dataset
            )
        return self._trust[index]

    @cached_property
    def coverage(self) -> Coverage | None:
        """Where there can be data at all, as far as that is known without reading."""
        return coverage_of(self.source, self.plan.colour[0])

    def may_have_data(self, box: PixelBox) -> bool:
        """Whether a window lies where data can be; costs no reading."""
        if self.coverage is None or (self.source.plain and not self._empty_is_invalid):
            return True
        return self.coverage.touches(box)

    @cached_property
    def _empty_is_invalid(self) -> bool:
        """Places that no source or block covers have no data."""
        plan = self.plan
        if self.full.driver == "VRT":
            return plan.mask != "none" or plan.alpha is not None
        separate = self.full.interleaving is not None and self.full.interleaving.name == "band"
        return plan.mask != "dataset" and (plan.alpha is None or not separate)

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

    @cached_property
    def _block(self) -> tuple[int, int]:
        high, wide = self.full.block_shapes[self.plan.colour[0] - 1]
        return int(high), int(wide)

    @cached_property
    def _all_written(self) -> bool:
        """The file's directory says that no block is missing."""
        files = files_named(self.source.names[0])
        if files != [self.source.names[0]]:
            return False
        written = written_blocks(files[0], self.plan.colour[0])
        return written is not None and bool(written.all())

    def holes(self, box: PixelBox) -> Iterator[PixelBox]:
        """Blocks of a sparse GeoTIFF that were never written, as far as they lie in a window."""
        if not self._may_have_holes:
            return
        band = self.plan.colour[0]
        high, wide = self._block
        written = None if self.coverage is None else self.coverage.blocks
        for row in range(box.row0 // high, -(-box.row1 // high)):
            for col in range(box.col0 // wide, -(-box.col1 // wide)):
                if written is not None:
                    there = bool(written[row, col])
                elif self._all_written:
                    return
                else:
                    name = f"BLOCK_OFFSET_{col}_{row}"
                    there = self.full.get_tag_item(name, "TIFF", bidx=band) is not None
                if not there:
                    block = PixelBox(row * high, col * wide, (row + 1) * high, (col + 1) * wide)
                    yield block.intersection(box)
