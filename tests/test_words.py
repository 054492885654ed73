"""Names, messages, reports and pages use the words that a reader of the field searches for, and no others."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SEARCHED = (
    "neurosleep",
    "docs",
    "examples",
    "tools",
    "hardware_profiles",
    "README.md",
    "CONTRIBUTING.md",
    "mkdocs.yml",
)

# What is not written, and what is instead.
WORDS = {
    r"\bnights?\b": "sleep, sleep phase",
    r"\basleep\b": "in sleep, during the sleep phase",
    r"\bslept weights\b": "weights after sleep",
    r"\b(?:begins?|began|begun|beginnings?)\b": "start",
    r"\bby chance\b": "stochastic rounding, at random",
    r"\bwhole numbers?\b": "integer",
    r"\bcut off\b": "saturated, truncated",
    r"\bbecame 0\b": "underflow to zero",
    r"\berror of (?:the )?weights\b": "quantisation error",
    r"\bthe way of the data\b": "data flow",
    r"\bnetworks? that settles?\b": "equilibrium network",
    r"\bchances? to fire\b": "firing probability",
    r"\bintervals between (?:the )?spikes\b": "inter-spike intervals",
    r"\breads old data\b": "uses stored examples",
    r"\brivals?\b": "baselines",
    r"\bwhat came out\b": "results",
    r"\bwhat was asked\b": "configuration",
    r"\bto redo it\b": "reproduce",
    r"\bimages judged on\b": "evaluation split",
    r"\bmoving picture\b": "animation",
    r"\brefused by name\b": "an error that names it",
    r"\ba fault of ours\b": "internal error",
    r"\ba mistake in what\b": "usage error",
    r"\border of the rooms\b": "import layering",
}

# Keys and values of files that are stored and read again, and what other languages call theirs.
STORED = (
    r'"asleep"|``asleep``|\basleep: int|\basleep/',  # of the events that `run --follow` and TensorBoard get
    r"rounding by chance|'by chance'",  # of metrics.json
    r'"nights"',  # of the bundles that a run is resumed from
    r"\\begin|\|begin\|",  # TeX
    r"weather-night",  # an icon
)


def files() -> Iterator[tuple[str, str]]:
    """Name and text of each file that is searched."""
    listed = subprocess.run(["git", "ls-files", *SEARCHED], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if path.suffix in (".py", ".md", ".toml", ".yml", ".j2", ".js", ".css") and path.is_file():
            yield name, path.read_text(encoding="utf-8")


def instead(text: str) -> list[tuple[int, str, str]]:
    """Each word of the left column in a text: its line, counted from 1, itself, and what to write."""
    pattern = re.compile("|".join(f"({word})" for word in WORDS), re.IGNORECASE)
    better, stored = list(WORDS.values()), re.compile("|".join(STORED))
    return [
        (number, match[0], better[match.lastindex - 1 if match.lastindex else 0])
        for number, line in enumerate(text.splitlines() if pattern.search(text) else [], 1)
        for match in pattern.finditer(stored.sub("", line))
    ]


def test_words() -> None:
    places = [
        f"{name}:{number}: {word!r}; write: {better}"
        for name, text in files()
        for number, word, better in instead(text)
    ]
    assert places == []


def test_what_is_told_apart() -> None:
    text = "It begins\nasleep, with 3 whole numbers; \\begin{x}\nweather-night"
    assert [(number, word) for number, word, _ in instead(text)] == [(1, "begins"), (2, "asleep"), (2, "whole numbers")]
    assert instead(text)[2][2] == "integer"
