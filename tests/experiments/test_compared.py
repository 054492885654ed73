"""Two folders of runs compared: in which settings they differ, and whether their accuracies do."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from neurosleep.errors import RunFolderError
from neurosleep.experiments import write_comparison


def run(out: Path, strategy: str, seed: int, accuracy: float | None, steps: int = 100, **change: Any) -> None:
    """A run folder with metrics and settings alone."""
    metrics = {"experiment": "my/own", "variant": "default", "strategy": strategy, "seed": seed, "status": "done"}
    metrics |= {"split": "test", "accuracy_all": accuracy, "results": {}, "seconds": {"total": 1.0}} | change
    folder = out / "my/own" / str(metrics["variant"]) / strategy / f"seed{seed}"
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text(json.dumps(metrics))
    (folder / "config.toml").write_text(f'record = "all"\n[sleep]\nsteps = {steps}\n[wake]\nlr = 0.1\n')


def text(page: Path) -> str:
    source = page.read_text(encoding="utf-8")
    assert not re.search(r"https?://", source) and "<img" in source
    body = re.sub(r"<(style|script)[^>]*>.*?</\1>", "", source, flags=re.DOTALL)
    return " ".join(re.sub("<[^>]*>", " ", body.replace("<wbr>", "")).split())


def test_settings_and_accuracies_of_two_folders(tmp_path: Path) -> None:
    short, long = tmp_path / "short", tmp_path / "long"
    for seed, (before, after) in enumerate([(0.41, 0.60), (0.36, 0.58), (0.47, 0.63)]):
        run(short, "src", seed, before)
        run(long, "src", seed, after, steps=300, variant="v1")
    run(short, "ewc", 0, 0.5)
    run(long, "ewc", 0, 0.5, steps=300, variant="v1")
    run(short, "owm", 0, 0.2)
    run(long, "owm", 1, 0.3, steps=300, variant="v1")
    where = {"task": 1, "phase": "wake", "epoch": 1, "step": 3, "layer": "layers.0.weight", "quantity": "weights"}
    where |= {"value": None, "hint": "lower wake.lr"}
    run(long, "si", 0, None, steps=300, variant="v1", status="diverged", divergence=where)
    page = write_comparison(short, long)
    assert page == long / "compared.html"
    found = text(page)
    told = "my/own, src: 41.3 ± 5.5 % in short, 60.3 ± 2.5 % in long, 19 points more on 3 equal seeds "
    assert f"{told}(p = 0.0082, paired)." in found
    assert "my/own, ewc: 50.0 % in short, 50.0 % in long, level on 1 equal seed." in found
    assert "my/own, owm: 20.0 % in short, 30.0 % in long; no seed in common." in found
    assert "my/own, si: no result in short, no result in long; no seed in common. Diverged in task 1, wake" in found
    assert "my/own: 1 setting that differs" in found and "sleep.steps 100 300" in found and "wake.lr 0.1" not in found
    assert "Setting short (default) long (v1)" in found and "3 +19.0 0.0082" in found


def test_what_has_nothing_in_common_says_so(tmp_path: Path) -> None:
    run(tmp_path / "a" / "out", "src", 0, 0.4)
    run(tmp_path / "b" / "out", "src", 0, 0.4, split="validation")
    source = write_comparison(tmp_path / "a" / "out", tmp_path / "b" / "out").read_text()
    assert "no experiment and evaluation split in common" in source and "a/out" in source
    with pytest.raises(RunFolderError, match="with itself"):
        write_comparison(tmp_path / "a", tmp_path / "a")
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunFolderError, match="no run"):
        write_comparison(tmp_path / "a", tmp_path / "empty")
