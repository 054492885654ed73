"""Networks of units with dendrites: basal branches on the layer below, apical ones on the layer above."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from neurosleep.errors import ConversionError, SettingsError, unknown_name
from neurosleep.functional.activations import Activation, get_activation
from neurosleep.functional.dendritic import (
    DendriticLayer,
    branch_gradient,
    branch_inputs,
    branch_masks,
    branch_mean,
    dendritic_settle,
    dendritic_step,
    kept_inputs,
)
from neurosleep.functional.equilibrium import ReadOut, check_steps, output_force, soft_targets
from neurosleep.networks.equilibrium_base import Drive, EquilibriumNetwork, Settled, TwoPhases

__all__ = ["DendriticMLP"]

_READ_OUTS: tuple[ReadOut, ...] = ("squared-error", "cross-entropy")


class DendriticMLP(EquilibriumNetwork):
    r"""Fully connected equilibrium network whose units have dendrites.

    Every unit has ``basal_branches`` branches on the layer below, every hidden unit also ``apical_branches`` branches
    on the layer above. A branch sees only its own fixed random part of that layer and is rectified; a unit's drive is
    the mean of its basal branches plus ``apical_scale`` times the mean of its apical ones. Apical weights are trained
    parameters of their own, so the network is a vector field without an energy. What :meth:`contrast` estimates is the
    published learning rule, not the gradient of the loss: it comes close to it in the output layer's weights (the same,
    for small beta, without apical drive), points roughly the same way in hidden layers' basal weights once the network
    has learnt, and has little to do with it in apical weights.

    Attributes
    ----------
    basal, biases, apical:
        Parameters ``[basal branches * units, below]``, ``[basal branches * units]`` and, of hidden layers,
        ``[apical branches * units, above]``; row ``b * units + j`` is branch b of unit j. Weights outside the masks
        are zero: whatever puts another value there is undone before the network runs.

    Parameters
    ----------
    sizes:
        Units per layer, input first, at least two.
    basal_branches, apical_branches:
        Branches of a unit, at least 1.
    branch_sparsity:
        Part of its input layer that a branch keeps, from 0 (excluded; one input is always kept) to 1.
    apical_dense:
        Whether apical branches keep all of theirs.
    apical_scale:
        Weight of the apical drive, not negative.
    activation:
        Of the units: a name of :data:`~neurosleep.functional.activations.ACTIVATIONS`, or one of one's own.
    read_out:
        ``"squared-error"`` or ``"cross-entropy"`` (the output's activation is then the identity).
    init:
        Factor on the initial weights and biases, which are uniform on :math:`\pm 1/\sqrt n`, with all inputs for n in
        a weight and the kept ones in a bias.
    free_steps:
        Steps of the free phase in :meth:`forward`.
    generator:
        Source of masks and initial weights, drawn layer by layer.

    See Also
    --------
    EquilibriumMLP : without dendrites
    neurosleep.functional.dendritic_step : its step
    neurosleep.learning.EquilibriumPropagation : trains it

    References
    ----------
    Kubo (2026), arXiv:2605.08135, and its public code. Defaults are those of its published runs.

    Examples
    --------
    >>> import torch
    >>> from neurosleep.networks import DendriticMLP
    >>> model = DendriticMLP([16, 8, 3], basal_branches=4, free_steps=20)
    >>> model(torch.rand(5, 16)).shape, model.basal[0].shape
    (torch.Size([5, 3]), torch.Size([32, 16]))
    """

    def __init__(
        self,
        sizes: Sequence[int],
        *,
        basal_branches: int = 8,
        apical_branches: int = 2,
        branch_sparsity: float = 0.5,
        apical_dense: bool = False,
        apical_scale: float = 0.2,
        activation: str | Activation = "hard_sigmoid",
        read_out: ReadOut = "squared-error",
        init: float = 1.0,
        free_steps: int = 60,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if len(sizes) < 2 or any(size < 1 for size in sizes):
            raise SettingsError(f"The layer sizes are {list(sizes)!r}.", expected="at least two sizes of at least 1")
        for name, count in (("basal", basal_branches), ("apical", apical_branches)):
            if count < 1:
                raise SettingsError(f"The number of {name} branches is {count!r}.", expected="at least 1")
        if not 0 < branch_sparsity <= 1:
            raise SettingsError(
                f"The branch sparsity is {branch_sparsity!r}.",
                expected="the part of the inputs that a branch keeps, above 0 and at most 1",
            )
        if not 0 <= apical_scale < float("inf"):
            raise SettingsError(f"The weight of the apical drive is {apical_scale!r}.", expected="a number >= 0")
        if read_out not in _READ_OUTS:
            raise unknown_name("read-out of a dendritic network", str(read_out), _READ_OUTS)
        if not 0 < init < float("inf"):
            raise SettingsError(f"The factor on the initial weights is {init!r}.", expected="a number > 0")
        if free_steps < 1:
            raise SettingsError(f"The free phase has {free_steps!r} steps.", expected="at least 1")
        self.sizes, self.free_steps, self.read_out_kind = tuple(sizes), free_steps, read_out
        self.branches, self.apical_scale = (basal_branches, apical_branches), float(apical_scale)
        self.activation = get_activation(activation)
        self._activations = [self.activation] * (len(sizes) - 1)
        if read_out == "cross-entropy":
            self._activations[-1] = get_activation("identity")

        def uniform(bound: float, *shape: int) -> Tensor:
            return torch.empty(shape).uniform_(-bound, bound, generator=generator)

        basal, biases, apical = [], [], []
        for k, (below, units) in enumerate(itertools.pairwise(sizes)):
            rows = basal_branches * units
            mask = branch_masks(rows, below, branch_sparsity, generator=generator)
            self.register_buffer(f"basal_mask_{k}", mask)
            basal.append(nn.Parameter(uniform(init / below**0.5, rows, below) * mask))
            biases.append(nn.Parameter(uniform(init / kept_inputs(below, branch_sparsity) ** 0.5, rows)))
            if k + 2 < len(sizes):
                above, rows = sizes[k + 2], apical_branches * units
                mask = branch_masks(rows, above, 1.0 if apical_dense else branch_sparsity, generator=generator)
                self.register_buffer(f"apical_mask_{k}", mask)
                apical.append(nn.Parameter(uniform(init / above**0.5, rows, above) * mask))
        self.basal, self.biases, self.apical = (nn.ParameterList(group) for group in (basal, biases, apical))

    @property
    def masks(self) -> list[Tensor | None]:
        """For each entry of :attr:`trained` its mask of zeros and ones, None for biases."""
        every: list[Tensor | None] = []
        for k in range(len(self.basal)):
            every += [self.get_buffer(f"basal_mask_{k}"), None]
            if k < len(self.apical):
                every.append(self.get_buffer(f"apical_mask_{k}"))
        return every

    @property
    def weights(self) -> list[Tensor]:
        """There are none: a unit with rectified branches has no weight vector.

        Raises
        ------
        ConversionError
            Always. The parameters are :attr:`basal`, :attr:`biases` and :attr:`apical`.
        """
        raise ConversionError(
            "A DendriticMLP has no point-neuron weights, so it cannot be converted and cannot sleep: its units add up"
            " rectified branches.",
            expected="one weight [post, pre] for each pair of units",
            hint="convert an EquilibriumMLP, or read network.basal and network.apical",
        )

    @property
    def trained(self) -> list[nn.Parameter]:
        """For each layer its basal weight and bias and, of hidden layers, its apical weight."""
        parameters = []
        for k in range(len(self.basal)):
            parameters += [self.basal[k], self.biases[k]]
            if k < len(self.apical):
                parameters.append(self.apical[k])
        return parameters

    @property
    def layer_of(self) -> list[int]:
        """Basal weights and biases take their own layer's learning rate, apical weights that of the layer above."""
        numbers = []
        for k in range(len(self.basal)):
            numbers += [k, k]
            if k < len(self.apical):
                numbers.append(k + 1)
        return numbers

    def _masked(self) -> list[Tensor]:
        """The entries of :attr:`trained` with their masks on."""
        if torch.is_grad_enabled():
            pairs = zip(self.trained, self.masks, strict=True)
            return [p if mask is None else p * mask for p, mask in pairs]
        for p, mask in zip(self.trained, self.masks, strict=True):
            if mask is not None:
                # In place: a product of its own costs more than the whole phase does, and changes nothing as a rule.
                p.mul_(mask)
        return list(self.trained)

    def start(self, x: Tensor) -> Drive:
        """Branch inputs and drive of the first layer, then the masked parameters, for ``x`` ``[batch, n]``."""
        if x.ndim != 2 or x.shape[1] != self.sizes[0]:
            raise SettingsError(f"The input has the shape {list(x.shape)}.", expected=f"[batch, {self.sizes[0]}]")
        masked = self._masked()
        inputs = branch_inputs(x, masked[0], masked[1])
        return Drive(x, (inputs, branch_mean(inputs, self.branches[0]), *masked))

    def zeros(self, x: Tensor) -> list[Tensor]:
        """Zero states for ``x``, one ``[batch, n]`` per layer after the input."""
        like = self.basal[0]
        return [like.new_zeros(len(x), size) for size in self.sizes[1:]]

    def _layers(self, drive: Drive) -> list[DendriticLayer]:
        rest = iter(drive.sums[2:])
        last = len(self.basal) - 1
        return [DendriticLayer(next(rest), next(rest), next(rest) if k < last else None) for k in range(last + 1)]

    def settle(
        self, drive: Drive, states: list[Tensor], steps: int, *, targets: Tensor | None = None, beta: float = 0.0
    ) -> Settled:
        """States after ``steps`` parallel updates; see :meth:`EquilibriumNetwork.settle`."""
        if not torch.is_grad_enabled():
            after, before = self._fast(drive, states, steps, targets, beta)
        else:
            check_steps(steps)
            aim = self._aim(states, targets, beta)
            layers = self._layers(drive)
            after = states
            for _ in range(steps):
                before = after
                force = None if aim is None else beta * output_force(before[-1], aim, self.read_out_kind)
                after = dendritic_step(
                    before, drive.sums[1], layers, self.branches, self.apical_scale, self._activations, force
                )
        residual = torch.stack([(a - b).detach().abs().max() for a, b in zip(after, before, strict=True)])
        return Settled(after, residual)

    def evolve(
        self,
        drive: Drive,
        states: list[Tensor],
        steps: int,
        after: Callable[[int, list[Tensor]], None],
        *,
        targets: Tensor | None = None,
        beta: float = 0.0,
    ) -> list[Tensor]:
        """Settle without gradient, calling ``after(step, states)`` after each; it may change the states in place."""
        return self._fast(drive, states, steps, targets, beta, after)[0]

    def straight_through(self, drive: Drive, before: list[Tensor], after: list[Tensor]) -> Tensor:
        """See :meth:`EquilibriumNetwork.straight_through`; a branch rectified to zero still gets no gradient."""
        last = self._layers(drive)[-1]
        total = drive.sums[1]
        if len(before) > 1:
            total = branch_mean(branch_inputs(before[-2], last.basal, last.bias), self.branches[0])
        flat = self._activations[-1].slope(total.detach()) == 0
        return after[-1] + flat * (total - total.detach())

    def _aim(self, states: list[Tensor], targets: Tensor | None, beta: float) -> Tensor | None:
        if not beta:
            return None
        if targets is None:
            raise SettingsError(f"A nudged phase (beta {beta!r}) needs targets.", expected="labels or soft targets")
        return soft_targets(targets, states[-1])

    def _fast(
        self,
        drive: Drive,
        states: list[Tensor],
        steps: int,
        targets: Tensor | None,
        beta: float,
        after: Callable[[int, list[Tensor]], None] | None = None,
    ) -> tuple[list[Tensor], list[Tensor]]:
        aim = self._aim(states, targets, beta)
        force = None if aim is None else lambda output: output_force(output, aim, self.read_out_kind)
        layers, first = self._layers(drive), drive.sums[1]
        return dendritic_settle(
            states, first, layers, self.branches, self.apical_scale, self._activations, steps, force, beta, after
        )

    def _contrast(self, drive: Drive, x: Tensor, phases: TwoPhases) -> list[Tensor]:
        """Difference of the gradients of each layer's own Phi; see :meth:`EquilibriumNetwork.contrast`.

        Each phase's Phi is taken at that phase's states. The apical weights' part carries ``apical_scale``.
        """
        minus, plus, factor, _, _, predictive = phases
        layers = self._layers(drive)
        found = []
        for k, layer in enumerate(layers):
            scale = -factor / len(x)
            if k == 0:
                # The input is the same in both phases, and so are its branches.
                post = (plus[0] - minus[0]).mul_(scale)
                weight, bias = branch_gradient(drive.sums[0], post, x, self.branches[0])
            else:
                post, pre = _stacked(minus[k], plus[k], minus[k - 1], plus[k - 1], scale, predictive)
                inputs = branch_inputs(pre, layer.basal, layer.bias)
                weight, bias = branch_gradient(inputs, post, pre, self.branches[0])
            found += [weight, bias]
            if layer.apical is not None:
                scale *= self.apical_scale
                post, pre = _stacked(minus[k], plus[k], minus[k + 1], plus[k + 1], scale, predictive)
                found.append(branch_gradient(branch_inputs(pre, layer.apical), post, pre, self.branches[1])[0])
        return [g if mask is None else g.mul_(mask) for g, mask in zip(found, self.masks, strict=True)]


def _stacked(
    post_minus: Tensor, post_plus: Tensor, pre_minus: Tensor, pre_plus: Tensor, scale: float, predictive: bool
) -> tuple[Tensor, Tensor]:
    """Both phases as one batch, with the signs in the postsynaptic states; the predictive form needs no second one."""
    if predictive:
        return (post_plus - post_minus).mul_(scale), pre_plus
    return torch.cat([post_plus, -post_minus]).mul_(scale), torch.cat([pre_plus, pre_minus])
