"""The schema of ``hardware_profiles/*.toml`` as one table, gathered from the fields of the tables' classes.

Validation, the JSON schema for editors and the table of keys in docs/profiles/ are all made from :data:`KEYS`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace

from neurosleep.hardware.profiles.key import Key
from neurosleep.hardware.profiles.tables import PARTS, LimitKinds, Table

__all__ = ["CODES", "GRADES", "KEYS", "LIMITED", "SCHEMA_VERSION", "TABLES", "leaf"]

SCHEMA_VERSION = 1
GRADES = ("code", "primary", "secondary", "recalled", "project")

# What each code is about.
CODES = {
    "HP001": "the file cannot be read as TOML",
    "HP002": "schema_version that this release does not know",
    "HP003": "unknown key",
    "HP004": "required key missing and not listed as unpublished",
    "HP005": "listed as unpublished but has a value",
    "HP006": "wrong type",
    "HP007": "out of range",
    "HP008": "not one of the choices",
    "HP009": "minimum above maximum, or default not among the modes",
    "HP010": "integer grid of the weights inconsistent",
    "HP011": "thresholds beyond the range of the membrane",
    "HP012": "required by another key's value",
    "HP013": "ruled out by another key's value",
    "HP014": "source that is not defined",
    "HP015": "source without citation or grade; figures that are recalled or name no source (warnings)",
    "HP016": "energy without a basis",
    "HP017": "energy that is not above zero",
    "HP018": "limit without its kind",
    "HP019": "id differs from the file's name (a shipped profile's id: warning)",
    "HP020": "arithmetic that integers of 53 bits cannot do, or tables of cores that differ",
    "HP030": "not a spiking target",
}


# The type of a key by the annotation of its field, and whether "unlimited" is one of its values.
_TYPES = {
    **{name: (name, False) for name in ("int", "float", "str", "bool")},
    "tuple[int, ...]": ("ints", False),
    "tuple[str, ...]": ("strs", False),
    "Limit": ("int", True),
}


def _keys(table: str, kind: type[Table]) -> Iterator[Key]:
    """Keys of a table in the order of its fields, what every table has last; then those of the tables within it."""
    common = fields(Table)
    parts = fields(kind)
    for part in (*parts[len(common) :], *parts[: len(common)]):
        if "key" in part.metadata:
            type_, unlimited = _TYPES[str(part.type).removesuffix(" | None")]
            key = replace(part.metadata["key"], name=f"{table}.{leaf(part.name)}", type=type_, unlimited=unlimited)
            yield key if kind.only is None else replace(key, only=kind.only)
    for part in parts:
        if "table" in part.metadata:
            yield from _keys(f"{table}.{part.name}", part.metadata["table"])


def leaf(name: str) -> str:
    """The key of a field, whose name ends in an underscore where Python has that word."""
    return name.removesuffix("_")


_TOP = (
    Key("schema_version", "int", "version of this schema", required=True),
    Key("unpublished", "strs", "dotted keys of what is not public"),
)
# Every key but those under [sources], by dotted name, table by table.
KEYS: dict[str, Key] = {
    key.name: key for key in (*_TOP, *(key for table, kind in PARTS.items() for key in _keys(table, kind)))
}
TABLES: tuple[str, ...] = tuple(dict.fromkeys(key.table for key in KEYS.values() if key.table))
# Limits whose kind has to be stated; that of cores_per_chip may be (chips can be joined unless it is structural).
LIMITED = tuple(
    part.name for part in fields(LimitKinds) if part.name not in (*(p.name for p in fields(Table)), "cores_per_chip")
)
