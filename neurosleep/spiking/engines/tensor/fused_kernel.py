"""A plastic population over a stretch as one kernel of Triton: it reads what fired only, and writes rows that fired.

One program steps ``LANES`` neurons of one network through all steps, as the engine ``event`` steps a block: nothing
above it has to be known. What other programs read it never writes.
"""

from __future__ import annotations

import triton
import triton.language as tl

__all__ = ["step_and_learn"]


@triton.jit  # type: ignore[untyped-decorator, unused-ignore]
def step_and_learn(  # type: ignore[no-untyped-def]
    weights,  # [networks, pre, post]
    lists,  # int32 [networks, steps, pre]: the sources that fired, as many as counts says
    counts,  # int32 [networks, steps]
    fired,  # int8 [networks, steps, pre]
    currents,  # [networks, steps, post] by three strides
    parameters,  # [7, networks, post]: threshold, decay, leak, reset value, amount, scale, potential
    sent,  # int8 [networks, steps, post]
    current_network,
    current_step,
    current_neuron,
    networks,
    steps,
    pre,
    post,
    inc,
    dec,
    width,
    SUBTRACT: tl.constexpr,
    STRICT: tl.constexpr,
    FACTOR: tl.constexpr,
    LANES: tl.constexpr,
    SOURCES: tl.constexpr,
    ROWS: tl.constexpr,
):
    """What :meth:`Networks._learning` does, of one stream and one plastic projection."""
    n = tl.program_id(0).to(tl.int64)
    j = tl.program_id(1) * LANES + tl.arange(0, LANES)
    inside = j < post
    place = n * post + j
    size = networks.to(tl.int64) * post
    threshold = tl.load(parameters + place, mask=inside, other=0.0)
    decay = tl.load(parameters + size + place, mask=inside, other=0.0)
    leak = tl.load(parameters + 2 * size + place, mask=inside, other=0.0)
    reset = tl.load(parameters + 3 * size + place, mask=inside, other=0.0)
    amount = tl.load(parameters + 4 * size + place, mask=inside, other=0.0)
    scale = tl.load(parameters + 5 * size + place, mask=inside, other=0.0)
    v = tl.load(parameters + 6 * size + place, mask=inside, other=0.0)
    for t in range(steps):
        row = n * steps + t
        arriving = tl.zeros([LANES], dtype=tl.float32)
        count = tl.load(counts + row)
        # Several sources at a time, so that their weights are on the way together.
        for first in range(0, count, SOURCES):
            k = first + tl.arange(0, SOURCES)
            i = tl.load(lists + row * pre + k, mask=k < count, other=0)
            mask = (k < count)[:, None] & inside[None, :]
            w = tl.load(weights + (n * pre + i[:, None]) * post + j[None, :], mask=mask, other=0.0)
            arriving += tl.sum(w, 0)
        base = currents + n * current_network + t * current_step + j * current_neuron
        current = tl.load(base, mask=inside, other=0.0) + scale * arriving
        v = leak + decay * (v - leak) + current
        spiked = (v > threshold) & inside if STRICT else (v >= threshold) & inside
        v = tl.where(spiked, v - amount, v) if SUBTRACT else tl.where(spiked, reset, v)
        tl.store(sent + row * post + j, spiked.to(tl.int8), mask=inside)
        if tl.sum(spiked.to(tl.int32), 0) > 0:
            # All of this program have read what they add up before any of them writes, and none reads before all wrote.
            tl.debug_barrier()
            for first in range(0, pre, ROWS):
                i = first + tl.arange(0, ROWS)
                there = i < pre
                mask = there[:, None] & spiked[None, :]
                at = weights + (n * pre + i[:, None]) * post + j[None, :]
                w = tl.load(at, mask=mask, other=0.0)
                active = tl.load(fired + row * pre + i, mask=there, other=0) != 0
                if FACTOR == 0:
                    g = 2 / (1 + tl.exp(tl.minimum(tl.maximum(w / width, -60.0), 60.0)))
                elif FACTOR == 1:
                    g = 1 / (1 + tl.exp(-w))
                else:
                    g = tl.full([ROWS, LANES], 1.0, tl.float32)
                tl.store(at, tl.where(active[:, None], w + inc * g, w - dec * g), mask=mask)
            tl.debug_barrier()
    tl.store(parameters + 6 * size + place, v, mask=inside)
