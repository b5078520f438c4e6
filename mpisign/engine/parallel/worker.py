"""A process that runs the repeats it is given (`mpisign.engine.parallel.processes`).

    python -m mpisign.engine.parallel.worker PIPE     PIPE: the descriptor of the pipe to the process with the file

It writes no file. It ends when the pipe does, so that none is left behind when the process with the file is killed.
"""

import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle
from typing import Any

from mpisign.stop_signals import StopRequested, StopSignals


def main(descriptor: int) -> None:
    """Run repeats until the pipe ends, a signal asks for a stop, or one fails."""
    pipe = Connection(descriptor)

    def send(name: str, arguments: tuple[Any, ...]) -> None:
        """Have the process with the file do what `name` says."""
        pipe.send((name, arguments))

    # The pipe ends with the process at its other end, or when there is nothing more to do.
    with StopSignals() as signals, suppress(EOFError, BrokenPipeError, ConnectionResetError):
        try:
            _serve(pipe, send, signals)
        except StopRequested as stop:
            send("stopped", (signal.Signals[stop.signal].value,))
        except (EOFError, BrokenPipeError, ConnectionResetError):
            raise
        except Exception as error:
            from mpisign.config.validation import described

            if not isinstance(error, OSError | MemoryError):
                traceback.print_exception(error)
            send("failed", (described(error),))


def _serve(pipe: "Connection[Any, Any]", send: Callable[[str, tuple[Any, ...]], None], signals: StopSignals) -> None:
    """Plan the experiment, and run one repeat after the other."""
    import numpy as np  # all of this is slow: the handlers of signals come before
    from threadpoolctl import threadpool_limits

    from mpisign.aggregation.exchange_registry import exchange_factory
    from mpisign.comm.communicator import BorrowingCommunicator
    from mpisign.engine.checkpointing import Checkpoints
    from mpisign.engine.parallel.remote import RemoteWriter
    from mpisign.engine.planning import plan
    from mpisign.engine.repeat import Site, run_repeat

    experiment, exchanges, there, minimum = pipe.recv()
    lent = [each._replace(descriptor=recv_handle(pipe)) for each in there]
    ranks, writer = BorrowingCommunicator(lent), RemoteWriter(send)
    # As in `mpisign.engine.runner.run`.
    with threadpool_limits(limits=1), np.errstate(over="ignore", invalid="ignore"):
        planned = plan(experiment, ranks)._replace(minimum=minimum)
        site = Site(ranks, Checkpoints(ranks, signals, lambda k: send("at", (k,)), writer.commit_due), writer)
        while True:
            task, kept = pipe.recv()
            writer.begin(kept)
            factory = exchange_factory(exchanges[task.run], ranks)
            run_repeat(planned, planned.runs[task.run], task.number, factory, site)


if __name__ == "__main__":
    main(int(sys.argv[1]))
