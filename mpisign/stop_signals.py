"""SIGTERM and SIGUSR1, which ask a run to stop.

This module imports nothing that is slow: the handlers come before all else.
"""

import errno
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Self

from mpisign.process_rank import launched, rank

STOPPED = 75
"""The exit status of a run that was asked to stop: EX_TEMPFAIL of sysexits.h, try again."""

NOT_BEGUN = "no iteration was run yet; the same command starts again"

_ASKING = (signal.SIGTERM, signal.SIGUSR1)
_GRACE = 0.4
"""Seconds that the ordinary way has to be quicker; longer than a launcher, told to abort, lets other ranks go on."""

_HEARD = 0.3
"""Seconds for the launcher to read the message, and for other ranks that have the signal to see that it is said."""

_KEPT = 3
"""Seconds for which nobody else speaks: Open MPI's launcher kills what a SIGTERM has not ended in one."""

_TURN, _TURNS = 0.1, 5
"""Seconds between ranks that all have the signal, and how many have a turn of their own: the first one speaks."""


class StopRequested(SystemExit):
    """The end of a run: all ranks were asked to stop, and have, at the same k; what they have is in the file.

    Args:
        number: the signal's.
        then: what goes on with it.
    """

    def __init__(self, number: int, then: str = "--resume goes on from here"):
        super().__init__(STOPPED)
        self.signal, self.then = signal.Signals(number).name, then

    def __str__(self) -> str:
        return f"stopped by {self.signal}; {self.then}"


class StopSignals:
    """SIGTERM and SIGUSR1, while this context lasts.

    Attributes:
        number: the first that came, or 0.
        outlast: whether what comes after the run changes nothing, too, as the process ends by itself then; unless
            another run follows, without the ranks that are lost, which takes it over.
    """

    number, outlast = 0, False

    def _note(self, number: int, frame: FrameType | None) -> None:
        """Keep the number of the first signal."""
        self.number = self.number or number

    def __enter__(self) -> Self:
        # Python lets the main thread alone have handlers; a run in another one has none, and goes on.
        asking = _ASKING if threading.current_thread() is threading.main_thread() else ()
        self._before = {number: signal.signal(number, self._note) for number in asking}
        earlier = (getattr(handler, "__self__", None) for handler in self._before.values())
        self.number = max((signals.number for signals in earlier if isinstance(signals, StopSignals)), default=0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items() if not self.outlast else ():
            signal.signal(number, handler)


NO_SIGNALS = StopSignals()
"""Signals of which none comes."""


class Planning:
    """The time before the first iteration, when there is nothing to save: a signal ends all ranks within a second.

    A thread hears it, as Python's handlers wait for the end of a kernel or of a call of MPI.

    Attributes:
        dismiss: called before the end.
    """

    def __init__(self) -> None:
        self._over, self._lock = threading.Event(), threading.Lock()
        self.dismiss: Callable[[], object] = lambda: None

    def begin(self) -> None:
        """Hear signals from now on."""
        # Python writes to the descriptor only for signals that have a handler.
        StopSignals().__enter__()
        end, self._descriptor = os.pipe()
        # `set_wakeup_fd` takes none that may block.
        os.set_blocking(self._descriptor, False)
        signal.set_wakeup_fd(self._descriptor, warn_on_full_buffer=False)
        threading.Thread(target=self._listen, args=(end,), daemon=True).start()

    def over(self) -> None:
        """Leave signals to the agreement of the ranks; where one is being answered, this does not return."""
        with self._lock:
            self._over.set()
        if hasattr(self, "_descriptor"):
            signal.set_wakeup_fd(-1)

    def _listen(self, end: int) -> None:
        """Wait for a signal on the pipe, and end all ranks unless the ordinary way is quicker."""
        number = 0
        while number not in _ASKING:
            number = os.read(end, 1)[0]
        if not self._over.wait(_GRACE + _TURN * min(rank(), _TURNS)):
            with self._lock:
                if not self._over.is_set():
                    self._end(StopRequested(number, NOT_BEGUN))

    def _end(self, stop: StopRequested) -> None:
        """Say that all ranks end, and end them."""
        if not self._speaks():
            time.sleep(_GRACE)
            os._exit(STOPPED)
        self.dismiss()
        os.write(2, f"mpisign: {stop}\n".encode())
        time.sleep(_HEARD)
        late = threading.Timer(_GRACE, os._exit, (STOPPED,))  # an MPI that does not abort while another thread is in it
        late.daemon = True
        late.start()
        world = getattr(sys.modules.get("mpi4py.MPI"), "COMM_WORLD", None)
        if world is not None and world.size > 1:
            world.Abort(STOPPED)
        os._exit(STOPPED)

    def _speaks(self) -> bool:
        """Return whether no other rank of this machine speaks: Linux gives the name of a socket to one at a time.

        Elsewhere, and on several machines, the ranks' turns alone see to it.
        """
        if not launched():
            return True
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            self._socket.bind(f"\0mpisign-{os.getuid()}-{os.getppid()}")
        except OSError as error:
            return error.errno != errno.EADDRINUSE
        self._keep_the_name()
        return True

    def _keep_the_name(self) -> None:
        """Let a process keep the socket for a while: launchers send the others a signal after this rank is gone."""
        from subprocess import DEVNULL, Popen

        held, name = [self._socket.fileno()], ["sleep", str(_KEPT)]
        with suppress(OSError):
            Popen(name, pass_fds=held, start_new_session=True, stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL)


PLANNING = Planning()
"""The planning of this process."""
