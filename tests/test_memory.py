"""What a worker holds: its batch and vectors of length d; the data is in memory once, however many workers there are."""

import pytest

pytestmark = pytest.mark.ranks

RANK = """
import sys, threading
peak, going = 0, threading.Event()

def private():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("RssAnon"))

def watch():
    global peak
    while not going.wait(0.002):
        peak = max(peak, private())

from mpisign.cli import main
start = private()
thread = threading.Thread(target=watch)
thread.start()
assert main(sys.argv[1:]) == 0
going.set()
thread.join()
sys.stdout.write(f"private {peak - start} kB\\n")
"""
