"""Welch's test without SciPy, against closed forms, the printed table, and SciPy where it is installed."""

from __future__ import annotations

import math

import numpy as np
import pytest

from neurosleep.analysis import incomplete_beta, paired_test, welch_test
from neurosleep.errors import SettingsError


def two_sided(t: float, df: float) -> float:
    return incomplete_beta(df / 2, 0.5, df / (df + t * t))


def test_closed_forms() -> None:
    for t in (1e-6, 0.01, 0.3, 1.0, 2.5, 40.0, 1e4):
        # One degree of freedom is the Cauchy distribution, two have an algebraic distribution function.
        assert two_sided(t, 1) == pytest.approx(2 / math.pi * math.atan(1 / t), rel=1e-9)
        expected = 2 / (2 + t * t) / (1 + t / math.sqrt(2 + t * t))
        assert two_sided(t, 2) == pytest.approx(expected, rel=1e-9)
        # Very many are the normal distribution.
        if t < 5:
            assert two_sided(t, 1e9) == pytest.approx(math.erfc(t / math.sqrt(2)), rel=1e-5)
    for x in (0.0, 0.2, 0.5, 0.99, 1.0):
        assert incomplete_beta(1, 1, x) == pytest.approx(x)
        assert incomplete_beta(3, 1, x) == pytest.approx(x**3)
        assert incomplete_beta(1, 4, x) == pytest.approx(1 - (1 - x) ** 4)
        assert incomplete_beta(2.5, 7, x) == pytest.approx(1 - incomplete_beta(7, 2.5, 1 - x))


@pytest.mark.parametrize(("df", "t"), [(3, 3.182), (10, 2.228), (30, 2.042), (120, 1.980)])
def test_printed_table_of_five_percent(df: float, t: float) -> None:
    assert two_sided(t, df) == pytest.approx(0.05, abs=5e-5)


def test_binomial_sums() -> None:
    # I_p(k, n - k + 1) is the chance of at least k successes in n trials.
    for n, k, p in ((10, 3, 0.2), (40, 35, 0.7), (200, 120, 0.5)):
        tail = sum(math.comb(n, j) * p**j * (1 - p) ** (n - j) for j in range(k, n + 1))
        assert incomplete_beta(k, n - k + 1, p) == pytest.approx(tail, rel=1e-11)


def test_definition() -> None:
    generator = np.random.default_rng(3)
    a, b = generator.normal(1, 2, size=15), generator.normal(0, 0.5, size=9)
    t, df, p = welch_test(a, b)
    u, v = a.var(ddof=1) / 15, b.var(ddof=1) / 9
    assert t == pytest.approx((a.mean() - b.mean()) / math.sqrt(u + v))
    assert df == pytest.approx((u + v) ** 2 / (u**2 / 14 + v**2 / 8))
    assert p == pytest.approx(two_sided(t, df))
    assert welch_test(b, a).t == pytest.approx(-t) and welch_test(b, a).p == pytest.approx(p)
    assert welch_test(1e-9 * a, 1e-9 * b).p == pytest.approx(p)
    assert welch_test(a + 5, b + 5).p == pytest.approx(p)


def test_of_pairs() -> None:
    generator = np.random.default_rng(4)
    a, b = generator.normal(1, 2, size=12), generator.normal(0, 2, size=12)
    t, df, p = paired_test(a, b)
    d = a - b
    assert (t, df) == (pytest.approx(d.mean() / (d.std(ddof=1) / math.sqrt(12))), 11)
    assert p == pytest.approx(two_sided(t, 11)) and paired_test(b, a) == pytest.approx((-t, 11, p))
    # What is common to a pair does not count.
    common = generator.normal(0, 50, size=12)
    assert paired_test(a + common, b + common).p == pytest.approx(p)
    assert paired_test(np.array([0.3, 0.5, 0.9]), np.array([0.1, 0.3, 0.7])) == (math.inf, 2, 0.0)
    for few in (paired_test(a[:1], b[:1]), paired_test(a, a)):
        assert all(math.isnan(value) for value in few)
    with pytest.raises(SettingsError, match="not pairs"):
        paired_test(a, b[:3])


def test_limits() -> None:
    constant = np.full(7, 0.1)
    assert all(math.isnan(value) for value in welch_test(constant, constant[:5]))
    assert welch_test(constant, constant + 1)[::2] == (-math.inf, 0.0)
    assert all(math.isnan(value) for value in welch_test(np.array([1.0]), constant))
    assert all(math.isnan(value) for value in welch_test(np.array([]), constant))
    for wrong in ((0, 1, 0.5), (1, 1, 1.5), (1, 1, math.nan)):
        with pytest.raises(SettingsError):
            incomplete_beta(*wrong)


def test_equal_means_give_even_p_values() -> None:
    generator = np.random.default_rng(5)
    p = [welch_test(generator.normal(size=12), 3 * generator.normal(size=20)).p for _ in range(1000)]
    assert np.mean(np.array(p) < 0.05) == pytest.approx(0.05, abs=0.02)
    assert np.mean(p) == pytest.approx(0.5, abs=0.03)


def test_against_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    special = pytest.importorskip("scipy.special")
    generator = np.random.default_rng(1)
    for _ in range(300):
        a, b = (
            generator.normal(size=generator.integers(2, 50)),
            2 + 3 * generator.normal(size=generator.integers(2, 900)),
        )
        expected = stats.ttest_ind(a, b, equal_var=False)
        found = welch_test(a, b)
        assert found.t == pytest.approx(expected.statistic) and found.df == pytest.approx(expected.df)
        assert found.p == pytest.approx(expected.pvalue, rel=1e-9, abs=1e-300)
        u, v, x = 10 ** generator.uniform(-2, 4), 10 ** generator.uniform(-2, 4), generator.random()
        assert incomplete_beta(u, v, x) == pytest.approx(special.betainc(u, v, x), rel=1e-8, abs=1e-14)
