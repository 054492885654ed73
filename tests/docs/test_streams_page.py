"""The figures of the page on streams are made from the results."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

import docs_streams


@pytest.mark.parametrize(("name", "tasks"), [("growth-classes", 20), ("growth-permutations", 50)])
def test_what_is_shown_was_measured_of_every_task(name: str, tasks: int) -> None:
    rows = docs_streams.rows_of(docs_streams.SHOWN[name])
    assert {"sequential", "sleep"} <= {row["strategy"] for row in rows}
    for strategy in {row["strategy"] for row in rows}:
        assert [row["after_task"] for row in rows if row["strategy"] == strategy] == [*range(1, tasks + 1)]
    assert all(row["accuracy"] is not None and row["seconds"] is not None for row in rows)


def test_the_page_shows_each() -> None:
    made = dict(docs_streams.files())
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "streams.md").read_text(encoding="utf-8")
    assert all(content.startswith(b"\x89PNG") and path.rpartition("/")[2] in page for path, content in made.items())
