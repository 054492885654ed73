"""The kernel of Triton for sleep: in Triton's interpreter as the reference; compiled for GPUs; left where it fails."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from neurosleep.errors import NeurosleepWarning
from neurosleep.functional import PairSTDP, SRCRule
from neurosleep.spiking.engines.tensor import fused

SCRIPT = Path(__file__).with_name("fused_on_cpu.py")


@pytest.fixture(autouse=True)
def looked_at_anew() -> Iterator[None]:
    fused._trouble.cache_clear()
    yield
    fused._trouble.cache_clear()


def test_it_spikes_and_learns_as_the_reference() -> None:
    pytest.importorskip("triton")
    environment = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, str(SCRIPT)], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout.strip() == "equal", done.stderr[-2000:]


def test_it_compiles_for_gpus() -> None:
    pytest.importorskip("triton")
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource, compile

    from neurosleep.spiking.engines.tensor.fused_kernel import step_and_learn

    kinds = {"lists": "*i32", "counts": "*i32", "fired": "*i8", "sent": "*i8", "inc": "fp32", "dec": "fp32"}
    kinds |= {"weights": "*fp32", "currents": "*fp32", "parameters": "*fp32", "width": "fp32"}
    names: list[str] = step_and_learn.arg_names
    for factor in range(3):
        fixed: dict[str, Any] = {"SUBTRACT": True, "STRICT": False, "FACTOR": factor, "LANES": 32}
        fixed |= {"SOURCES": 16, "ROWS": 32}
        types = {name: "constexpr" if name in fixed else kinds.get(name, "i32") for name in names}
        constants = {(names.index(name),): value for name, value in fixed.items()}
        made = compile(
            ASTSource(fn=step_and_learn, signature=types, constexprs=constants),
            target=GPUTarget("cuda", 90, 32),
            options={"num_warps": 1},
        )
        assert "step_and_learn" in made.asm["ptx"] and len(made.asm["cubin"]) > 1000


def test_what_it_does_not_know_is_left_to_the_plain_operations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused, "_trouble", lambda device: None)
    assert not fused.fuses(SRCRule(0.1, 0.1), torch.float32, 1, "cpu")
    monkeypatch.setattr(fused, "_compiles_for", lambda device: True)
    assert fused.fuses(SRCRule(0.1, 0.1), torch.float32, 1, "cuda")
    assert not fused.fuses(SRCRule(0.1, 0.1), torch.float64, 1, "cuda")
    assert not fused.fuses(SRCRule(0.1, 0.1), torch.float32, 2, "cuda")
    assert not fused.fuses(PairSTDP(0.1, 0.1), torch.float32, 1, "cuda")
    assert not fused.fuses(None, torch.float32, 1, "cuda")


@pytest.mark.parametrize(("right", "why"), [(False, "something else there"), (OSError("no compiler"), "no compiler")])
def test_where_it_fails_it_is_left_with_a_warning(right: Any, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def is_right(device: str) -> bool:
        if isinstance(right, Exception):
            raise right
        return bool(right)

    monkeypatch.setattr(fused, "_compiles_for", lambda device: True)
    monkeypatch.setattr(fused, "_is_right", is_right)
    with pytest.warns(NeurosleepWarning, match=why):
        assert not fused.fuses(SRCRule(0.1, 0.1), torch.float32, 1, "cuda")
