"""What a mapping has to say: what was changed, how well it fits, and what does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from neurosleep._shown import brief, html_table, short_line, to_frame
from neurosleep.errors import MappingError

__all__ = ["LayerReport", "MappingFinding", "MappingReport", "refuse"]


@dataclass(frozen=True)
class MappingFinding:
    """One thing that does not fit (``error``), runs late or loses something (``warning``), or was changed (``note``).

    Parameters
    ----------
    level, layer, text:
        How grave it is, the population (empty: the whole network), and a sentence.
    limit, needed, available, kind:
        Of what does not fit: the limit as the profile names it, the two numbers, and whether the limit is structural, a
        budget or a deadline.
    hint:
        What to do about it.

    See Also
    --------
    MappingReport : whose ``findings`` they are
    neurosleep.MappingError : which holds those that refuse a network

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> import neurosleep as ns
    >>> images, _ = torch.rand(50, 16), torch.manual_seed(0)
    >>> model = nn.Sequential(nn.Linear(16, 8, bias=False), nn.ReLU(), nn.Linear(8, 4, bias=False))
    >>> network = ns.convert(model, images, reset="to_value", read_out="spikes")
    >>> for finding in ns.map_to(network, "loihi1").report.findings[:1]:
    ...     print(finding.level, finding.layer)
    note hidden1
    """

    level: Literal["error", "warning", "note"]
    layer: str
    text: str
    limit: str | None = None
    needed: int | float | str | None = None
    available: int | float | str | None = None
    kind: str | None = None
    hint: str | None = None

    __repr__ = brief

    def __str__(self) -> str:
        return f"{self.layer}: {self.text}" if self.layer else self.text

    def to_json(self) -> dict[str, Any]:
        """Of plain names and numbers."""
        return asdict(self)


def exceeds(
    layer: str,
    limit: str,
    needed: int | float | str,
    available: int | float | str,
    kind: str | None,
    *,
    what: str,
    hint: str | None = None,
) -> MappingFinding:
    """The finding for a limit that is exceeded; a deadline only warns."""
    text = f"{what}: {limit} needs {needed}, available {available} ({kind or 'structural'})"
    level: Literal["error", "warning"] = "warning" if kind == "deadline" else "error"
    return MappingFinding(level, layer, text, limit, needed, available, kind or "structural", hint)


def refuse(profile: str, findings: Sequence[MappingFinding], *, lacks: bool = False) -> MappingError:
    """The error for findings of level ``error``, which names all of them.

    With ``lacks`` the chip is without something that the network computes with, and no larger one of its kind would do.
    """
    wrong = [finding for finding in findings if finding.level == "error"]
    first = wrong[0]
    more = "" if len(wrong) == 1 else f" And {len(wrong) - 1} more: " + "; ".join(str(f) for f in wrong[1:])
    what = f"cannot be mapped to {profile!r}" if lacks else f"does not fit {profile!r}"
    hints = dict.fromkeys(finding.hint for finding in wrong if finding.hint)
    return MappingError(
        f"The network {what}. {first}.{more}",
        findings=tuple(findings),
        found=f"{first.needed}",
        expected=f"{first.available}",
        hint="; ".join(hints) or f"neurosleep profiles {profile} shows what the chip has",
    )


@dataclass(frozen=True)
class LayerReport:
    """What became of the synapses from ``source`` onto the population ``layer``, and of that population.

    Attributes
    ----------
    layer, source, bits:
        The projection, and the width of its stored weights (None: floating point).
    scale:
        What a unit of the membrane is in the chip's units; where each neuron has its own, their mean.
    saturated, zeroed:
        Weights beyond the grid, and weights that were not 0 and are now.
    error:
        Euclidean norm of the difference of effective weights (scale included) over that of the weights; None of zeros.
    threshold_error, decay_error:
        Largest relative change of a threshold, and largest change of a decay factor per step.
    cores, neurons_per_core, memory_bits, in_axons:
        What the population takes: cores, neurons and synapse memory of the fullest core, input axons of a core; None
        where there is no such thing.

    See Also
    --------
    MappingReport : whose ``layers`` they are

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> import neurosleep as ns
    >>> images, _ = torch.rand(50, 16), torch.manual_seed(0)
    >>> model = nn.Sequential(nn.Linear(16, 8, bias=False), nn.ReLU(), nn.Linear(8, 4, bias=False))
    >>> network = ns.convert(model, images, reset="to_value", read_out="spikes")
    >>> layer = ns.map_to(network, "loihi1").report.layers[0]
    >>> layer.layer, layer.bits, layer.saturated, layer.error < 0.01
    ('hidden1', 8, 0, True)
    """

    layer: str
    source: str
    bits: int | None
    scale: float
    saturated: int
    zeroed: int
    error: float | None
    threshold_error: float | None
    decay_error: float
    cores: int | None = None
    neurons_per_core: int | None = None
    memory_bits: int | None = None
    in_axons: int | None = None

    __repr__ = brief

    def to_json(self) -> dict[str, Any]:
        """Of plain names and numbers."""
        return asdict(self)


@dataclass(frozen=True)
class MappingReport:
    """What :func:`~neurosleep.map_to` did: ``report`` of the network that it makes.

    Attributes
    ----------
    profile:
        Name of the profile.
    layers:
        One row for each projection that carries weights.
    cores:
        Cores in all (None where the profile has no model of them).
    findings:
        Everything that was changed, is lost, or does not fit.
    energy:
        The profile's coefficients; an estimate takes a simulation, and is then made of its spikes.
    homeostasis:
        By way (``registers``, ``weights``), whether the chip can hold what homeostatic sleep changes, or what of it is
        missing; empty if nothing is known.

    See Also
    --------
    neurosleep.map_to : makes it
    LayerReport, MappingFinding : its parts

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> import neurosleep as ns
    >>> images, _ = torch.rand(50, 16), torch.manual_seed(0)
    >>> model = nn.Sequential(nn.Linear(16, 8, bias=False), nn.ReLU(), nn.Linear(8, 4, bias=False))
    >>> network = ns.convert(model, images, reset="to_value", read_out="spikes")
    >>> report = ns.map_to(network, "loihi1").report
    >>> report.fits, report.cores, [row["layer"] for row in report.rows()]
    (True, 2, ['hidden1', 'output'])
    """

    profile: str
    layers: tuple[LayerReport, ...]
    cores: int | None
    findings: tuple[MappingFinding, ...]
    energy: dict[str, Any]
    homeostasis: dict[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        fits = "fits" if self.fits else "does not fit"
        cores = "" if self.cores is None else f", {self.cores} cores"
        what = f"{len(self.layers)} projections{cores}, {len(self.findings)} findings"
        return short_line(f"<MappingReport: {fits} {self.profile!r}; {what}>")

    def _repr_html_(self) -> str:
        """One row per projection, then the findings."""
        findings = [{"level": f.level, "layer": f.layer, "finding": f.text} for f in self.findings]
        return html_table(self.rows(), repr(self)) + (html_table(findings) if findings else "")

    def to_pandas(self) -> Any:
        """The rows as a ``pandas.DataFrame`` (extra ``pandas``)."""
        return to_frame(self.rows())

    @property
    def fits(self) -> bool:
        """Whether nothing exceeds a limit (deadlines apart, which slow down)."""
        return not any(finding.level == "error" for finding in self.findings)

    def rows(self) -> list[dict[str, Any]]:
        """One row per projection."""
        return [layer.to_json() for layer in self.layers]

    def to_json(self) -> dict[str, Any]:
        """Everything, of plain lists, names and numbers."""
        return {
            "profile": self.profile,
            "fits": self.fits,
            "cores": self.cores,
            "layers": self.rows(),
            "findings": [finding.to_json() for finding in self.findings],
            "energy": dict(self.energy),
            "homeostasis": dict(self.homeostasis),
        }
