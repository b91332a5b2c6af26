# SPDX-License-Identifier: GPL-2.0-or-later
"""Rasters ordered by date: grouped by date, and checked for contradictions."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import shapely
from pyproj import CRS
from shapely.geometry.base import BaseGeometry

from ..earth.crs import known_crs
from ..errors import ParameterError, RasterError
from ..job import option
from ..raster.raster import RasterOptions, open_raster
from ..sources.dates import Moment, moment_in_name, moment_in_sidecar, moment_in_tags, read_moment
from ..sources.names import expand_sources

SAME_GROUND = 0.5
"""Share of the smaller of two footprints of one date from which they are the same picture twice."""


@dataclass(frozen=True, eq=False)
class DatedRaster:
    """What was taken at one date.

    Args:
        sources: One raster, or several beside each other that make one mosaic.
        moment: When.
        footprint: Polygon of the outer bounds in ``crs``.
        crs: Of the rasters; None where they have none.
    """

    sources: tuple[str, ...]
    moment: Moment
    footprint: BaseGeometry
    crs: CRS | None

    @property
    def name(self) -> str:
        first = Path(self.sources[0]).name
        return first if len(self.sources) == 1 else f"{first} and {len(self.sources) - 1} more"


@dataclass(frozen=True, eq=False)
class _One:
    name: str
    moment: Moment
    footprint: BaseGeometry
    crs: CRS | None


def make_series(
    rasters: Sequence[str | Path],
    dates: Mapping[str, str] | None = None,
    *,
    allow_remote: bool = False,
) -> list[DatedRaster]:
    """Rasters by date, the earliest first.

    Args:
        rasters: Paths, URLs or folders; each raster of a folder counts on its own.
        dates: Date by path or by file name; goes before whatever the raster says of itself.
        allow_remote: As of :class:`~samgeo_core.RasterOptions`.

    Raises:
        RasterError: A raster cannot be opened; has no date, or several that contradict each
            other; two of one date show the same ground, or their dates overlap without being
            the same; none overlaps the others.
        ParameterError: A given date is none, or is given for a raster that is not there.
    """
    names = [name for raster in rasters for name in expand_sources(raster, remote=allow_remote)]
    if len(names) != len(set(names)):
        twice = next(name for name in names if names.count(name) > 1)
        raise RasterError(f"The raster {twice} was given twice: leave one out.")
    given = _given(names, dates or {})
    described = [_describe(name, given.get(name), allow_remote) for name in names]
    ordered = sorted(described, key=lambda one: (one.moment.start, one.moment.end, one.name))
    groups: list[list[_One]] = []
    for one in ordered:
        if groups and groups[-1][0].moment.text == one.moment.text:
            groups[-1].append(one)
        else:
            groups.append([one])
    for earlier, later in pairwise(groups):
        if earlier[0].moment.may_be(later[0].moment):
            raise RasterError(
                f"{earlier[0].name} ({earlier[0].moment.text}) and {later[0].name} "
                f"({later[0].moment.text}) cannot be put in order: give both dates as precisely "
                f"with {option('dates')}."
            )
    series = [_together(group) for group in groups]
    if len(series) < 2:
        raise RasterError(
            f"There is only one date, {series[0].moment.text}: objects are followed through two or "
            "more."
        )
    _check_places(series)
    return series


def read_dates(path: str | Path) -> dict[str, str]:
    """A table of dates: CSV with the columns ``raster`` (path or file name) and ``date``.

    Raises:
        ParameterError: It cannot be read, or lacks a column.
    """
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            if not {"raster", "date"} <= set(rows.fieldnames or ()):
                raise ParameterError(
                    f"{path} needs the columns raster and date, separated by commas."
                )
            return {str(row["raster"]): str(row["date"]) for row in rows}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ParameterError(f"The table of dates {path} cannot be read: {error}.") from error


def _given(names: Sequence[str], dates: Mapping[str, str]) -> dict[str, Moment]:
    """Given dates by the name that the raster is opened by."""
    found: dict[str, Moment] = {}
    for key, text in dates.items():
        moment = read_moment(text)
        if moment is None:
            raise ParameterError(
                f"The date {text!r} of {key} is not understood: write it like 2009-08-18."
            )
        matching = [name for name in names if key in (name, Path(name).name)]
        if not matching:
            raise ParameterError(f"A date is given for {key}, which is not among the rasters.")
        for name in matching:
            if name in found and found[name] != moment:
                raise ParameterError(
                    f"Two dates are given for {name}: {found[name].text} and {moment.text}."
                )
            found[name] = moment
    return found


def _describe(name: str, given: Moment | None, allow_remote: bool) -> _One:
    with open_raster(name, RasterOptions(allow_remote=allow_remote)) as raster:
        height, width = raster.shape
        corners = [(0, 0), (width, 0), (width, height), (0, height)]
        footprint = shapely.Polygon([raster.transform @ corner for corner in corners])
        crs = known_crs(raster.crs)
        tags = {} if given is not None else raster.tags
    return _One(name, given or _moment_of(name, tags), footprint, crs)


def _moment_of(name: str, tags: Mapping[str, str]) -> Moment:
    """What a raster says of itself."""
    taken, written = moment_in_tags(tags)
    claims = [
        (what, moment)
        for what, moment in (
            ("the file beside it", moment_in_sidecar(name)),
            ("its tags", taken),
            ("its name", moment_in_name(name)),
        )
        if moment is not None
    ]
    for index, (what, moment) in enumerate(claims):
        for other, differing in claims[index + 1 :]:
            if not moment.may_be(differing):
                raise RasterError(
                    f"{Path(name).name} was taken at {moment.text} according to {what}, but at "
                    f"{differing.text} according to {other}: say which is right with "
                    f"{option('dates')}."
                )
    if claims:
        return min((moment for _, moment in claims), key=lambda m: (m.end - m.start, m.text))
    if written is not None:
        return written
    raise RasterError(
        f"No date is known of {Path(name).name}: put it into the name (pond_2009-08-18.tif), or "
        f"give a table of dates with {option('dates')}."
    )


def _together(group: Sequence[_One]) -> DatedRaster:
    """The rasters of one date, which must lie beside each other."""
    for index, one in enumerate(group):
        for other in group[index + 1 :]:
            if one.crs != other.crs:
                continue  # the mosaic says what is wrong with that
            shared = one.footprint.intersection(other.footprint).area
            if shared > SAME_GROUND * min(one.footprint.area, other.footprint.area):
                raise RasterError(
                    f"{one.name} and {other.name} show the same ground at the same date, "
                    f"{one.moment.text}: leave one out, or tell them apart with {option('dates')}."
                )
    return DatedRaster(
        tuple(one.name for one in group),
        group[0].moment,
        shapely.unary_union([one.footprint for one in group]),
        group[0].crs,
    )


def _check_places(series: Sequence[DatedRaster]) -> None:
    """Refuse rasters that cannot be compared."""
    without = [one for one in series if one.crs is None]
    if without and len(without) != len(series):
        raise RasterError(
            f"{without[0].name} has no coordinate system, but others have: give it one "
            "(gdal_edit.py -a_srs) or leave it out."
        )
