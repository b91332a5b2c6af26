# SPDX-License-Identifier: GPL-2.0-or-later
"""How a parameter is defined, checked and named: the base of all classes of parameters."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import MISSING, Field, asdict, field, fields
from typing import Any, Optional, TypeVar

Json = Any

_NAMED = re.compile(r"\{option (\w+)\}")


def option(name: str) -> str:
    """A parameter of a job, named in a message so that each front end can show its own knob.

    The command shows ``--tile-size``, Python ``tile_size``, QGIS the parameter's label.
    """
    return f"{{option {name}}}"


def with_knobs(message: str, knob: Callable[[str], str] = str) -> str:
    """A message with every :func:`option` replaced by what ``knob`` calls it."""
    return _NAMED.sub(lambda found: knob(found[1]), message)


class MessageError(ValueError):
    """A line, a message or a set of parameters is not what it should be."""

    @property
    def template(self) -> str:
        """The message with its options still to be named; see :func:`with_knobs`."""
        return super().__str__()

    def __str__(self) -> str:
        return with_knobs(self.template)


_P = TypeVar("_P", bound="Parameters")


class Parameters:
    """From and to plain JSON objects; unknown names and wrong types are refused by name."""

    def to_dict(self) -> dict[str, Json]:
        return asdict(self)  # type: ignore[call-overload,no-any-return]

    @classmethod
    def from_dict(cls: type[_P], values: dict[str, Json]) -> _P:
        if not isinstance(values, dict):
            raise MessageError(f"The parameters must be an object, not {type(values).__name__}.")
        known = {f.name: f for f in fields(cls)}  # type: ignore[arg-type]
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise MessageError(
                f"Unknown parameter {', '.join(map(repr, unknown))}; known are {', '.join(known)}."
            )
        missing = [
            name
            for name, f in known.items()
            if name not in values and f.default is MISSING and f.default_factory is MISSING
        ]
        if missing:
            raise MessageError(f"Missing parameter {', '.join(map(repr, missing))}.")
        for name, value in values.items():
            check_type(name, value, str(known[name].type))
            _check_texts(name, value)
            _check_range(known[name], value)
        return cls(**values)


_SCALARS: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
}


_UNUSABLE = re.compile("[\\x00\\ud800-\\udbff\\udc00-\\udc7f\\udd00-\\udfff]")
"""NUL, and halves of characters; those that Python makes of file names in other encodings (U+DC80
to U+DCFF) stay."""


def check_type(name: str, value: Json, declared: str) -> None:
    """Compare a JSON value with an annotation of this module (Optional, list[...], scalars)."""
    wanted = declared
    if wanted.startswith("Optional["):
        if value is None:
            return
        wanted = wanted[len("Optional[") : -1]
    if wanted.startswith("list["):
        if not isinstance(value, list):
            raise MessageError(f"Parameter {name!r} must be a list, not {value!r}.")
        for item in value:
            check_type(name, item, wanted[len("list[") : -1])
        return
    if wanted.startswith("dict["):
        if not isinstance(value, dict):
            raise MessageError(f"Parameter {name!r} must be an object, not {value!r}.")
        return
    allowed = _SCALARS[wanted]
    if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed):
        raise MessageError(f"Parameter {name!r} must be of type {wanted}, not {value!r}.")


def _check_texts(name: str, value: Json) -> None:
    """Refuse texts, however deep, that no file name and no attribute can be."""
    if isinstance(value, str) and _UNUSABLE.search(value):
        raise MessageError(
            f"Parameter {name!r} holds a character that neither a name nor a text can have: "
            f"{value!r:.80}."
        )
    if isinstance(value, list):
        for item in value:
            _check_texts(name, item)


def _check_range(known: Field[Any], value: Json) -> None:
    """Compare a value of the right type with what its field allows."""
    name, about = option(known.name), known.metadata
    if isinstance(value, float) and not math.isfinite(value):
        raise MessageError(f"Parameter {name} must be a finite number, not {value}.")
    if value is None:
        return
    length, choices = about.get("length"), about.get("choices")
    if length is not None and len(value) != length:
        raise MessageError(f"Parameter {name} must have {length} numbers, not {len(value)}.")
    if choices is not None and value not in choices:
        raise MessageError(f"Parameter {name} must be one of {', '.join(choices)}, not {value!r}.")
    least, most = about.get("least"), about.get("most")
    if least is not None and value < least:
        raise MessageError(f"Parameter {name} must be at least {least}, not {value}.")
    if most is not None and value > most:
        raise MessageError(f"Parameter {name} must be at most {most}, not {value}.")


def option_field(
    about: str,
    default: Any = None,
    *,
    unset: str = "",
    choices: tuple[str, ...] = (),
    length: Optional[int] = None,
    least: Optional[float] = None,
    most: Optional[float] = None,
    group: str = "",
    flag: str = "",
    optional: bool = False,
) -> Any:
    """A field that is an option of a job: the one definition for all front ends.

    Args:
        about: One or two sentences: the command's help, QGIS's help, the documentation's table.
        default: Where ``choices`` are given, the first of them.
        unset: What None means, for the help.
        choices: All allowed words.
        length: Numbers that a list must have.
        least: Smallest number that is allowed.
        most: Largest number that is allowed.
        group: Of options, for the documentation.
        flag: Name on the command line, where it is not the field's with dashes.
        optional: None, not the first of ``choices``, is the default.
    """
    facts: dict[str, Any] = {"about": about, "unset": unset, "group": group, "flag": flag}
    facts.update(length=length, least=least, most=most)
    if choices:
        default = None if optional else choices[0]
        facts["choices"] = choices
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=facts)
    return field(default=default, metadata=facts)
