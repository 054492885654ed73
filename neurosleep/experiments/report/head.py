"""The line below the title: when, with what and on which machine the runs were made, and how long they took."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from neurosleep.experiments.report.numbers import defined, seconds
from neurosleep.experiments.report.read import Run

__all__ = ["head_facts"]


def head_facts(runs: Sequence[Run]) -> list[str]:
    """Dates of the files, version, machine and time in all, as far as they are known."""
    return [fact for fact in (_dates(runs), _versions(runs), _machines(runs), _time(runs)) if fact]


def _dates(runs: Sequence[Run]) -> str:
    days = []
    for run in runs:
        try:
            ended = (run.folder / "metrics.json").stat().st_mtime
        except OSError:
            continue
        days.append(datetime.fromtimestamp(ended, UTC).date().isoformat())
    if not days:
        return ""
    return f"of {min(days)}" if min(days) == max(days) else f"of {min(days)} to {max(days)}"


def _versions(runs: Sequence[Run]) -> str:
    given = [run.environment.get("versions") for run in runs]
    found = sorted({str(each["neurosleep"]) for each in given if isinstance(each, dict) and each.get("neurosleep")})
    return f"neurosleep {', '.join(found)}" if found else ""


def _machines(runs: Sequence[Run]) -> str:
    found: dict[str, None] = {}
    for run in runs:
        parts = [str(run.environment[key]) for key in ("machine", "device") if run.environment.get(key)]
        if parts:
            found[", ".join(parts)] = None
    return " and ".join(found) if len(found) <= 3 else f"{len(found)} kinds of machines"


def _time(runs: Sequence[Run]) -> str:
    spent = [run.metrics.get("seconds") for run in runs]
    totals = defined(each.get("total") for each in spent if isinstance(each, dict))
    return f"{seconds(sum(totals))} in all" if totals else ""
