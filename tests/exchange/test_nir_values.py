"""Values that cannot be, in every field of every kind of node of NIR: an error that names the node, or a network."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurosleep.errors import ExchangeError, NeurosleepError
from neurosleep.exchange import ExchangeWarning, from_nir, read_nir

nir = pytest.importorskip("nir")
h5py = pytest.importorskip("h5py")

ONES = np.ones(3, np.float32)
W = np.ones((3, 3), np.float32)
KERNEL = np.ones((1, 1, 2, 2), np.float32)
NODES: dict[str, tuple[Callable[[], Any], tuple[int, ...]]] = {
    "LIF": (lambda: nir.LIF(tau=ONES, r=ONES, v_leak=0 * ONES, v_threshold=ONES, v_reset=0 * ONES), (3,)),
    "IF": (lambda: nir.IF(r=ONES, v_threshold=ONES, v_reset=0 * ONES), (3,)),
    "LI": (lambda: nir.LI(tau=ONES, r=ONES, v_leak=0 * ONES), (3,)),
    "I": (lambda: nir.I(r=ONES), (3,)),
    "CubaLIF": (
        lambda: nir.CubaLIF(
            tau_syn=ONES, tau_mem=ONES, r=ONES, v_leak=0 * ONES, v_threshold=ONES, v_reset=0 * ONES, w_in=ONES
        ),
        (3,),
    ),
    "Threshold": (lambda: nir.Threshold(threshold=ONES), (3,)),
    "Linear": (lambda: nir.Linear(weight=W), (3,)),
    "Affine": (lambda: nir.Affine(weight=W, bias=ONES), (3,)),
    "Scale": (lambda: nir.Scale(scale=ONES), (3,)),
    "Delay": (lambda: nir.Delay(delay=ONES / 1000), (3,)),
    "Conv1d": (
        lambda: nir.Conv1d(
            input_shape=5,
            weight=KERNEL[..., 0],
            stride=1,
            padding=0,
            dilation=1,
            groups=1,
            bias=np.ones(1),
        ),
        (1, 5),
    ),
    "Conv2d": (
        lambda: nir.Conv2d(
            input_shape=(5, 5), weight=KERNEL, stride=1, padding=0, dilation=1, groups=1, bias=np.ones(1)
        ),
        (1, 5, 5),
    ),
    "SumPool2d": (
        lambda: nir.SumPool2d(kernel_size=np.array([2, 2]), stride=np.array([2, 2]), padding=np.array([0, 0])),
        (1, 4, 4),
    ),
    "AvgPool2d": (
        lambda: nir.AvgPool2d(kernel_size=np.array([2, 2]), stride=np.array([2, 2]), padding=np.array([0, 0])),
        (1, 4, 4),
    ),
    "Flatten": (
        lambda: nir.Flatten(input_type={"input": np.array([1, 2, 2])}, start_dim=1, end_dim=-1),
        (1, 2, 2),
    ),
}
FIELDS = [
    (kind, field)
    for kind, (make, _) in NODES.items()
    for field in vars(make())
    if field not in ("input_type", "output_type", "metadata", "input_shape", "start_dim", "end_dim")
]
BAD: dict[str, Any] = {
    "infinite": np.float64(np.inf),
    "minus infinite": np.full(3, -np.inf),
    "NaN": np.full(3, np.nan, np.float32),
    "NaN at one place": np.array([1, np.nan, 1]),
    "nothing": np.zeros(0),
    "no rows": np.zeros((0, 3)),
    "four axes": np.ones((3, 1, 1, 2)),
    "too many": np.ones(7),
    "text": "three",
    "bytes": b"three",
    "texts": np.array(["a", "b", "c"]),
    "none": None,
    "an object": np.array([{}, {}, {}], dtype=object),
    "complex": np.full(3, 1j),
    "negative": -np.ones(3),
    "huge": np.full(3, 1e300),
    "huge whole": np.array([2**62, 2**62, 2**62]),
    "half": np.array([0.5, 0.5]),
    "a list": [[1], [1, 2]],
}


def tried(node: Any, shape: tuple[int, ...]) -> None:
    """Read it between an input and an output: a network, or an error that names the node."""
    head = nir.Input(input_type={"input": np.array(shape)})
    tail = nir.Output(output_type={"output": np.array(shape)})
    graph = nir.NIRGraph(
        nodes={"in": head, "here": node, "out": tail}, edges=[("in", "here"), ("here", "out")], type_check=False
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", ExchangeWarning)
        try:
            network = from_nir(graph, dt=1e-3)
        except NeurosleepError as error:
            assert "here" in str(error), error
            assert len(str(error)) < 1500
            return
    for weight in network.weights:
        assert np.isfinite(weight.numpy()).all()


@pytest.mark.parametrize(("kind", "field"), FIELDS)
def test_values_that_cannot_be(kind: str, field: str) -> None:
    make, shape = NODES[kind]
    tried(make(), shape)
    for value in BAD.values():
        node = make()
        object.__setattr__(node, field, value)
        tried(node, shape)


@pytest.mark.parametrize("value", [np.array([np.nan]), np.array([0]), np.array([2**40]), np.array([]), "x", None])
def test_inputs_of_shapes_that_cannot_be(value: Any) -> None:
    head = nir.Input(input_type={"input": np.array([3])})
    head.input_type = {"input": value}
    graph = nir.NIRGraph(nodes={"here": head, "lif": NODES["LIF"][0]()}, edges=[("here", "lif")], type_check=False)
    with pytest.raises(ExchangeError, match="here"):
        from_nir(graph, dt=1e-3)


@pytest.mark.parametrize("value", ["infinite", "NaN", "nothing", "text", "texts", "complex", "four axes"])
def test_errors_name_the_file_and_the_node(value: str, tmp_path: Path) -> None:
    nodes = {"in": nir.Input(input_type={"input": np.array([3])}), "here": NODES["LIF"][0]()}
    path = tmp_path / "net.nir"
    nir.write(path, nir.NIRGraph(nodes=nodes, edges=[("in", "here")], type_check=False))
    with h5py.File(path, "a") as file:
        del file["node/nodes/here/tau"]
        bad = BAD[value]
        file["node/nodes/here/tau"] = bad.astype("S1") if value == "texts" else bad
    with pytest.raises(ExchangeError) as caught:
        read_nir(path, dt=1e-3)
    assert "net.nir" in caught.value.message and "here" in caught.value.message
