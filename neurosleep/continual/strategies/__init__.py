"""Strategies of continual learning, one a file."""

from neurosleep.continual.strategies.base import AwakeNetwork, Learner, Strategy, trained
from neurosleep.continual.strategies.combination import Combination, check_combination
from neurosleep.continual.strategies.ewc import EWC, fisher_diagonal
from neurosleep.continual.strategies.homeostatic import HomeostaticSleep
from neurosleep.continual.strategies.icarl import ICaRL, herding
from neurosleep.continual.strategies.joint import Joint, JointMatched
from neurosleep.continual.strategies.lwf import LwF
from neurosleep.continual.strategies.owm import OWM
from neurosleep.continual.strategies.rehearsal import Rehearsal
from neurosleep.continual.strategies.si import SI
from neurosleep.continual.strategies.src import SRC

__all__ = [
    "EWC",
    "OWM",
    "SI",
    "SRC",
    "STRATEGIES",
    "AwakeNetwork",
    "Combination",
    "HomeostaticSleep",
    "ICaRL",
    "Joint",
    "JointMatched",
    "Learner",
    "LwF",
    "Rehearsal",
    "Strategy",
    "check_combination",
    "fisher_diagonal",
    "herding",
    "trained",
]

#: Every strategy by name; names joined by ``+`` are combined.
STRATEGIES: dict[str, type[Strategy]] = {
    strategy.name: strategy
    for strategy in (Strategy, Joint, JointMatched, EWC, SI, OWM, LwF, Rehearsal, ICaRL, HomeostaticSleep, SRC)
}
