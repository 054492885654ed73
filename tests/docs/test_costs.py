"""What the page of homeostasis says of the time of a sleep is what the benchmark's record says."""

from __future__ import annotations

import json
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_table_of_costs_is_that_of_the_newest_record() -> None:
    record = json.loads(max((ROOT / "benchmarks").glob("*-consolidate.json")).read_text(encoding="utf-8"))
    seconds = record["seconds"]
    page = (ROOT / "docs" / "concepts" / "homeostasis.md").read_text(encoding="utf-8")
    networks = [key.removesuffix(" epoch") for key in seconds if key.endswith(" epoch")]
    assert len(networks) == 5
    for name in networks:
        shares = [seconds.get(f"{name} {what}") for what in ("rates", "spikes", "guarded")]
        cells = ["-" if share is None else f"{share / seconds[f'{name} epoch']:.2f}" for share in shares]
        assert f"| {name} | {' | '.join(cells)} |" in page
