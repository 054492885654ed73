"""Which tables of results stand on which page, from ``published/pages.toml``, and what baselines reach elsewhere."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

__all__ = ["Known", "Page", "Table", "known_figures", "load_known", "load_pages"]


@dataclass(frozen=True)
class Table:
    """One table: its experiments, whose homeostatic ``sleep`` stands in it, and its ``panel`` on the first page.

    With ``against``, an experiment, it shows what each of its ``changes`` (variants with a text) moves on equal seeds.
    """

    title: str
    experiments: tuple[str, ...]
    sleep: str = ""
    panel: str = ""
    against: str = ""
    text: str = ""
    changes: Mapping[str, str] = field(default_factory=dict)

    # Mappings have no hash.
    def __hash__(self) -> int:
        return hash((self.title, self.experiments))


@dataclass(frozen=True)
class Page:
    """One page of results: file name, heading, a paragraph, the tables and the source of the paper.

    ``figures`` are tables and figures that ``neurosleep reproduce`` makes, by name.
    """

    name: str
    title: str
    text: str
    tables: tuple[Table, ...]
    source: str = ""
    figures: tuple[str, ...] = ()


@dataclass(frozen=True)
class Known:
    """What a baseline reaches elsewhere in the same protocol, in percent; ``sem`` and ``n`` None where not stated."""

    mean: float
    source: str
    sem: float | None = None
    n: int | None = None


@dataclass(frozen=True)
class Protocol:
    """Experiments of one protocol, the protocol in words, and figures of it by strategy."""

    experiments: tuple[str, ...]
    text: str
    figures: dict[str, Known]


def _read(name: str) -> dict[str, Any]:
    file = resources.files("neurosleep") / "experiments" / "published" / name
    return tomllib.loads(file.read_text(encoding="utf-8"))


@cache
def load_pages() -> tuple[Page, ...]:
    """The pages in their order."""
    return tuple(
        Page(
            tables=tuple(
                Table(**(table | {"experiments": tuple(table["experiments"])})) for table in page.get("table", ())
            ),
            figures=tuple(page.get("figures", ())),
            **{key: value for key, value in page.items() if key not in ("table", "figures")},
        )
        for page in _read("pages.toml")["page"]
    )


@cache
def load_known() -> tuple[Protocol, ...]:
    """The protocols with figures from elsewhere."""
    return tuple(
        Protocol(
            tuple(entry["experiments"]),
            entry["text"],
            {strategy: Known(**figure) for strategy, figure in entry["figures"].items()},
        )
        for entry in _read("known.toml")["protocol"]
    )


def known_figures(experiment: str) -> tuple[str, dict[str, Known]]:
    """The protocol of an experiment in words and its figures by strategy; empty if none is at hand."""
    for protocol in load_known():
        if experiment in protocol.experiments:
            return protocol.text, protocol.figures
    return "", {}
