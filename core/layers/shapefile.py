# SPDX-License-Identifier: GPL-2.0-or-later
"""What a Shapefile cannot hold: long names, times, long texts, some numbers, and what made it.

The last is in ``NAME.shp.xml``, where ArcGIS keeps a Shapefile's metadata: a lineage as the FGDC's
Content Standard for Digital Geospatial Metadata (FGDC-STD-001-1998, 2.5) describes it.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..notes import warn
from ..vectors.schema import SHORT_NAMES

SIDECAR = ".shp.xml"
"""Extension of the file with a Shapefile's metadata."""

_STEP = "dataqual/lineage/procstep"

MOST_NAME = 10
"""Bytes of a column's name in a Shapefile's table."""

MOST_TEXT = 254
"""Bytes of a text in a Shapefile's table."""

DECIMALS = 15
"""Decimals of a number in a Shapefile's table, as GDAL makes its columns: 24 characters."""

_TOO_LARGE = 1e23
"""From here on a number, with its sign, has more digits than that."""

_SEEN = 1e-6
"""Share of a number by which its rounding to decimals is said."""


def for_shapefile(
    schema: pa.Schema,
    batches: Iterator[pa.RecordBatch],
    names: Mapping[str, str],
    cut: Counter[str],
    unfit: Counter[str],
) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """Short names; times as ISO text; numbers that are too large left empty.

    Args:
        schema: Of the batches.
        batches: Of features.
        names: Of columns, in a Shapefile.
        cut: Gets the number of texts that are too long, by column.
        unfit: Gets the number of numbers that are left empty or rounded, by column.
    """

    def text_for_time(kind: pa.DataType) -> pa.DataType:
        return pa.string() if pa.types.is_timestamp(kind) else kind

    result = pa.schema([pa.field(names.get(f.name, f.name), text_for_time(f.type)) for f in schema])

    def convert() -> Iterator[pa.RecordBatch]:
        for batch in batches:
            arrays = [
                column.cast(kind.type) if column.type != kind.type else column
                for column, kind in zip(batch.columns, result, strict=True)
            ]
            for place, (kind, column) in enumerate(zip(result, arrays, strict=True)):
                if pa.types.is_floating(kind.type):
                    arrays[place], changed = _fitting(column)
                    if changed:
                        unfit[kind.name] += changed
                if pa.types.is_integer(kind.type):
                    changed = _read_as_floats(column)
                    if changed:
                        unfit[kind.name] += changed
                if pa.types.is_string(kind.type):
                    long = pc.sum(pc.greater(pc.binary_length(column), MOST_TEXT)).as_py()
                    if long:
                        cut[kind.name] += long
                        texts = column.to_pylist()  # GDAL would warn of the first in its words
                        arrays[place] = pa.array(
                            [None if text is None else _cut(text, MOST_TEXT) for text in texts],
                            kind.type,
                        )
            yield pa.RecordBatch.from_arrays(arrays, schema=result)

    return result, convert()


def _fitting(column: pa.Array) -> tuple[pa.Array, int]:
    """Numbers of which those that are too large are empty, and how many those or rounded are."""
    values = column.to_numpy(zero_copy_only=False)
    size = np.abs(values)
    large = size >= _TOO_LARGE
    small = np.where(size < 1, values, 0.0)
    rounded = np.abs(np.round(small, DECIMALS) - small) > _SEEN * np.abs(small)
    if large.any():
        column = pc.if_else(pa.array(large), pa.scalar(None, column.type), column)
    return column, int(large.sum() + rounded.sum())


def _read_as_floats(column: pa.Array) -> int:
    """How many whole numbers are rounded by those who read them.

    A number's column has room for all digits, but programs take it for one of floats where it has
    more than 18.
    """
    values = column.drop_null().to_numpy(zero_copy_only=False)
    if not len(values) or (values.min() > -(10**17) and values.max() < 10**18):
        return 0
    with np.errstate(invalid="ignore"):  # the largest of 64 bits has no float
        return int((values != values.astype(np.float64).astype(values.dtype)).sum())


def say_unfit(path: Path, unfit: Mapping[str, int]) -> None:
    """Warn of numbers that were left empty or rounded; ``unfit`` is how many by column."""
    columns = ", ".join(f"{count} in {name}" for name, count in sorted(unfit.items()))
    warn(
        f"{path.name}: a Shapefile's numbers have at most 23 digits and {DECIMALS} decimals; "
        "larger ones are left empty, smaller ones are rounded, and so are whole numbers of more "
        f"than 18 digits where programs read them ({columns}). Write another format, a .gpkg for "
        "example, to keep them."
    )


def say_cut(path: Path, cut: Mapping[str, int]) -> None:
    """Warn of texts that were cut; ``cut`` is their number by column."""
    columns = ", ".join(f"{count} in {name}" for name, count in sorted(cut.items()))
    warn(
        f"{path.name}: a Shapefile's texts have at most {MOST_TEXT} bytes; longer ones are cut "
        f"({columns}). Write another format, a .gpkg for example, to keep them."
    )


def short_names(names: Sequence[str], path: Path) -> Mapping[str, str]:
    """Names that a Shapefile can hold: 10 bytes of UTF-8, told apart by a number; warns of changes.

    GDAL writes them in the encoding that the .cpg names, and reads them by it.
    """
    result: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        candidate = _cut(SHORT_NAMES.get(name, name), MOST_NAME)
        number = 1
        while candidate.lower() in taken:
            number += 1
            candidate = f"{_cut(candidate, MOST_NAME - len(str(number)) - 1)}_{number}"
        taken.add(candidate.lower())
        result[name] = candidate
    changed = [f"{old} -> {new}" for old, new in result.items() if old != new]
    if changed:
        warn(
            f"{path.name}: a Shapefile's column names have at most {MOST_NAME} characters, fewer "
            f"where letters take several bytes of UTF-8: {', '.join(changed)}."
        )
    return result


def _cut(name: str, most: int) -> str:
    """The start of a name that has at most so many bytes in UTF-8."""
    return name.encode("utf-8", "replace")[:most].decode("utf-8", "ignore")


def sidecar(path: Path) -> Path:
    """The file with the metadata of a Shapefile: ``town.shp`` has ``town.shp.xml``."""
    return path.with_suffix(SIDECAR)


def write_sidecar(path: Path, text: str) -> None:
    """Write what made a Shapefile as the step of a lineage.

    Args:
        path: Of the file.
        text: JSON.
    """
    root = step = ET.Element("metadata")
    for name in _STEP.split("/"):
        step = ET.SubElement(step, name)
    ET.SubElement(step, "procdesc").text = text
    ET.SubElement(step, "procdate").text = "Unknown"
    ET.indent(root, " ")
    path.write_bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n")


def provenance_in_sidecar(path: Path) -> str:
    """What :func:`write_sidecar` has written, or "" where the file is another program's, or none.

    Raises:
        OSError: It cannot be read.
    """
    if not path.exists():
        return ""
    try:
        text = ET.parse(path).findtext(f"{_STEP}/procdesc")
    except ET.ParseError:
        return ""
    return text if text and text.startswith('{"schema": "samgeo-provenance"') else ""
