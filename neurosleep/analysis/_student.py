"""Student's t: a two-sample test without SciPy, which is no dependency of the core."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from neurosleep.errors import SettingsError

__all__ = ["TTest", "incomplete_beta", "paired_test", "welch_test"]


class TTest(NamedTuple):
    """Statistic, degrees of freedom and two-sided p-value.

    See Also
    --------
    welch_test : which gives it

    Examples
    --------
    >>> import numpy as np
    >>> from neurosleep.analysis import welch_test
    >>> result = welch_test(np.array([1.0, 2.0, 3.0]), np.array([2.0, 3.0, 4.0]))
    >>> round(result.p, 3)
    0.288
    """

    t: float
    df: float
    p: float


def welch_test(a: NDArray[np.float64], b: NDArray[np.float64]) -> TTest:
    r"""Whether two samples have different means, their variances not being assumed equal.

    .. math::  t = \frac{\bar a - \bar b}{\sqrt{s_a^2/n_a + s_b^2/n_b}}, \qquad
               p = I_{\nu/(\nu + t^2)}(\nu/2, 1/2)

    with Satterthwaite's degrees of freedom :math:`\nu`. NaN where a sample has fewer than two values, or where both are
    the same constant; two different constants give p = 0.

    See Also
    --------
    TTest : what it gives
    task_specific_firing : which makes one for each class

    References
    ----------
    Welch (1947), doi:10.1093/biomet/34.1-2.28.

    Examples
    --------
    >>> import numpy as np
    >>> from neurosleep.analysis import welch_test
    >>> result = welch_test(np.array([1.0, 2.0, 3.0]), np.array([2.0, 3.0, 4.0]))
    >>> round(result.t, 3), round(result.df, 3), round(result.p, 3)
    (-1.225, 4.0, 0.288)
    """
    if len(a) < 2 or len(b) < 2:
        return TTest(math.nan, math.nan, math.nan)
    difference = float(a.mean() - b.mean())
    # The mean of equal numbers may differ from them in the last bit, and so give a variance where there is none.
    u, v = (0.0 if s.min() == s.max() else float(s.var(ddof=1)) / len(s) for s in (a, b))
    if u + v == 0:
        apart = float(a[0] - b[0])
        return TTest(math.copysign(math.inf, apart), math.nan, 0.0) if apart else TTest(math.nan, math.nan, math.nan)
    # In parts of the whole, since the squares of very small variances vanish.
    share = u / (u + v)
    df = 1 / (share**2 / (len(a) - 1) + (1 - share) ** 2 / (len(b) - 1))
    t = difference / math.sqrt(u + v)
    return TTest(t, df, incomplete_beta(df / 2, 0.5, df / (df + t * t)))


def paired_test(a: NDArray[np.float64], b: NDArray[np.float64]) -> TTest:
    r"""Whether the differences of two samples of pairs, such as two methods on equal seeds, have a mean other than 0.

    .. math::  t = \frac{\bar d}{s_d/\sqrt n}, \qquad p = I_{\nu/(\nu + t^2)}(\nu/2, 1/2), \qquad \nu = n - 1

    with the differences :math:`d = a - b`. NaN of fewer than two pairs, or where all differences are 0; the same
    difference in each pair gives p = 0.

    Raises
    ------
    SettingsError
        If the samples have different lengths.

    See Also
    --------
    welch_test : of samples that are not paired

    References
    ----------
    Student (1908), doi:10.1093/biomet/6.1.1.

    Examples
    --------
    >>> import numpy as np
    >>> from neurosleep.analysis import paired_test
    >>> result = paired_test(np.array([0.60, 0.58, 0.63]), np.array([0.41, 0.36, 0.47]))
    >>> round(result.t, 2), result.df, round(result.p, 4)
    (10.97, 2, 0.0082)
    """
    if len(a) != len(b):
        raise SettingsError("The samples are not pairs.", found=f"{len(a)} and {len(b)} values", expected="as many")
    d, n = np.asarray(a) - np.asarray(b), len(a)
    if n < 2 or not d.any():
        return TTest(math.nan, math.nan, math.nan)
    # Equal differences may differ in their last bits, those of the numbers that they are of.
    spread = float(d.std(ddof=1))
    if spread <= 4 * np.finfo(float).eps * float(np.abs(np.concatenate([a, b])).max()):
        return TTest(math.copysign(math.inf, float(d.mean())), n - 1, 0.0)
    t = float(d.mean()) / (spread / math.sqrt(n))
    return TTest(t, n - 1, incomplete_beta((n - 1) / 2, 0.5, (n - 1) / (n - 1 + t * t)))


def incomplete_beta(a: float, b: float, x: float) -> float:
    r"""The regularised incomplete beta function :math:`I_x(a, b)`, for a, b > 0 and x from 0 to 1.

    Its continued fraction by Lentz's method, on the side where it converges fast (relative error below 1e-11 for
    a and b up to 1e5).

    See Also
    --------
    welch_test : which needs it

    References
    ----------
    Abramowitz and Stegun (1964), 26.5.8; Press et al., Numerical Recipes, section 6.4.

    Examples
    --------
    >>> from neurosleep.analysis import incomplete_beta
    >>> round(incomplete_beta(2.0, 2.0, 0.5), 6)
    0.5
    """
    if not (a > 0 and b > 0 and 0 <= x <= 1):
        raise SettingsError(
            f"I_x(a, b) is not defined for a={a!r}, b={b!r}, x={x!r}.", expected="a, b > 0, 0 <= x <= 1"
        )
    if x in (0.0, 1.0):
        return x
    if x > (a + 1) / (a + b + 2):
        return 1 - incomplete_beta(b, a, 1 - x)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)) / a
    tiny = 1e-300
    fraction = c = 1.0
    d = 0.0
    for k in range(10_000):
        m = k // 2
        if k == 0:
            term = 1.0
        elif k % 2 == 0:
            term = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        else:
            term = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d = 1 / (1 + term * d or tiny)
        c = 1 + term / c or tiny
        fraction *= c * d
        if abs(1 - c * d) < 1e-15:
            break
    return front * (fraction - 1)
