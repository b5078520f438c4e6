"""What fuzz tests share: how long they are, TOML's writing, and damage to bytes.

MPISIGN_FUZZ=100 makes each a hundred times as long, with other examples in every run; so does `--hypothesis-seed=N`,
repeatably.
"""

import json
import os

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

FACTOR = int(os.environ.get("MPISIGN_FUZZ", "1"))
SLOW = [
    HealthCheck.too_slow,
    HealthCheck.data_too_large,
    HealthCheck.function_scoped_fixture,
    HealthCheck.large_base_example,
]


def examples(count):
    """So many examples, always the same; or a multiple of that, and always others."""
    return settings(
        max_examples=count * FACTOR,
        deadline=None,
        derandomize=FACTOR == 1,
        database=None,
        suppress_health_check=SLOW,
        print_blob=True,
    )


class Content(bytes):
    """A file's bytes, which a failing test does not print."""

    def __repr__(self):
        return f"{len(self)} bytes"


def toml(value):
    """A value in TOML's own writing, tables inline."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{key} = {toml(item)}' for key, item in value.items())} }}"
    return repr(value)


def damage():
    """Functions of bytes: one to eight bits flipped, a block of 512 set to zero, or cut off."""
    place = st.integers(0, 2**40)
    flips = st.lists(place, min_size=1, max_size=8, unique=True)
    return st.one_of(
        flips.map(lambda places: lambda content: _flipped(content, places)),
        flips.map(lambda places: lambda content: _flipped(content, places)),
        place.map(_zeroed),
        place.map(lambda length: lambda content: content[: length % len(content)]),
    )


def _flipped(content, places):
    found = bytearray(content)
    for place in {place % (8 * len(found)) for place in places}:
        found[place // 8] ^= 1 << place % 8
    return bytes(found)


def _zeroed(place):
    def change(content):
        start = 512 * (place % -(-len(content) // 512))
        return content[:start] + bytes(len(content[start : start + 512])) + content[start + 512 :]

    return change


def choices():
    """Functions that choose one of a list, again and again."""

    def chooser(numbers):
        left = iter(numbers)
        return lambda options: options[next(left) % len(options)]

    return st.lists(st.integers(0, 2**30), min_size=16, max_size=16).map(chooser)
