"""What mpisign says to whoever runs it: whole lines on stderr."""

import sys


def say(line: str) -> None:
    """Write one line to stderr.

    It is written at once: several processes share the terminal, and print() under PYTHONUNBUFFERED writes a line and
    its end apart, so that another rank's line can come between.
    """
    sys.stderr.write(f"mpisign: {line}\n")
    sys.stderr.flush()
