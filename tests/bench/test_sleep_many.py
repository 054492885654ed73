"""Streams and populations: what is timed, that it is looked at first, and what is refused."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from neurosleep.bench import _sleep_many, bench_sleep
from neurosleep.errors import SettingsError
from tests.bench.test_record import small


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"_STEPS": 400, "_TURNS": 2, "_MEMBER_STEPS": 200, "_MEMBER_TURNS": 2, "trained": small}
    for name, value in values.items():
        monkeypatch.setattr(_sleep_many, name, value)


def check_quotients(result: dict[str, Any], pairs: list[tuple[str, str]]) -> None:
    assert result["name"] == "sleep" and result["unit"] == "sleep"
    assert all(math.isfinite(value) and value > 0 for value in result["seconds"].values())
    assert set(result["ratios"]) == set(result["noise"]) == {f"{a}_over_{b}" for a, b in pairs}
    for key, (low, high) in result["noise"].items():
        assert 0 < low <= result["ratios"][key] <= high


def test_streams_are_timed_over_whole_sleeps() -> None:
    result = bench_sleep(batch=8)
    check_quotients(result, [("one_stream", "same_steps"), ("one_stream", "quarter")])
    assert (result["streams"], result["threads"]) == (8, 1)
    assert result["steps"] == {"one_stream": 400, "same_steps": 50, "quarter": 12}
    assert all(count > 0 for count in result["spikes"].values())


def test_a_population_is_timed_beside_two_processes() -> None:
    result = bench_sleep(population=4)
    check_quotients(result, [("processes", "population")])
    assert (result["population"], result["threads"], result["steps"]) == (4, 2, 200)


def test_what_differs_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    def other(*args: Any, seed: int, **options: Any) -> Any:
        return plain(*args, seed=seed + len(str(options.get("engine", ""))), **options)

    plain = _sleep_many.sleep
    monkeypatch.setattr(_sleep_many, "sleep", other)
    with pytest.raises(AssertionError, match="differ in a sleep of 8 streams"):
        bench_sleep(batch=8)
    monkeypatch.setattr(_sleep_many, "sleep", lambda *args, seed, **options: plain(*args, seed=seed + 1, **options))
    before = torch.get_num_threads()
    with pytest.raises(AssertionError, match="sleeps otherwise than alone"):
        bench_sleep(population=2)
    assert torch.get_num_threads() == before


def test_numbers_of_several_only_and_one_of_both() -> None:
    for options in ({"batch": 1}, {"batch": 2.5}, {"population": 0}, {"population": -4}):
        with pytest.raises(SettingsError, match=f"--{next(iter(options))}"):
            bench_sleep(**options)  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="one of them"):
        bench_sleep(batch=2, population=2)
