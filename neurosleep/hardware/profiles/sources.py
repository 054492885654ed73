"""``[sources]`` of a profile: what is cited, and which single figures have a source of their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from neurosleep.hardware.findings import Finding, kind_of, printable, shown
from neurosleep.hardware.profiles.profile import Source
from neurosleep.hardware.profiles.schema import GRADES, KEYS, TABLES

__all__ = ["Sources", "read_sources", "text_problem"]

_PARTS = ("citation", "year", "grade")


@dataclass
class Sources:
    """The sources of a file, the figures that name one, and what is wrong with them."""

    defined: dict[str, Source] = field(default_factory=dict)
    figures: dict[str, str] = field(default_factory=dict)
    # Names that are there but not right: they are not missing as well.
    spoilt: set[str] = field(default_factory=set)
    findings: list[Finding] = field(default_factory=list)


def read_sources(raw: Any, file: str) -> Sources:
    """Take ``[sources]`` apart: ``[sources.NAME]`` defines one, ``sources.<dotted.key> = "NAME"`` is a figure's own."""
    sources = Sources()
    if raw is None:
        return sources
    if not isinstance(raw, dict):
        sources.findings.append(_wrong_type(file, "sources", raw, "table"))
        return sources
    tables = {table.partition(".")[0] for table in TABLES}
    for name, value in raw.items():
        if isinstance(value, str) or (name in tables and isinstance(value, dict)):
            for key, source in _flat(name, value):
                _add_figure(sources, file, key, source)
        elif isinstance(value, dict):
            _add_source(sources, file, name, value)
        else:
            sources.findings.append(_wrong_type(file, f"sources.{printable(name)}", value, "table"))
    return sources


def text_problem(text: str) -> tuple[str, str, str] | None:
    """Code, message and what was expected, where a text holds what a terminal would obey instead of show."""
    if text.replace("\n", "").replace("\t", "").isprintable():
        return None
    return "HP007", f"expected printable text, got {shown(text)}", "printable text"


def _flat(prefix: str, value: Any) -> Iterator[tuple[str, Any]]:
    if not isinstance(value, Mapping):
        yield prefix, value
        return
    for name, inner in value.items():
        yield from _flat(f"{prefix}.{name}", inner)


def _wrong_type(file: str, key: str, value: Any, expected: str) -> Finding:
    message = f"expected {expected}, got {kind_of(value)}"
    return Finding("HP006", file, key, message, shown(value), expected)


def _add_figure(found: Sources, file: str, key: str, source: Any) -> None:
    place = f"sources.{printable(key)}"
    if key not in KEYS or KEYS[key].leaf in ("source", "note"):
        found.findings.append(Finding("HP003", file, place, "unknown key; sources name a figure or define a source"))
    elif not isinstance(source, str):
        found.findings.append(_wrong_type(file, place, source, "str"))
    else:
        found.figures[key] = source


def _add_source(found: Sources, file: str, name: str, raw: Mapping[str, Any]) -> None:
    place = f"sources.{printable(name)}"
    before = len(found.findings)

    def add(code: str, part: str, message: str, got: str | None = None, expected: str | None = None) -> None:
        found.findings.append(Finding(code, file, f"{place}.{part}", message, got, expected))

    for part in raw:
        if part not in _PARTS:
            add("HP003", printable(part), f"unknown key; a source has {', '.join(_PARTS)}")
    for part, kind in (("citation", "str"), ("year", "int"), ("grade", "str")):
        if part not in raw:
            add("HP004", part, "required; add it", "nothing", kind)
        elif kind_of(raw[part]) != kind:
            found.findings.append(_wrong_type(file, f"{place}.{part}", raw[part], kind))
    citation, year, grade = (raw.get(part) for part in _PARTS)
    if isinstance(citation, str) and (problem := text_problem(citation)) is not None:
        add(problem[0], "citation", problem[1], shown(citation), problem[2])
    if isinstance(citation, str) and not citation.strip():
        add("HP015", "citation", "citation is empty", shown(citation), "what is cited")
    if type(year) is int and not 1900 <= year <= 2100:
        add("HP007", "year", f"expected 1900..2100, got {shown(year)}", shown(year), "1900..2100")
    if isinstance(grade, str) and grade not in GRADES:
        add("HP015", "grade", "grade is none that there is", shown(grade), "one of " + ", ".join(GRADES))
    if len(found.findings) > before:
        found.spoilt.add(name)
    else:
        assert isinstance(citation, str) and isinstance(year, int) and isinstance(grade, str)
        found.defined[name] = Source(name, citation, year, grade)
