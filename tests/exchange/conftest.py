"""Every ONNX file that these tests write is opened with onnxruntime, which must give the model's own numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest
import torch
from torch import nn


@pytest.fixture(autouse=True)
def in_onnxruntime(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The sizes of the files compared so far."""
    compared: list[int] = []
    try:
        import onnx
        import onnxruntime
    except ImportError:  # the tests that need them say so
        yield compared
        return
    from neurosleep.exchange.onnx import write as _onnx_write

    write = _onnx_write.onnx_bytes

    def written(model: nn.Module, input_shape: Sequence[int] | None = None) -> bytes:
        content = write(model, input_shape)
        compared.append(len(content))
        kind = onnx.load_from_string(content).graph.input[0].type.tensor_type
        shape = (3, *(dim.dim_value for dim in kind.shape.dim[1:]))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        draw = np.random.default_rng(len(content))
        x = draw.standard_normal(shape).astype(np.float32 if kind.elem_type == 1 else np.float64)
        found = session.run(None, {session.get_inputs()[0].name: x})[0]
        training = {module: module.training for module in model.modules()}
        with torch.no_grad():
            expected = model.eval()(torch.from_numpy(x)).numpy()
        for module, mode in training.items():
            module.training = mode
        assert found.dtype == expected.dtype and found.shape == expected.shape
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
        return content

    monkeypatch.setattr(_onnx_write, "onnx_bytes", written)
    yield compared
