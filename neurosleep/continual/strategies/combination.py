"""Several strategies at once, such as ``ewc+src``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, get_args

from torch import Tensor

from neurosleep.continual.strategies.base import AwakeNetwork, Learner, Strategy
from neurosleep.data import Task
from neurosleep.errors import SettingsError, unknown_name
from neurosleep.learning import Batch

__all__ = ["Combination", "Order", "check_combination"]

Order = Literal["sleep-first", "sleep-last"]


def check_combination(parts: Sequence[type[Strategy]]) -> None:
    """Check that strategies can work together.

    Raises
    ------
    SettingsError
        If one comes twice, two of them decide what is trained on, or one leaves nothing to combine.

    See Also
    --------
    Combination : which calls it

    Examples
    --------
    >>> from neurosleep.continual import EWC, SRC, check_combination
    >>> check_combination([EWC, SRC])
    """
    names = [part.name for part in parts]
    text = "+".join(names)
    if len(set(names)) < len(names):
        raise SettingsError(f"The strategy {text!r} names one part twice.", expected="different parts")
    if len(parts) > 1 and "sequential" in names:
        raise SettingsError(
            f"The strategy {text!r} combines with sequential, which does nothing.",
            hint=f"{'+'.join(n for n in names if n != 'sequential')} is the same",
        )
    for attribute, what in (
        ("chooses_data", "decide what is trained on"),
        ("changes_gradients", "change the gradients"),
    ):
        same = [part.name for part in parts if getattr(part, attribute)]
        if len(same) > 1:
            raise SettingsError(
                f"The strategy {text!r} cannot be composed.",
                found=f"{' and '.join(same)} each {what}",
                expected="at most one of them",
            )
    if len(parts) > 1 and any(name.startswith("joint") for name in names) and "src" not in names:
        raise SettingsError(
            f"The strategy {text!r} cannot be composed.",
            found="joint training has one task only, so that there is nothing to protect",
            expected="joint alone, or joint+src",
        )


class Combination(Strategy):
    """Every hook goes to every part in turn.

    Parameters
    ----------
    parts:
        The strategies.
    order:
        After a task, whether the parts that sleep come ``"sleep-first"``, so that the others see the weights after
        sleep, or ``"sleep-last"``.

    See Also
    --------
    check_combination : what goes together
    Strategy : what it combines

    Examples
    --------
    >>> from neurosleep.continual import SRC, Combination, Rehearsal
    >>> from neurosleep.replay import Sleep
    >>> [part.name for part in Combination([Rehearsal(), SRC(Sleep.src2022())]).parts]
    ['src', 'rehearsal']
    """

    def __init__(self, parts: Sequence[Strategy], order: Order = "sleep-first") -> None:
        check_combination([type(part) for part in parts])
        if order not in get_args(Order):
            raise unknown_name("order", str(order), get_args(Order))
        self.parts = sorted(parts, key=lambda part: part.sleeps != (order == "sleep-first"))
        self.sleeps = any(part.sleeps for part in parts)
        self.reads_old_data = any(part.reads_old_data for part in parts)

    def check_network(self, network: AwakeNetwork) -> None:
        """Refuse a network that one of the parts cannot work with."""
        for part in self.parts:
            part.check_network(network)

    def tasks(self, tasks: list[Task]) -> list[Task]:
        """The tasks as the parts let each other see them."""
        for part in self.parts:
            tasks = part.tasks(tasks)
        return tasks

    def before_training_exp(self, learner: Learner) -> None:
        """Before a task is learnt."""
        for part in self.parts:
            part.before_training_exp(learner)

    def training_data(self, learner: Learner, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """What to train on: the choice of the one part that makes it."""
        for part in self.parts:
            images, targets = part.training_data(learner, images, targets)
        return images, targets

    def after_training_exp(self, learner: Learner) -> None:
        """After a task has been learnt."""
        for part in self.parts:
            part.after_training_exp(learner)

    def before_eval(self, learner: Learner) -> None:
        """Before an evaluation."""
        for part in self.parts:
            part.before_eval(learner)

    def after_eval(self, learner: Learner) -> None:
        """After an evaluation."""
        for part in self.parts:
            part.after_eval(learner)

    def read_outs(self, learner: Learner) -> dict[str, Callable[[Tensor], Tensor]]:
        """Those of all parts."""
        return {name: classify for part in self.parts for name, classify in part.read_outs(learner).items()}

    def loss_term(self, learner: Learner, batch: Batch) -> Tensor | None:
        """Sum of the parts' terms."""
        terms = [term for part in self.parts if (term := part.loss_term(learner, batch)) is not None]
        return sum(terms[1:], terms[0]) if terms else None

    def after_backward(self, learner: Learner, batch: Batch) -> None:
        """After the gradients of a batch are known."""
        for part in self.parts:
            part.after_backward(learner, batch)

    def after_step(self, learner: Learner, batch: Batch) -> None:
        """After the weights have changed."""
        for part in self.parts:
            part.after_step(learner, batch)

    def state_dict(self) -> dict[str, Tensor]:
        """Those of all parts, under their names."""
        return {f"{part.name}.{key}": value for part in self.parts for key, value in part.state_dict().items()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Give every part its own."""
        for part in self.parts:
            prefix = f"{part.name}."
            part.load_state_dict({k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)})
