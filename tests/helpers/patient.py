"""A problem of a test's own: logistic regression whose parts count as large, and one of which sends this process a
signal: the PATIENT_AFTER-th at several points, as records are evaluated, on rank PATIENT_RANK."""

import os
import signal
import threading

from mpisign.problems.logistic import Logistic, logistic
from mpisign.process_rank import rank

calls = []
_LOCK = threading.Lock()


class Patient(Logistic):
    """The same; every part of a block is counted."""

    large_parts = True

    def part(self, points, segment, out):
        """See `Logistic`."""
        if len(points) > 1:
            with _LOCK:
                calls.append(segment)
                after = int(os.environ.get("PATIENT_AFTER", "0"))
                if len(calls) == after and rank() == int(os.environ.get("PATIENT_RANK", "0")):
                    os.kill(os.getpid(), signal.SIGUSR1)
        super().part(points, segment, out)


def patient(*, data: str) -> Patient:
    """Return it on bundled data."""
    made = logistic(data=data)
    return Patient(made.rows, made.regulariser)
