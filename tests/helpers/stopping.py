"""An oracle of a test's own: a mini-batch, until one of its workers is asked for the last time it allows."""

import os
import signal
import subprocess
import time

from mpisign.algorithms.oracles import Minibatch
from mpisign.config.validation import settings

ENDS = {
    "stop": lambda: os.kill(os.getpid(), signal.SIGUSR1),
    "term": lambda: os.kill(os.getpid(), signal.SIGTERM),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "exit": lambda: os._exit(3),
    "stop the parent": lambda: os.kill(os.getppid(), signal.SIGTERM),
    "interrupt the parent": lambda: os.kill(os.getppid(), signal.SIGINT),
    "kill the parent": lambda: os.kill(os.getppid(), signal.SIGKILL),
    "kill the host": lambda: [os.kill(process, signal.SIGKILL) for process in (os.getppid(), os.getpid())],
    "start": lambda: subprocess.Popen(["sh", "-c", os.environ["STOPPING_COMMAND"]]),
}
asked = 0


@settings
class Stopping(Minibatch):
    """A mini-batch; the ask number STOPPING_AFTER of worker STOPPING_WORKER, in this process, does STOPPING.

    Each ask takes STOPPING_PACE seconds longer.
    """

    def source(self, problem, workers):
        """See `Minibatch`."""
        gradient = super().source(problem, workers)
        victim, after = (int(os.environ.get(f"STOPPING_{name}", -1)) for name in ("WORKER", "AFTER"))
        pace = float(os.environ.get("STOPPING_PACE", "0"))

        def ask(x, worker, generator, out):
            global asked
            asked += worker == victim
            if pace:
                time.sleep(pace)
            if worker == victim and asked == after:
                if os.environ["STOPPING"] == "raise":
                    raise RuntimeError("the last time")
                ENDS[os.environ["STOPPING"]]()
            gradient(x, worker, generator, out)

        return ask
