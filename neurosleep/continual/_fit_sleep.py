"""What the sleep callbacks of trainers share: a fit is observed, and when it has ended the network sleeps."""

from __future__ import annotations

from typing import Any

from torch import nn

from neurosleep._checks import check_unread
from neurosleep._shown import short_line
from neurosleep.continual.naps import Napping, Naps
from neurosleep.errors import SettingsError
from neurosleep.functional import check_seed
from neurosleep.replay import Consolidation, Consolidator, Guard, Sleep
from neurosleep.replay.consolidate_checks import check_spiking
from neurosleep.replay.guard import check_guard
from neurosleep.spiking import Record

__all__ = ["FitSleep", "part_of"]


class FitSleep:
    """A part of a callback that knows no trainer; a class of callbacks is a subclass of this and of the trainer's."""

    def __init__(
        self,
        settings: Sleep | None,
        guard: bool | Guard,
        every: int | None,
        nap_damping: float,
        seed: int,
        engine: str | None,
        record: Record | None,
    ) -> None:
        super().__init__()
        if settings is not None and not isinstance(settings, Sleep):
            raise SettingsError(f"settings is {settings!r:.60}.", expected="a Sleep, or None")
        check_guard(guard)
        check_seed(seed)
        check_spiking(Sleep() if settings is None else settings, engine, record)
        if every is None:
            check_unread("Without naps a callback", {"nap_damping": (nap_damping, 1.0)}, "every=40 gives naps")
            self._napping = None
        else:
            self._napping = Napping(settings or Sleep(), Naps(every, nap_damping), guard, seed)
        self.settings, self.guard = settings, guard
        self.seed, self.engine, self.record = seed, engine, record
        self.fits = 0
        self.keeper = self._next = Consolidator()
        self.result: Consolidation | None = None

    def __repr__(self) -> str:
        return short_line(f"<{type(self).__name__}: {self.fits} tasks, {self.keeper!r}>")

    def _start(self) -> None:
        """What is observed from now on belongs to a new task."""
        self._next = self.keeper.copy()
        if self._napping is not None:
            self._napping.start(self.keeper, 0)

    def _check(self, network: nn.Module) -> None:
        """Refuse what could not sleep later, by what was observed of the task so far."""
        self._next.check(network, sleep=self.settings, guard=self.guard, engine=self.engine)

    def _nap(self, network: nn.Module) -> None:
        """Take a nap if it is time; once for each batch that was learnt."""
        if self._napping is not None:
            self._napping.count(network, self._next)

    def _sleep(self, network: nn.Module) -> None:
        """The fit has ended: sleep, in place."""
        self.keeper = self._next
        self.fits += 1
        self.result = self.keeper.consolidate(
            network, sleep=self.settings, guard=self.guard, engine=self.engine, record=self.record, seed=self.seed
        )
        if self.result.status == "done":
            self.result.apply_to(network)

    def state_dict(self) -> dict[str, Any]:
        """The tasks learnt, without any sample: what a checkpoint holds of the callback."""
        return {"keeper": self.keeper.state_dict(), "fits": self.fits}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take back what :meth:`state_dict` gave."""
        self.keeper.load_state_dict(state_dict["keeper"])
        self.fits = int(state_dict["fits"])


def part_of(module: nn.Module, name: str) -> nn.Module:
    """The part of ``module`` that has this name."""
    part: nn.Module | None = dict(module.named_modules()).get(name)
    if part is None:
        raise SettingsError(
            f"The {type(module).__name__} has no part named {name!r}.",
            expected="one of " + ", ".join(name for name, _ in module.named_children()),
        )
    return part
