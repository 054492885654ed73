"""The shapes of values that nodes make which the reader does not know: for a check of the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnx import ModelProto

__all__ = ["inferred_shapes"]


def inferred_shapes(model: ModelProto, source: str, shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """Shapes, without the batch, by the name of the value, where onnx infers them; that of ``source`` is ``shape``."""
    from onnx import ModelProto, shape_inference

    copy = ModelProto()
    copy.CopyFrom(model)
    for entry in copy.graph.input:
        if entry.name == source:
            for dim, size in zip(entry.type.tensor_type.shape.dim, (1, *shape), strict=False):
                dim.dim_value = size
    del copy.graph.value_info[:]
    try:
        inferred = shape_inference.infer_shapes(copy, data_prop=True)
    except Exception:  # the library raises classes of its own where a graph contradicts itself
        return {}
    shapes = {}
    for entry in (*inferred.graph.value_info, *inferred.graph.output):
        sizes = [dim.dim_value if dim.HasField("dim_value") else 0 for dim in entry.type.tensor_type.shape.dim]
        if len(sizes) > 1 and all(size > 0 for size in sizes[1:]):
            shapes[entry.name] = tuple(sizes[1:])
    return shapes
