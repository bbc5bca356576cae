"""The trained network in NumPy: logit and exact integrated gradients, with the same bits for any batch.

Matrix products are `np.einsum` without optimisation: unlike BLAS it adds the terms of one output in one fixed order,
whatever else is in the batch. Everything else is elementwise or a running sum along one row.

Along the straight line from the baseline (z = 0) to a patient's z, the logit is piecewise linear; it bends where a unit
switches on or off. The integral of its gradient is therefore a finite sum: for each pair of units of the two hidden
layers, the share of the line on which both are on. No step count, no sampling error (Sundararajan et al. 2017).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
CHUNK_ROWS = 8
"""Rows worked on at once, so that the intermediates stay in the processor's cache. It changes no bit."""


@dataclass(frozen=True)
class Network:
    """Two hidden ReLU layers and one output. Shapes: w1 [a, f], b1 [a], w2 [b, a], b2 [b], w3 [b], b3 scalar."""

    w1: Float
    b1: Float
    w2: Float
    b2: Float
    w3: Float
    b3: float
    w1_by_feature: Float = field(init=False, repr=False, compare=False)
    joint: Float = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        a, b = len(self.b1), len(self.b2)
        if self.w1.ndim != 2 or self.w1.shape[0] != a or self.w2.shape != (b, a) or self.w3.shape != (b,):
            raise ValueError(
                f"The layers do not fit together: {self.w1.shape}, {a}, {self.w2.shape}, {b}, {self.w3.shape}."
            )
        if not all(np.isfinite(part).all() for part in (self.w1, self.b1, self.w2, self.b2, self.w3, self.b3)):
            raise ValueError("A weight of the network is not a finite number.")
        # contiguous copies made once: einsum's order of adding follows the memory layout
        object.__setattr__(self, "w1_by_feature", np.ascontiguousarray(self.w1.T))
        object.__setattr__(self, "joint", np.ascontiguousarray((self.w2 * self.w3[:, None]).T))

    @classmethod
    def of(cls, weights: Mapping[str, NDArray[np.floating[Any]]]) -> Network:
        """The network of stored tensors `w1`, `b1`, `w2`, `b2`, `w3`, `b3`, in float64."""
        part = {name: np.asarray(value, dtype=np.float64) for name, value in weights.items()}
        return cls(part["w1"], part["b1"], part["w2"], part["b2"], part["w3"].reshape(-1), float(part["b3"][0]))

    def logit(self, z: Float) -> Float:
        """Logit [n] of standardised inputs z [n, f]."""
        z = np.ascontiguousarray(z, dtype=np.float64)
        first = np.maximum(np.einsum("nf,af->na", z, self.w1) + self.b1, 0.0)
        second = np.maximum(np.einsum("na,ba->nb", first, self.w2) + self.b2, 0.0)
        return np.asarray(np.einsum("nb,b->n", second, self.w3) + self.b3)

    def attribute(self, z: Float) -> Float:
        """Integrated gradients [n, f] of the logit from z = 0; a row adds up to logit(z) − logit(0), but for rounding."""
        z = np.ascontiguousarray(z, dtype=np.float64)
        out = np.empty_like(z)
        for start in range(0, len(z), CHUNK_ROWS):
            part = z[start : start + CHUNK_ROWS]
            out[start : start + CHUNK_ROWS] = part * self._mean_gradient(part)
        return out

    def _mean_gradient(self, z: Float) -> Float:
        """The mean gradient of the logit over the line from 0 to z, [n, f]."""
        n, a, b = len(z), len(self.b1), len(self.b2)
        slope = np.einsum("nf,af->na", z, self.w1)  # first layer on the line: b1 + t × slope
        with np.errstate(divide="ignore", invalid="ignore"):
            bend = -self.b1 / slope
        bends = (bend > 0.0) & (bend < 1.0)
        bend = np.where(bends, bend, 1.0)
        starts_on = (self.b1 > 0.0) | ((self.b1 == 0.0) & (slope > 0.0))  # just after t = 0
        order = np.argsort(bend, axis=1, kind="stable")
        rows = np.arange(n)[:, None]
        t = np.zeros((n, a + 2))
        t[:, 1:-1] = bend[rows, order]
        t[:, -1] = 1.0
        length = t[:, 1:] - t[:, :-1]  # [n, a+1] intervals on which no unit of the first layer switches

        # second layer: value at 0, and its slope in each interval (each bend adds or removes one unit's share)
        at_zero = np.einsum("a,ba->b", np.maximum(self.b1, 0.0), self.w2) + self.b2
        first_slope = np.einsum("na,ba->nb", np.where(starts_on, slope, 0.0), self.w2)
        sign = np.where(bends, np.where(starts_on, -1.0, 1.0), 0.0) * slope
        steps = np.empty((n, a + 1, b))
        steps[:, 0] = first_slope
        np.multiply(self.w2.T[order], sign[rows, order][:, :, None], out=steps[:, 1:])
        np.cumsum(steps, axis=1, out=steps)  # now: slope of the second layer in each interval
        ends = np.empty((n, a + 2, b))
        ends[:, 0] = at_zero
        np.multiply(steps, length[:, :, None], out=ends[:, 1:])
        np.cumsum(ends, axis=1, out=ends)  # now: value at each t

        # share of each interval on which a second-layer unit is on: linear in between, so clip(high / (high − low))
        low, high = ends[:, :-1], ends[:, 1:]
        span = np.abs(low) + np.abs(high)
        active = np.maximum(low, 0.0) + np.maximum(high, 0.0)
        np.divide(active, span, out=active, where=span > 0.0)
        on = np.empty((n, a + 2, b))
        on[:, 0] = 0.0
        np.multiply(active, length[:, :, None], out=on[:, 1:])
        np.cumsum(on, axis=1, out=on)  # now: time on, up to each t

        # time both are on: a first-layer unit is on before its bend or after it
        place = np.empty_like(order)
        place[rows, order] = np.arange(1, a + 1)
        until = on[rows, place]  # [n, a, b]
        total = on[:, -1][:, None, :]
        both = np.where(bends[:, :, None], np.where(starts_on[:, :, None], until, total - until), 0.0)
        always = starts_on & ~bends
        both = np.where(always[:, :, None], total, both)
        reach = np.einsum("nab,ab->na", both, self.joint)
        return np.asarray(np.einsum("na,fa->nf", reach, self.w1_by_feature))
