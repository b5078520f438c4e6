"""Many iterations of Algorithm 3 in one compiled function: the same operations in the same order as the loop's.

A function for each kind of message. The parts that differ between methods and oracles are called by their addresses
(`mpisign.compiled.routines`). An iteration ends before its step where the reply is not finite: the repeat diverged.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numba.core import types
from numba.experimental import structref

from mpisign.aggregation import majority_vote
from mpisign.aggregation.compiled_messages import DENSE_ROW, SIGN_ROW
from mpisign.aggregation.means import mean_number, mean_row
from mpisign.arrays import Floats, Indices, Words
from mpisign.compiled import draws
from mpisign.compiled.parameters import loader
from mpisign.compiled.routines import caller, compiled, routine
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


class SignRows(NamedTuple):
    """The rows of a `SignServer`.

    Attributes:
        table: a row for each worker: the number, then the positive plane.
        nonnegative: their nonnegative planes.
        reply: the reply's number and positive plane; of scaled signs its number and vector.
        reply_nonnegative: its nonnegative plane.
        coins: room for a plane.
        zeros: the policy.
        quadratic: whether the mean of the numbers is a quadratic one.
    """

    table: Words
    nonnegative: Words
    reply: Words
    reply_nonnegative: Words
    coins: Words
    zeros: int
    quadratic: int


_new: Any = structref.new
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
def _sign_row(rows: SignRows, here: Here, stream: int) -> Any:
    """Return a message whose planes are yet to be set."""
    row = _new(SIGN_ROW)
    row.dimension, row.zeros, row.coins, row.draws = here.x.size, rows.zeros, rows.coins, here.draws
    row.stream, row.worker = stream, 0
    return row


@part_of_kernels
def _encode_all(k: int, alpha: float, parts: Parts, here: Here, rows: SignRows, row: Any, numbers: Floats) -> None:
    """Write all workers' planes, and their numbers, negative where the nonnegative plane differs."""
    row.k = k
    for worker in range(numbers.size):
        _gradient(k, worker, parts, here)
        row.worker, row.positive, row.nonnegative = worker, rows.table[worker, 1:], rows.nonnegative[worker]
        _encode_signs(parts.encode, (parts.settings, here.gradient, alpha, here.memory[worker], row))
        numbers[worker] = math.copysign(row.number, -1.0 if row.ternary else 1.0)


@part_of_kernels
def _complete(rows: SignRows, numbers: Floats) -> None:
    """Write the nonnegative planes of the workers without zeros, which are their positive ones."""
    for worker in range(numbers.size):
        if not np.signbit(numbers[worker]):
            rows.nonnegative[worker, :] = rows.table[worker, 1:]


def rounds_routine(rounds: "Rounds", kind: Any, load_only: bool) -> Any:
    """Return run(first, alphas, address, counts): `rounds` with the parts, places and rows in the block there.

    Args:
        rounds: A function of this module.
        kind: The block's type.
        load_only: Whether it is not to be compiled.

    Raises:
        NotOnDisk: It is not there, and `load_only`.
    """
    inner, load = compiled(rounds), loader(kind)

    def run(first: int, alphas: Floats, address: int, counts: Indices) -> int:
        parts, here, rows = load(address)
        return int(inner(first, alphas, parts, here, rows, counts))

    kinds = (types.int64, _VECTOR, types.int64, types.Array(types.int64, 1, "C"))
    return routine(run, kinds, [rounds, kind], load_only)


def vote_rounds(first: int, alphas: Floats, parts: Parts, here: Here, rows: SignRows, counts: Indices) -> int:
    """Iterate with the majority vote: see `mpisign.aggregation.server.VoteServer`.

    Args:
        first: the first k.
        alphas: a step size for each iteration.
        parts: the routines.
        here: what is worked on.
        rows: the messages.
        counts: increased by how many rounds, rounds with nonnegative planes and replies with one there were.

    Returns:
        The k that comes next, or at which the reply is not finite.
    """
    numbers, row, reply = np.empty(rows.table.shape[0]), _sign_row(rows, here, _ZERO_SIGN), _sign_row(rows, here, _TIE)
    reply.positive, reply.nonnegative = rows.reply[1:], rows.reply_nonnegative
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
        counts[0] += 1
        counts[1] += has_zeros
        counts[2] += reply.ternary
        if not math.isfinite(reply.number):
            return first + i
        _step_signs(parts.step, (parts.settings, here.x, alphas[i], reply, here.shared))
    return first + alphas.size


def scaled_sign_rounds(first: int, alphas: Floats, parts: Parts, here: Here, rows: SignRows, counts: Indices) -> int:
    """Iterate with the mean of scaled signs: see `ScaledSignServer`; arguments and answer as in `vote_rounds`."""
    workers = rows.table.shape[0]
    numbers, row, reply = np.empty(workers), _sign_row(rows, here, _ZERO_SIGN), _new(DENSE_ROW)
    reply.vector = rows.reply.view(np.float64)[1:]
    for i in range(alphas.size):
        _encode_all(first + i, alphas[i], parts, here, rows, row, numbers)
        reply.number, has_zeros = mean_number(numbers, rows.quadratic != 0)
        reply.vector[:] = 0.0
        for worker in range(workers):
            row.positive, row.nonnegative = rows.table[worker, 1:], rows.nonnegative[worker]
            row.ternary = np.signbit(numbers[worker])
            row.subtract_from(reply.vector, -abs(numbers[worker]) / workers)
        counts[0] += 1
        counts[1] += has_zeros
        if not math.isfinite(reply.number):
            return first + i
        _step_dense(parts.step, (parts.settings, here.x, alphas[i], reply, here.shared))
    return first + alphas.size


def mean_rounds(first: int, alphas: Floats, parts: Parts, here: Here, rows: SignRows, counts: Indices) -> int:
    """Iterate with the mean of dense gradients: see `MeanServer`; arguments and answer as in `vote_rounds`."""
    table, answer = rows.table.view(np.float64), rows.reply.view(np.float64)
    row, reply = _new(DENSE_ROW), _new(DENSE_ROW)
    reply.vector = answer[1:]
    for i in range(alphas.size):
        for worker in range(table.shape[0]):
            _gradient(first + i, worker, parts, here)
            row.vector = table[worker, 1:]
            _encode_dense(parts.encode, (parts.settings, here.gradient, alphas[i], here.memory[worker], row))
            table[worker, 0] = row.number
        mean_row(table, answer)
        reply.number = answer[0]
        counts[0] += 1
        if not math.isfinite(reply.number):
            return first + i
        _step_dense(parts.step, (parts.settings, here.x, alphas[i], reply, here.shared))
    return first + alphas.size


Rounds: TypeAlias = Callable[[int, Floats, Parts, Here, SignRows, Indices], int]

ROUNDS: dict[str, Rounds] = {"signs": vote_rounds, "scaled-signs": scaled_sign_rounds, "dense": mean_rounds}
"""By the kind of messages."""
