"""Logistic regression that kills its own process when it is asked for the MORTAL_AFTER-th part."""

import os
import signal
import sys

import numpy as np

from mpisign.comm.communicator import SerialCommunicator
from mpisign.data.linear_rows import signed
from mpisign.problems.logistic import Logistic
from mpisign.problems.reference_solution import optimum
from mpisign.problems.solving import kept_steps, largest_hessian, newton

asked = 0


class Mortal(Logistic):
    """The same, while it lives."""

    def curvature_part(self, x, direction, segment, out):
        """See `Logistic`."""
        global asked
        asked += 1
        if asked == int(os.environ.get("MORTAL_AFTER", "0")):
            os.kill(os.getpid(), signal.SIGKILL)
        super().curvature_part(x, direction, segment, out)


if __name__ == "__main__":
    kept_steps._APART = 0.0
    for module in (sys.modules[Logistic.__module__], largest_hessian, newton):
        module.SMALL = 4  # so that few coordinates are done as many are
    rng = np.random.default_rng(2)
    rows = signed(rng.standard_normal((60, 30)).astype(np.float32), np.sign(rng.standard_normal(60)))
    found = optimum(Mortal(rows), SerialCommunicator())
    sys.stdout.write(f"{asked} {found}")
