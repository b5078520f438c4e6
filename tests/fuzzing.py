"""What fuzz tests share: how long they are, and damage to bytes.

MPISIGN_FUZZ=100 makes each a hundred times as long, with other examples in every run; so does `--hypothesis-seed=N`,
repeatably.
"""

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


@st.composite
def damaged(draw, content):
    """Bytes with one to eight bits flipped, a block of 512 set to zero, or cut off; never as they were."""
    found = bytearray(content)
    match draw(st.sampled_from(["flip", "flip", "flip", "zero", "cut"])):
        case "flip":
            for place in draw(st.sets(st.integers(0, 8 * len(found) - 1), min_size=1, max_size=8)):
                found[place // 8] ^= 1 << place % 8
        case "zero":
            start = 512 * draw(st.integers(0, (len(found) - 1) // 512))
            found[start : start + 512] = bytes(len(found[start : start + 512]))
        case "cut":
            del found[draw(st.integers(0, len(found) - 1)) :]
    return bytes(found)
