import sys

from mpisign.messages import say


def test_a_line_is_written_at_once(monkeypatch):
    """Under PYTHONUNBUFFERED each write is a call of its own, and another rank's line can come between two."""
    written = []

    class Unbuffered:
        flush = staticmethod(lambda: None)
        write = staticmethod(written.append)

    monkeypatch.setattr(sys, "stderr", Unbuffered)
    say("one line")
    assert written == ["mpisign: one line\n"]
