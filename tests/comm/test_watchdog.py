"""The watchdog names the rank that was gone first, also where others are gone before it wakes up."""

import os
import signal
import subprocess
import sys
import time
from itertools import permutations
from pathlib import Path

import pytest

from mpisign.comm import watchdog_process
from mpisign.comm.watchdog import _has_pidfd

RANKS = 3


def watching(process):
    """Whether the watchdog would be told of every rank's end; Linux lists what an epoll looks at as "tfd"."""
    try:
        looked_at = [each.read_text().count("tfd:") for each in Path(f"/proc/{process}/fdinfo").iterdir()]
    except FileNotFoundError:  # Python, which starts, has closed one
        return False
    return RANKS in looked_at


@pytest.mark.skipif(not _has_pidfd(), reason="no pidfd on this system: nobody watches")
@pytest.mark.parametrize("order", list(permutations(range(RANKS))), ids=str)
def test_the_first_that_was_gone_is_named(order):
    """The watchdog is stopped meanwhile, as on a machine that has no processor for it."""
    page = os.memfd_create("page")
    os.truncate(page, watchdog_process.LINE * RANKS + 8)
    ranks = [subprocess.Popen(["sleep", "60"]) for _ in range(RANKS)]
    pairs = [f"{number}:{rank.pid}" for number, rank in enumerate(ranks)]
    command = [sys.executable, "-I", "-S", watchdog_process.__file__, str(page), *pairs]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, pass_fds=[page]) as watchdog:
        try:
            while not watching(watchdog.pid):
                time.sleep(0.01)
            watchdog.send_signal(signal.SIGSTOP)
            for number in order:
                ranks[number].kill()
                ranks[number].wait()
            watchdog.send_signal(signal.SIGCONT)
            _, said = watchdog.communicate(timeout=30)
        finally:
            for process in (watchdog, *ranks):
                process.kill()
            for rank in ranks:
                rank.wait()
            os.close(page)
    assert said.count("\n") == 1
    assert f"mpisign: rank {order[0]} (process {ranks[order[0]].pid} on " in said
