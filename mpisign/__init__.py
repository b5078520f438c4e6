"""mpisign: scaled sign gradient descent over MPI, and an audit of its theory.

The paper is *On Faster Convergence of Scaled Sign Gradient Descent* (Li, Lin, Li, Hong, Chen);
equation and theorem numbers in this package are the paper's.
"""

import importlib
from typing import TYPE_CHECKING, Any

from mpisign._version import __version__

if TYPE_CHECKING:
    from mpisign import plot
    from mpisign.aggregation.exchange import Exchange
    from mpisign.aggregation.messages import Message
    from mpisign.algorithms.finite_oracles import Paired, Sideways
    from mpisign.algorithms.initial_points import InitialPoint, Normal, Origin, Point
    from mpisign.algorithms.methods import (
        GD,
        AdaGradNorm,
        EFSign,
        EFSignShifted,
        Method,
        ScaledSign,
        Sign,
        SignAdaGradCount,
        SignAdaGradNorm,
        Signum,
    )
    from mpisign.algorithms.oracles import Additive, Full, Minibatch, Oracle
    from mpisign.algorithms.step_sizes import Constant, Harmonic, StepSize
    from mpisign.api import Experiment, Run, check, load, load_experiment, run
    from mpisign.audit.certify.api import certify
    from mpisign.config.validation import InputError, settings
    from mpisign.problems import Minimum, Problem
    from mpisign.problems.described import FiniteQuadratic, Logistic, Quadratic, Separable, Toy
    from mpisign.stop_signals import StopRequested
    from mpisign.storage.results import Results, RunResult
    from mpisign.tools.dryrun.gradient import check_gradient

_MODULES = {
    "mpisign.aggregation.exchange": ["Exchange"],
    "mpisign.aggregation.messages": ["Message"],
    "mpisign.algorithms.initial_points": ["InitialPoint", "Normal", "Origin", "Point"],
    "mpisign.algorithms.methods": [
        "AdaGradNorm",
        "EFSign",
        "EFSignShifted",
        "GD",
        "Method",
        "ScaledSign",
        "Sign",
        "SignAdaGradCount",
        "SignAdaGradNorm",
        "Signum",
    ],
    "mpisign.algorithms.finite_oracles": ["Paired", "Sideways"],
    "mpisign.algorithms.oracles": ["Additive", "Full", "Minibatch", "Oracle"],
    "mpisign.algorithms.step_sizes": ["Constant", "Harmonic", "StepSize"],
    "mpisign.api": ["Experiment", "Run", "check", "load", "load_experiment", "run"],
    "mpisign.audit.certify.api": ["certify"],
    "mpisign.config.validation": ["InputError", "settings"],
    "mpisign.problems": ["Minimum", "Problem"],
    "mpisign.problems.described": ["FiniteQuadratic", "Logistic", "Quadratic", "Separable", "Toy"],
    "mpisign.stop_signals": ["StopRequested"],
    "mpisign.storage.results": ["Results", "RunResult"],
    "mpisign.tools.dryrun.gradient": ["check_gradient"],
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "GD",
    "AdaGradNorm",
    "Additive",
    "Constant",
    "EFSign",
    "EFSignShifted",
    "Exchange",
    "Experiment",
    "FiniteQuadratic",
    "Full",
    "Harmonic",
    "InitialPoint",
    "InputError",
    "Logistic",
    "Message",
    "Method",
    "Minibatch",
    "Minimum",
    "Normal",
    "Oracle",
    "Origin",
    "Paired",
    "Point",
    "Problem",
    "Quadratic",
    "Results",
    "Run",
    "RunResult",
    "ScaledSign",
    "Separable",
    "Sideways",
    "Sign",
    "SignAdaGradCount",
    "SignAdaGradNorm",
    "Signum",
    "StepSize",
    "StopRequested",
    "Toy",
    "__version__",
    "certify",
    "check",
    "check_gradient",
    "load",
    "load_experiment",
    "plot",
    "run",
    "settings",
]


def __getattr__(name: str) -> Any:
    """Import what is asked for, and no more: `import mpisign` itself takes a millisecond (PEP 562)."""
    if name == "plot":
        return importlib.import_module("mpisign.plot")
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'mpisign' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
