"""Check the threads of BLAS: a run sets one, so that sums have the same order everywhere, and ranks do not crowd."""

import os
from collections.abc import Iterator
from typing import Any

import scipy.linalg  # noqa: F401  has a BLAS of its own, which is listed once it is loaded
from threadpoolctl import threadpool_info, threadpool_limits

from mpisign.tools.doctor.check import Check

_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def look() -> Iterator[Check]:
    """Check that BLAS has one thread when it is told so."""
    before = _pools()
    with threadpool_limits(limits=1):
        deaf = [_name(pool) for pool in _pools() if pool["num_threads"] != 1]
    if not before or deaf:
        found = f"{', '.join(deaf)} cannot be told to use one thread" if deaf else "threadpoolctl knows none here"
        export = " ".join(f"{name}=1" for name in (*_VARIABLES, "VECLIB_MAXIMUM_THREADS"))
        yield Check(f"BLAS threads: {found}", f"before a run: export {export}")
        return
    pools = sorted({f"{_name(pool)} with {pool['num_threads']}" for pool in before})
    set_ = [f"{name}={os.environ[name]}" for name in _VARIABLES if name in os.environ]
    of_no_concern = (
        f"{', '.join(set_)} {'is' if len(set_) == 1 else 'are'} of no concern" if set_ else "no variable need be set"
    )
    yield Check(f"BLAS threads: {', '.join(pools)}; a run sets 1, {of_no_concern}")


def _pools() -> list[dict[str, Any]]:
    """Return the thread pools of BLAS."""
    return [pool for pool in threadpool_info() if pool["user_api"] == "blas"]


def _name(pool: dict[str, Any]) -> str:
    """Return name and version of a BLAS."""
    return f"{pool['internal_api']} {pool['version']}"
