"""The benchmark of a GPU: the same code on the CPU, in small."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest
import torch

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu.py"


def test_it_runs_where_there_is_no_gpu_and_asserts_the_same_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main, threads = runpy.run_path(str(SCRIPT))["main"], torch.get_num_threads()
    try:
        main(["--device", "cpu", "--quick", "--out", str(tmp_path / "record.json")])
    finally:
        torch.set_num_threads(threads)
    record = json.loads((tmp_path / "record.json").read_text())
    assert json.loads(capsys.readouterr().out) == record
    assert (record["name"], record["device"], record["quick"]) == ("gpu", "cpu", True)
    for part in (record["sleep"], record["simulate"]):
        assert part["spikes"] > 100 and part["spikes_apart"] <= 1e-4 and part["ratio"] > 0


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch.cuda.is_available() is False")
def test_it_runs_on_a_gpu(tmp_path: Path) -> None:
    record = runpy.run_path(str(SCRIPT))["main"](["--quick", "--out", str(tmp_path / "record.json")])
    assert record["device"] == torch.cuda.get_device_name()
