"""What there is to choose from in a job file, read off the registries."""

from mpisign.aggregation.exchange_registry import EXCHANGES
from mpisign.algorithms.initial_points import STARTS
from mpisign.algorithms.methods import METHODS
from mpisign.algorithms.oracles import ORACLES
from mpisign.algorithms.step_sizes import STEPS
from mpisign.data.loading import BUNDLED
from mpisign.problems import PROBLEMS


def text() -> str:
    """Every kind with the first line of its docstring."""
    lines: list[str] = []
    for registry in (METHODS, PROBLEMS, ORACLES, STEPS, STARTS, EXCHANGES):
        lines.append(registry.sort)
        lines += [f"  {name:14} {line}" for name, line in registry.describe()]
    lines.append(f"  {'auto':14} The fastest of them on the ranks at hand, which is tried before a run.")
    return "\n".join([*lines, "data sets", *(f"  {name}" for name in BUNDLED)])
