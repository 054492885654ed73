"""Plain values from a file as the type that the package computes with, or an error that names the place."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from neurosleep.errors import SettingsError, unknown_name

__all__ = ["as_typed"]

T = TypeVar("T")


# What pydantic expects, in words.
_MEANT = {
    "int_type": "an integer",
    "float_type": "a number",
    "string_type": "a text",
    "bool_type": "true or false",
    "tuple_type": "a list",
}
# Of a list that is shown as it should be written.
_LONGEST_EXAMPLE = 60
_adapter: Callable[[object], TypeAdapter[Any]] = cache(TypeAdapter)


def as_typed(name: str, kind: type[T], values: object) -> T:
    """What ``values`` say, as a value of that type, without any conversion but that of integers to others.

    Raises
    ------
    SettingsError
        If they do not fit the type; of a table the key is named.

    >>> as_typed("sizes", tuple[int, ...], [2, 3])
    (2, 3)
    """
    try:
        return cast(T, _adapter(kind).validate_json(json.dumps(values), strict=True))
    except ValidationError as refused:
        first = refused.errors()[0]
    if "error" in first.get("ctx", {}):
        raise first["ctx"]["error"]
    place = [str(part) for part in first["loc"] if isinstance(part, str) and part not in ("int", "float")]
    path, given = ".".join([name, *place[:1]]), first["input"]
    if first["type"] == "literal_error":
        raise unknown_name(path, given, re.findall(r"'([^']*)'", first["ctx"]["expected"]))
    either = any(part in ("int", "float") for part in first["loc"])
    what = _MEANT["float_type" if either else first["type"]] if first["type"] in _MEANT else first["msg"]
    verb = "holds" if any(isinstance(part, int) for part in first["loc"]) else "is"
    written = _as_list(kind, values, place[0], given) if first["type"] == "tuple_type" and place else None
    raise SettingsError(
        f"{path} {verb} {given!r:.80}.",
        expected=what.removeprefix("Input should be ") + (f", written '{path}={written}'" if written else ""),
    )


def _as_list(kind: type, values: object, key: str, given: object) -> str | None:
    """How the list is written of which ``given`` is a text, or one entry; None where brackets do not make one of it."""
    if not isinstance(values, dict) or not isinstance(given, str | int | float) or isinstance(given, bool):
        return None
    entries = [text for one in str(given).strip("[]() ").split(",") if (text := one.strip().strip("\"'"))]
    plain = ",".join(entries)
    quoted = ",".join(json.dumps(entry, ensure_ascii=False) for entry in entries)
    for written in (f"[{plain}]", f"[{quoted}]", f"[[{plain}]]"):
        try:
            _adapter(kind).validate_json(json.dumps(values | {key: json.loads(written)}), strict=True)
        except ValidationError as refused:
            # Without a place it is the table that refuses it, as the class of its settings says.
            if any(error["loc"][:1] in ((key,), ()) for error in refused.errors()):
                continue
        except ValueError:  # no JSON
            continue
        return written if entries and len(written) <= _LONGEST_EXAMPLE else None
    return None
