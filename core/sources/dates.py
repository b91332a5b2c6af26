# SPDX-License-Identifier: GPL-2.0-or-later
"""A raster's acquisition date, from its name, tags or sidecar file."""

from __future__ import annotations

import json
import re
from calendar import monthrange
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

from ..errors import RasterError
from ..job import option

ACQUISITION_TAGS = (
    "ACQUISITIONDATETIME",
    "ACQUISITION_DATETIME",
    "ACQUISITION_DATE",
    "DATE_ACQUIRED",
    "ACQUIRED",
    "DATETIME",
    "PRODUCT_START_TIME",
)
"""Tags that say when a picture was taken, in any case of letters."""

WRITING_TAG = "TIFFTAG_DATETIME"
"""Often the time at which the file was written: believed only where nothing else says anything."""

_DAY = r"(?:19|20)\d{2}([-_.]?)(?:0[1-9]|1[0-2])\1(?:0[1-9]|[12]\d|3[01])"
_IN_NAMES = (
    re.compile(rf"(?<!\d){_DAY}(?:T\d{{6}})?(?!\d)"),
    re.compile(r"(?<!\d)(?:19|20)\d{2}[-_.](?:0[1-9]|1[0-2])(?!\d)"),
    re.compile(r"(?<!\d)(?<!\d[xX])(?:19|20)\d{2}(?!\d|[xX]\d)"),  # 2000x2000 is a size
)
_PRODUCT = re.compile(r"(?:S[123][A-D]_|L[COTEM]\d{2}_|m_\d{7}_[ns][ew]_)")
"""Names of products (Sentinel, Landsat, NAIP) whose first date is that of the picture and whose
second is another."""


@dataclass(frozen=True, order=True)
class Moment:
    """A time as precisely as it is known.

    Args:
        start: The first instant it can mean, UTC.
        end: The first instant after it, UTC.
        text: In ISO 8601 with the precision it was given: "2009", "2009-08", "2009-08-18".
    """

    start: datetime
    end: datetime
    text: str

    @property
    def middle(self) -> datetime:
        return self.start + (self.end - self.start) / 2

    def may_be(self, other: Moment) -> bool:
        """Whether both can mean the same instant."""
        return self.start < other.end and other.start < self.end


def read_moment(text: str) -> Moment | None:
    """A date or time in ISO 8601, in TIFF's form (2009:08:18 10:20:30), or as digits in a row.

    Returns:
        None where it is none.
    """
    text = text.strip()
    match = re.fullmatch(
        r"(\d{4})(?:[-:_./]?(\d{2})(?:[-:_./]?(\d{2})"
        r"(?:[T ](\d{2}):?(\d{2})(?::?(\d{2})(?:[.,]\d+)?)?\s*(Z|[+-]\d{2}:?\d{2})?)?)?)?",
        text,
    )
    if match is None:
        return None
    year, month, day, hour, minute, second = (
        None if part is None else int(part) for part in match.groups()[:6]
    )
    try:
        if year is None or month is None:
            start = datetime(int(match[1]), 1, 1, tzinfo=timezone.utc)
            return Moment(start, start.replace(year=start.year + 1), match[1])
        if day is None:
            start = datetime(year, month, 1, tzinfo=timezone.utc)
            days = monthrange(year, month)[1]
            return Moment(start, start + timedelta(days=days), f"{year:04}-{month:02}")
        start = datetime(year, month, day, tzinfo=timezone.utc)
        name = f"{year:04}-{month:02}-{day:02}"
        if hour is None or minute is None:
            return Moment(start, start + timedelta(days=1), name)
        start = start.replace(hour=hour, minute=minute, second=second or 0)
    except (ValueError, OverflowError):
        return None
    zone = match[7]
    if zone not in (None, "Z"):
        sign = -1 if zone[0] == "-" else 1
        start -= sign * timedelta(hours=int(zone[1:3]), minutes=int(zone[-2:]))
    return Moment(start, start + timedelta(seconds=1), start.strftime("%Y-%m-%dT%H:%M:%SZ"))


def moment_in_name(name: str) -> Moment | None:
    """The date in a file's name, the most precise kind that is there.

    Raises:
        RasterError: There are several that differ.
    """
    found = moments_in_name(name)
    if len(found) > 1:
        raise RasterError(
            f"The name {Path(name).name} holds several dates "
            f"({', '.join(moment.text for moment in found)}): say which one it is with "
            f"{option('dates')}."
        )
    return found[0] if found else None


def moments_in_name(name: str) -> list[Moment]:
    """The dates in a file's name that it may be of, of the most precise kind that is there.

    A number that would be a date in the future (2056 is a code of EPSG, 2048 an offset) is none.
    """
    stem = Path(name).name
    stem = stem[: -len(Path(stem).suffix)] if Path(stem).suffix else stem
    latest = datetime.now(timezone.utc) + timedelta(days=1)  # it is tomorrow in other zones
    for pattern in _IN_NAMES:
        found: dict[str, Moment] = {}
        for match in pattern.finditer(stem):
            moment = read_moment(_plain(match[0]))
            if moment is not None and moment.start <= latest:
                found.setdefault(moment.text, moment)
        if found:
            return list(found.values())[: 1 if _PRODUCT.match(stem) else None]
    return []


def _plain(text: str) -> str:
    """20200101T105441 as 2020-01-01T10:54:41; all else as it is."""
    if "T" in text:
        day, time = text.split("T")
        return f"{day}T{time[:2]}:{time[2:4]}:{time[4:]}"
    return text


def moment_in_tags(tags: Mapping[str, str]) -> tuple[Moment | None, Moment | None]:
    """When a raster was taken, and when it was written, as its tags say."""
    upper = {key.upper(): value for key, value in tags.items()}
    taken = None
    for name in ACQUISITION_TAGS:
        if name in upper and taken is None:
            taken = read_moment(upper[name])
    return taken, read_moment(upper.get(WRITING_TAG, ""))


def moment_in_sidecar(name: str) -> Moment | None:
    """The date of a STAC item beside the raster (``NAME.json`` or ``NAME.tif.json``).

    Raises:
        RasterError: The item is there, but cannot be read.
    """
    path = Path(name)
    for sidecar in (path.with_suffix(".json"), path.with_name(path.name + ".json")):
        if sidecar == path or not sidecar.is_file():
            continue
        try:
            item = json.loads(sidecar.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise RasterError(
                f"{sidecar.name} beside {path.name} cannot be read ({error}): mend it, or say when "
                f"the raster was taken with {option('dates')}."
            ) from error
        properties = item.get("properties", item) if isinstance(item, dict) else {}
        if not isinstance(properties, dict):
            continue
        for key in ("datetime", "start_datetime", "date"):
            moment = read_moment(str(properties.get(key) or ""))
            if moment is not None:
                return moment
    return None
