"""Many iterations of Algorithm 3 in one compiled function: the same operations in the same order as the loop's.

A function for each kind of message. The parts that differ between methods and oracles are called by their addresses
(`mpisign.compiled.routines`). An iteration ends before its step where the reply is not finite: the repeat diverged.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numba.core import types

from mpisign.aggregation import majority_vote
from mpisign.aggregation.compiled_messages import DENSE_ROW, POLICIES, SIGN_ROW
from mpisign.aggregation.means import mean_number, mean_row
from mpisign.aggregation.server_base import Combination, Server
from mpisign.arrays import Floats, Indices, Words
from mpisign.compiled import draws
from mpisign.compiled.parameters import loader
from mpisign.compiled.records import Record
from mpisign.compiled.routines import Budget, caller, compiled, routine
from mpisign.jit import part_of_kernels
from mpisign.rng import Stream

_ORACLE, _ZERO_SIGN, _TIE = int(Stream.ORACLE), int(Stream.ZERO_SIGN), int(Stream.TIE)
_VECTOR = types.Array(types.float64, 1, "C")

ASK = (types.int64, types.int64, _VECTOR, _VECTOR, types.int64, types.npy_rng, _VECTOR)
"""ask(parameters, settings, x, memory, worker, generator, gradient): where it asks, and the gradient there."""


def encode_of(message: Any) -> tuple[Any, ...]:
    """Return the types of encode(settings, gradient, alpha, memory, message)."""
    return types.int64, _VECTOR, types.float64, _VECTOR, message


def step_of(message: Any) -> tuple[Any, ...]:
    """Return the types of step(settings, x, alpha, reply, shared)."""
    return types.int64, _VECTOR, types.float64, message, _VECTOR


class Parts(NamedTuple):
    """Addresses of the routines and of their parameters."""

    ask: int
    parameters: int
    encode: int
    step: int
    settings: int


class Here(NamedTuple):
    """What an iteration works on.

    Attributes:
        x: the iterate, shape (d,).
        memory: each hosted worker's, flat: shape (hosted, size).
        shared: what all ranks keep, flat.
        gradient: room for one, shape (d,).
        draws: the random numbers.
    """

    x: Floats
    memory: Floats
    shared: Floats
    gradient: Floats
    draws: draws.Draws


class Rows(NamedTuple):
    """The messages of a `Server`, in one process.

    Attributes:
        table: a row for each worker: the number, then what it sends.
        nonnegative: their nonnegative planes.
        answer: the reply's row.
        message: a worker's message, as a record.
        reply: the reply, as a record.
        quadratic: whether the mean of the numbers is a quadratic one.
    """

    table: Words
    nonnegative: Words
    answer: Words
    message: Any
    reply: Any
    quadratic: int


def rows_of(server: Server, method: Combination, dimension: int, random: draws.Draws) -> Rows:
    """Return the messages of a server of these numbers of coordinates, in one process."""
    table, nonnegative, answer, answer_nonnegative = server.tables
    coins = np.zeros(nonnegative.shape[1], dtype=np.uint64)
    common = {"coins": coins, "draws": random, "dimension": dimension, "zeros": POLICIES[method.zeros]}
    signs = Record(SIGN_ROW, stream=_ZERO_SIGN, **common)
    vote = Record(SIGN_ROW, stream=_TIE, positive=answer[1:], nonnegative=answer_nonnegative, **common)
    mean = Record(DENSE_ROW, vector=answer.view(np.float64)[1:])
    dense = Record(DENSE_ROW)
    message, reply = {"signs": (signs, vote), "scaled-signs": (signs, mean), "dense": (dense, mean)}[method.message]
    return Rows(table, nonnegative, answer, message, reply, int(method.quadratic))


_ask = caller(*ASK)
_encode_signs, _encode_dense = caller(*encode_of(SIGN_ROW)), caller(*encode_of(DENSE_ROW))
_step_signs, _step_dense = caller(*step_of(SIGN_ROW)), caller(*step_of(DENSE_ROW))


@part_of_kernels
def _gradient(k: int, worker: int, parts: Parts, here: Here) -> None:
    """Write a worker's stochastic gradient."""
    generator = draws.place(here.draws, _ORACLE, worker, k)
    arguments = (parts.parameters, parts.settings, here.x, here.memory[worker], worker, generator, here.gradient)
    _ask(parts.ask, arguments)


@part_of_kernels
def _encode_all(k: int, alpha: float, parts: Parts, here: Here, rows: Rows, row: Any, numbers: Floats) -> None:
    """Write all workers' planes, and their numbers, negative where the nonnegative plane differs."""
    row.k = k
    for worker in range(numbers.size):
        _gradient(k, worker, parts, here)
        row.worker, row.positive, row.nonnegative = worker, rows.table[worker, 1:], rows.nonnegative[worker]
        _encode_signs(parts.encode, (parts.settings, here.gradient, alpha, here.memory[worker], row))
        numbers[worker] = math.copysign(row.number, -1.0 if row.ternary != 0 else 1.0)


@part_of_kernels
def _complete(rows: Rows, numbers: Floats) -> None:
    """Write the nonnegative planes of the workers without zeros, which are their positive ones."""
    for worker in range(numbers.size):
        if not np.signbit(numbers[worker]):
            rows.nonnegative[worker, :] = rows.table[worker, 1:]


def rounds_routine(rounds: "Rounds", kind: Any, budget: Budget) -> Any:
    """Return run(first, alphas, address, counts): `rounds` with the parts, places and rows in the block there.

    Args:
        rounds: A function of this module.
        kind: The block's type.
        budget: How many routines may be compiled.

    Raises:
        NotOnDisk: It is not there, and the budget is spent.
    """
    inner, load = compiled(rounds), loader(kind)

    def run(first: int, alphas: Floats, address: int, counts: Indices) -> int:
        parts, here, rows = load(address)
        return int(inner(first, alphas, parts, here, rows, counts))

    kinds = (types.int64, _VECTOR, types.int64, types.Array(types.int64, 1, "C"))
    return routine(run, kinds, [rounds, kind], budget)


def vote_rounds(first: int, alphas: Floats, parts: Parts, here: Here, rows: Rows, counts: Indices) -> int:
    """Iterate with the majority vote: see `mpisign.aggregation.server.VoteServer`.

    Args:
        first: the first k.
        alphas: a step size for each iteration.
        parts: the routines.
        here: what is worked on.
        rows: the messages.
        counts: increased by how many steps there were, rounds with nonnegative planes and replies with one.

    Returns:
        The k that comes next, or at which the reply is not finite.
    """
    numbers, row, reply = np.empty(rows.table.shape[0]), rows.message, rows.reply
    for i in range(alphas.size):
        _encode_all(first + i, alphas[i], parts, here, rows, row, numbers)
        mean, has_zeros = mean_number(numbers, rows.quadratic != 0)
        if has_zeros:
            _complete(rows, numbers)
            tied = majority_vote.vote(rows.table, rows.nonnegative, reply.positive, reply.nonnegative)
        else:
            tied = majority_vote.vote(rows.table, rows.nonnegative[:0], reply.positive, reply.nonnegative)
        reply.k = first + i
        reply.apply_zero_policy(mean, tied)
        if not math.isfinite(reply.number):
            return first + i
        counts[0] += 1
        counts[1] += has_zeros
        counts[2] += reply.ternary
        _step_signs(parts.step, (parts.settings, here.x, alphas[i], reply, here.shared))
    return first + alphas.size


def scaled_sign_rounds(first: int, alphas: Floats, parts: Parts, here: Here, rows: Rows, counts: Indices) -> int:
    """Iterate with the mean of scaled signs: see `ScaledSignServer`; arguments and answer as in `vote_rounds`."""
    workers = rows.table.shape[0]
    numbers, row, reply = np.empty(workers), rows.message, rows.reply
    for i in range(alphas.size):
        _encode_all(first + i, alphas[i], parts, here, rows, row, numbers)
        reply.number, has_zeros = mean_number(numbers, rows.quadratic != 0)
        reply.vector[:] = 0.0
        for worker in range(workers):
            row.positive, row.nonnegative = rows.table[worker, 1:], rows.nonnegative[worker]
            row.ternary = 1 if np.signbit(numbers[worker]) else 0
            row.subtract_from(reply.vector, -abs(numbers[worker]) / workers)
        if not math.isfinite(reply.number):
            return first + i
        counts[0] += 1
        counts[1] += has_zeros
        _step_dense(parts.step, (parts.settings, here.x, alphas[i], reply, here.shared))
    return first + alphas.size


def mean_rounds(first: int, alphas: Floats, parts: Parts, here: Here, rows: Rows, counts: Indices) -> int:
    """Iterate with the mean of dense gradients: see `MeanServer`; arguments and answer as in `vote_rounds`."""
    table, answer = rows.table.view(np.float64), rows.answer.view(np.float64)
    row, reply = rows.message, rows.reply
    for i in range(alphas.size):
        for worker in range(table.shape[0]):
            _gradient(first + i, worker, parts, here)
            row.vector = table[worker, 1:]
            _encode_dense(parts.encode, (parts.settings, here.gradient, alphas[i], here.memory[worker], row))
            table[worker, 0] = row.number
        mean_row(table, answer)
        reply.number = answer[0]
        if not math.isfinite(reply.number):
            return first + i
        counts[0] += 1
        _step_dense(parts.step, (parts.settings, here.x, alphas[i], reply, here.shared))
    return first + alphas.size


Rounds: TypeAlias = Callable[[int, Floats, Parts, Here, Rows, Indices], int]

ROUNDS: dict[str, Rounds] = {"signs": vote_rounds, "scaled-signs": scaled_sign_rounds, "dense": mean_rounds}
"""By the kind of messages."""
