"""Energy by the conventions that the literature uses: several numbers for one activity, and none where a chip has none.

They differ by orders of magnitude between conventions; a quotient before and after tells more than any of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from neurosleep._shown import brief, html_table, short_line, to_frame
from neurosleep.hardware.energy.activity import Activity
from neurosleep.hardware.energy.chip_time import ChipTime
from neurosleep.hardware.profiles.profile import Energy, Figure, HardwareProfile

__all__ = [
    "STATEMENT",
    "Convention",
    "EnergyEstimate",
    "coefficients",
    "energy_text",
    "estimate_energy",
    "figure_json",
]

STATEMENT = "estimate from a profile, not a chip"

_BASES = {
    "silicon": "coefficients were measured on silicon",
    "pre_silicon": "coefficients come from a simulation before there was silicon",
    "fitted_simulator": "coefficients are those of a simulator fitted to silicon",
    "estimate": "coefficients are estimates",
}
# A milliwatt is 10^9 picojoules a second.
_PJ_PER_MW_S = 1e9


@dataclass(frozen=True)
class Convention:
    """One way to count.

    Attributes
    ----------
    name, meaning:
        Its name here, and what it adds up.
    joules:
        The sum; None, to be read as not estimated, where something is not known.
    reason:
        What is not known, where ``joules`` is None.

    See Also
    --------
    EnergyEstimate : the estimate by every convention

    Examples
    --------
    >>> from neurosleep import load_profile
    >>> from neurosleep.hardware import Activity, estimate_energy
    >>> estimate = estimate_energy(load_profile("loihi1"), Activity(1000.0))
    >>> convention = estimate.conventions[0]
    >>> convention.name, convention.joules
    ('synaptic', 2.36e-08)
    """

    name: str
    meaning: str
    joules: float | None
    reason: str | None = None

    __repr__ = brief


@dataclass(frozen=True)
class EnergyEstimate:
    """An estimate from a profile, not a chip.

    Attributes
    ----------
    profile, basis, status:
        Name of the profile, where its coefficients come from, and whether they are public.
    activity:
        What was counted, over all samples; energies are of all of them too.
    conventions:
        Every convention there is, with its joules or why there are none. Learning is in none of them.
    terms:
        Joules of each part by itself; None where its coefficient is not known.
    sources:
        The coefficients, each with its source and grade.
    caveats:
        What to know with each of these numbers.
    time:
        Time on the chip, where a recording was given.
    spread:
        The least and the most that any convention gives for a single sample, where there are several.

    See Also
    --------
    energy_of : makes it of a recording
    estimate_energy : makes it of numbers

    Examples
    --------
    >>> from neurosleep import load_profile
    >>> from neurosleep.hardware import Activity, estimate_energy
    >>> estimate = estimate_energy(load_profile("loihi1"), Activity(1000.0))
    >>> estimate
    <EnergyEstimate: 23.6 nJ to 27.1 nJ a sample on 'loihi1', 7 conventions>
    """

    profile: str
    status: str | None
    basis: str | None
    activity: Activity
    conventions: tuple[Convention, ...]
    terms: dict[str, float | None]
    sources: tuple[Figure, ...]
    caveats: tuple[str, ...]
    time: ChipTime | None = None
    spread: tuple[float, float] | None = None

    @property
    def estimated(self) -> bool:
        """Whether any convention gives a number."""
        return any(convention.joules is not None for convention in self.conventions)

    @property
    def interval(self) -> tuple[float, float] | None:
        """The least and the most of all conventions that give a number, in joules; None: not estimated."""
        joules = [convention.joules for convention in self.conventions if convention.joules is not None]
        return (min(joules), max(joules)) if joules else None

    @property
    def reason(self) -> str | None:
        """Why nothing is estimated."""
        if self.estimated:
            return None
        return "; ".join(f"{c.name}: {c.reason}" for c in self.conventions)

    def joules(self, convention: str) -> float | None:
        """Joules by one convention."""
        return next(c.joules for c in self.conventions if c.name == convention)

    def over(self, other: EnergyEstimate) -> dict[str, float | None]:
        """The energy of a sample over that of the other, by each convention: before and after, on one profile.

        A quotient tells more than joules: what is wrong with a coefficient is wrong on both sides. None where one of
        them is not estimated, or the other is 0.
        """
        n, m = self.activity.samples, other.activity.samples
        pairs = {c.name: (c.joules, other.joules(c.name)) for c in self.conventions}
        return {name: a / n / (b / m) if a is not None and b else None for name, (a, b) in pairs.items()}

    def to_json(self) -> dict[str, Any]:
        """Everything, of plain lists, names and numbers; energies are those of one sample."""
        n = self.activity.samples

        def each(joules: float | None) -> float | None:
            return None if joules is None else joules / n

        span = self.interval
        return {
            "statement": STATEMENT,
            "estimate": None if span is None else {"low": span[0] / n, "high": span[1] / n},
            "spread": None if self.spread is None else dict(zip(("low", "high"), self.spread, strict=True)),
            "unit": "joules a sample",
            "reason": self.reason,
            "conventions": [
                {"name": c.name, "meaning": c.meaning, "joules": each(c.joules), "reason": c.reason}
                for c in self.conventions
            ],
            "terms": {name: each(joules) for name, joules in self.terms.items()},
            "status": self.status,
            "basis": self.basis,
            "coefficients": [figure_json(figure) for figure in self.sources],
            "caveats": list(self.caveats),
            "activity": self.activity.to_json(),
            "time": None if self.time is None else self.time.to_json(),
        }

    def __repr__(self) -> str:
        span, n = self.interval, self.activity.samples
        total = "not estimated" if span is None else f"{_si(span[0] / n)} to {_si(span[1] / n)} a sample"
        return short_line(f"<EnergyEstimate: {total} on {self.profile!r}, {len(self.conventions)} conventions>")

    def _repr_html_(self) -> str:
        """One row per convention."""
        return html_table(self.rows(), f"Energy on {self.profile}: {STATEMENT}")

    def rows(self) -> list[dict[str, Any]]:
        """One row per convention: its name, what it means, joules a sample, and why where there is no number."""
        conventions: list[dict[str, Any]] = self.to_json()["conventions"]
        return conventions

    def to_pandas(self) -> Any:
        """The rows as a ``pandas.DataFrame`` (extra ``pandas``)."""
        return to_frame(self.rows())

    def __str__(self) -> str:
        """The interval, every convention, and all caveats."""
        return energy_text(self.profile, self.to_json())


def energy_text(profile: str, energy: Mapping[str, Any]) -> str:
    """An estimate as :meth:`EnergyEstimate.to_json` or a mapping's report holds it, in lines.

    See Also
    --------
    EnergyEstimate : whose JSON it takes

    Examples
    --------
    >>> from neurosleep import load_profile
    >>> from neurosleep.hardware import Activity, energy_text, estimate_energy
    >>> estimate = estimate_energy(load_profile("loihi1"), Activity(1000.0))
    >>> print(energy_text("loihi1", estimate.to_json()).splitlines()[0])
    Energy on loihi1: 23.6 nJ to 27.1 nJ (estimate from a profile, not a chip)
    """
    span = energy["estimate"]
    total = "not estimated" if span is None else f"{_si(span['low'])} to {_si(span['high'])}"
    activity = energy.get("activity")
    if span is not None and activity is not None and activity["samples"] > 1:
        total += f" a sample (mean of {activity['samples']})"
    lines = [f"Energy on {profile}: {total} ({energy['statement']})"]
    conventions = energy.get("conventions", ())
    for c in conventions:
        value = f"not estimated: {c['reason']}" if c["joules"] is None else _si(c["joules"])
        lines.append(f"  {c['name']} ({c['meaning']}): {value}")
    if not conventions:
        lines.append(f"  {energy['reason']}")
        known = [f"{figure['key']} {figure['value']:g} ({figure['grade']})" for figure in energy["coefficients"]]
        lines.append(f"  coefficients: {', '.join(known) or 'none'}")
    if activity is not None:
        n = activity["samples"]
        lines.append(
            f"  counted: {activity['synaptic_events'] / n:.4g} synaptic events, {activity['spikes'] / n:.4g} spikes, "
            f"{round(activity['active_updates'] / n, 1):.6g} updates with input, "
            f"{round(activity['inactive_updates'] / n, 1):.6g} without"
        )
        if activity["learning_updates"]:
            learning = energy["terms"]["learning"]
            joules = "energy not estimated" if learning is None else _si(learning)
            lines.append(f"  learning, besides: {activity['learning_updates'] / n:.4g} changes of synapses, {joules}")
    if energy.get("time") is not None:
        lines.append(f"  time on the chip: {energy['time']['seconds_per_sample']:.4g} s a sample")
    return "\n".join([*lines, *(f"  - {caveat}" for caveat in energy.get("caveats", ()))])


def _si(joules: float) -> str:
    for unit, size in (("J", 1.0), ("mJ", 1e-3), ("µJ", 1e-6), ("nJ", 1e-9)):
        if joules >= size:
            return f"{joules / size:.4g} {unit}"
    return f"{joules / 1e-12:.4g} pJ"


def figure_json(figure: Figure) -> dict[str, Any]:
    """A figure with its source and grade."""
    source = figure.source
    return {
        "key": figure.key,
        "value": figure.value,
        "citation": None if source is None else source.citation,
        "year": None if source is None else source.year,
        "grade": None if source is None else source.grade,
    }


def coefficients(profile: HardwareProfile) -> tuple[Figure, ...]:
    """The figures that an energy is made of, each with its source."""
    return tuple(f for f in profile.figures() if f.key.startswith("energy.") and isinstance(f.value, float))


@dataclass(frozen=True)
class _Counted:
    """Picojoules of each part, or None, and the keys that are missing."""

    energy: Energy
    activity: Activity

    def parts(self) -> dict[str, float | None]:
        e, a = self.energy, self.activity
        hops = (a.spikes + a.input_spikes) if e.hops_per_synop is None else a.synaptic_events * e.hops_per_synop
        chips = a.seconds if a.chip_seconds is None else a.chip_seconds
        static = None if e.static_mw is None else e.static_mw * _PJ_PER_MW_S
        core = None if e.core_mw is None else e.core_mw * _PJ_PER_MW_S

        def times(coefficient: float | None, number: float | None) -> float | None:
            return None if coefficient is None or number is None else coefficient * number

        return {
            "synaptic": times(e.synop_pj, a.synaptic_events),
            "active_updates": times(e.update_active_pj, a.active_updates),
            "inactive_updates": times(e.update_inactive_pj, a.inactive_updates),
            "spikes": times(e.spike_pj, a.spikes),
            "hops": times(e.hop_pj, hops),
            "learning": times(e.learn_update_pj, a.learning_updates),
            "static": times(static, chips),
            "cores": times(core, a.core_seconds),
            "all_updates": times(e.update_active_pj, a.active_updates + a.inactive_updates),
            "operating_point": times(e.operating_point_pj, a.synaptic_events),
            "fitted_synaptic": times(e.fitted.synop_pj, a.synaptic_events),
            "fitted_accesses": times(e.fitted.access_pj, a.active_updates + a.inactive_updates),
            "fitted_updates": times(e.fitted.update_pj, a.active_updates),
            "fitted_spikes": times(e.fitted.spike_pj, a.spikes),
            "fitted_messages": times(e.fitted.message_pj, a.messages),
        }


_TERMS = ("synaptic", "active_updates", "inactive_updates", "spikes", "hops", "learning", "static", "cores")
_KEYS = {
    "synaptic": "synop_pj",
    "active_updates": "update_active_pj",
    "inactive_updates": "update_inactive_pj",
    "hops": "hop_pj",
    "static": "static_mw",
    "cores": "core_mw",
    "all_updates": "update_active_pj",
    "operating_point": "operating_point_pj",
    "fitted_synaptic": "fitted.synop_pj",
    "fitted_accesses": "fitted.access_pj",
    "fitted_updates": "fitted.update_pj",
    "fitted_spikes": "fitted.spike_pj",
    "fitted_messages": "fitted.message_pj",
}


def _conventions(profile: HardwareProfile, activity: Activity) -> Iterable[tuple[str, str, tuple[str, ...]]]:
    """Name, meaning and parts of each convention."""
    hop = ("hops",) if profile.energy.hops_per_synop is not None else ()
    yield "synaptic", "synaptic events alone", ("synaptic",)
    yield (
        "all_updates",
        f"synaptic events{' with a hop each' if hop else ''}, every update as one of an active neuron",
        ("synaptic", *hop, "all_updates"),
    )
    yield (
        "active_and_inactive",
        "synaptic events, updates of active and of inactive neurons",
        ("synaptic", "active_updates", "inactive_updates"),
    )
    yield (
        "fitted_simulator",
        "a simulator fitted to silicon: events, looks at neurons, updates, spikes and messages to cores, without hops",
        ("fitted_synaptic", "fitted_accesses", "fitted_updates", "fitted_spikes", "fitted_messages"),
    )
    yield "operating_point", "the whole chip's average a synaptic event, at one rate", ("operating_point",)
    yield "with_static", "synaptic events, and the static power over the time", ("synaptic", "static")
    yield (
        "core_activity",
        "static power, power of the cores in use, and one hop of each spike",
        ("static", "cores", "hops"),
    )


def estimate_energy(profile: HardwareProfile, activity: Activity, time: ChipTime | None = None) -> EnergyEstimate:
    """Joules by every convention; None, which is to be read as not estimated, where the profile lacks a coefficient.

    Parameters
    ----------
    profile:
        A loaded profile; its coefficients are all that is used.
    activity:
        What was counted; :func:`~neurosleep.hardware.energy_of` counts it of a recording.
    time:
        Time on the chip, to be told with it.

    See Also
    --------
    energy_of : counts the activity in a recording first

    Notes
    -----
    The conventions are those of the literature: ``synaptic`` that of most papers; ``all_updates`` that of
    keras-spiking, which adds a hop to each event of Loihi; ``active_and_inactive`` as updates are listed for Loihi;
    ``fitted_simulator`` that of SANA-FE; ``operating_point`` the power of a whole chip over its synaptic operations a
    second, right at one rate only; ``with_static`` marginal energies and static power, which must not be in the
    coefficient as well; ``core_activity`` that of SpiNNaker's tools. Learning stands beside them, in ``terms``. Nothing
    that is not known is 0. Two further ways of the literature are left out: clock cycles, whose energy no chip
    publishes, and additions and products of 45 nm arithmetic, which are of no chip.

    Examples
    --------
    >>> from neurosleep import load_profile
    >>> from neurosleep.hardware import Activity, estimate_energy
    >>> estimate = estimate_energy(load_profile("loihi1"), Activity(1000.0))
    >>> for convention in estimate.conventions:
    ...     if convention.joules is not None:
    ...         print(f"{convention.name}: {convention.joules:.3g} J")
    synaptic: 2.36e-08 J
    all_updates: 2.71e-08 J
    active_and_inactive: 2.36e-08 J
    """
    energy = profile.energy
    parts = _Counted(energy, activity).parts()
    conventions = []
    for name, meaning, needed in _conventions(profile, activity):
        reasons = [_missing(profile, part) for part in needed if parts[part] is None]
        if name == "with_static" and energy.synop_includes_static:
            reasons.append("energy.synop_pj contains a share of the static power")
        known = [value for part in needed if (value := parts[part]) is not None]
        joules = None if reasons else sum(known) * 1e-12
        conventions.append(Convention(name, meaning, joules, "; ".join(reasons) or None))
    terms = {name: None if pj is None else pj * 1e-12 for name, pj in parts.items() if name in _TERMS}
    return EnergyEstimate(
        profile.id,
        energy.status,
        energy.basis,
        activity,
        tuple(conventions),
        terms,
        coefficients(profile),
        tuple(_caveats(profile, activity, time)),
        time,
    )


def _missing(profile: HardwareProfile, part: str) -> str:
    key = f"energy.{_KEYS[part]}"
    if profile.get(key) is not None:  # then it is the cores that are not known
        return "the number of cores is not known"
    how = "not public" if key in profile.unpublished or profile.energy.status == "unpublished" else "not stated"
    return f"{key} is {how}"


def _caveats(profile: HardwareProfile, activity: Activity, time: ChipTime | None) -> Iterable[str]:
    energy = profile.energy
    if energy.basis is not None:
        yield f"Basis {energy.basis}: {_BASES[energy.basis]}; nothing was measured by this project."
    recalled = [f.key for f in coefficients(profile) if f.source is not None and f.source.grade == "recalled"]
    if recalled:
        yield f"Recalled, not verified: {', '.join(recalled)}."
    if energy.note is not None:
        yield energy.note
    if energy.fitted.synop_pj is not None:
        yield f"Basis fitted_simulator of the convention of that name: {_BASES['fitted_simulator']}." + (
            f" {energy.fitted.note}" if energy.fitted.note is not None else ""
        )
    if coefficients(profile):
        if profile.process is not None and profile.process.node is not None:
            yield f"Process: {profile.process.node}; the voltage is the source's, where it names one."
        if energy.static_mw is not None:
            yield f"Static power is in {' and '.join(_with_static(profile))} alone" + (
                ", for one chip." if activity.chip_seconds is None else "."
            )
        elif energy.synop_includes_static is False:
            yield "Static power is in none of these numbers."
        else:
            yield "It is not known how much static power these numbers hold."
    zeros = "without those" if activity.zeros == "skip" else "with those"
    yield f"A synaptic event is an emitted spike times the synapses it reaches, {zeros} of weight 0."
    yield "Hosts and input devices are left out."
    if activity.split == "estimated":
        yield (
            "Updates with input are estimated from spike counts, as if neurons fired independently and evenly: "
            "too many where they fire together."
        )
    yield "Learning is in none of the conventions."
    if time is not None:
        yield from (f"Time: {caveat}." for caveat in time.caveats)
    if coefficients(profile):
        yield "Published models differ by factors of hundreds on one workload: a quotient tells more than joules."


def _with_static(profile: HardwareProfile) -> list[str]:
    names = ["with_static", "core_activity"] if profile.energy.core_mw is not None else ["with_static"]
    return names if profile.energy.operating_point_pj is None else ["operating_point", *names]


def energy_coefficients(profile: HardwareProfile) -> dict[str, Any]:
    """What the profile knows of energies; without a simulation nothing is estimated, and nothing unknown is 0."""
    return {
        "statement": STATEMENT,
        "estimate": None,
        "unit": "joules a sample",
        "reason": "nothing was simulated: energies are counted of spikes",
        "status": profile.energy.status,
        "basis": profile.energy.basis,
        "coefficients": [figure_json(figure) for figure in coefficients(profile)],
    }
