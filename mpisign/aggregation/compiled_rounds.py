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
from mpisign.aggregation.compiled_messages import (
    DENSE_ROW,
    POLICIES,
    SIGN_ROW,
    Parts,
    call_ask,
    call_encode_dense,
    call_encode_signs,
    call_step_dense,
    call_step_signs,
)
from mpisign.aggregation.compiled_travel import Travel, broadcast, gather
from mpisign.aggregation.means import mean_number, mean_row, mean_signs
from mpisign.aggregation.server_base import SEND_WEAK, Combination, Server
from mpisign.arrays import Floats, Indices, Words
from mpisign.compiled import draws
from mpisign.compiled.parameters import loader
from mpisign.compiled.records import Record
from mpisign.compiled.routines import Budget, compiled, routine
from mpisign.jit import part_of_kernels
from mpisign.rng import Stream

_ORACLE, _ZERO_SIGN, _TIE = int(Stream.ORACLE), int(Stream.ZERO_SIGN), int(Stream.TIE)
_VECTOR = types.Array(types.float64, 1, "C")
_SEND_WEAK = np.uint64(SEND_WEAK)


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
    """The messages of a `Server`.

    Attributes:
        first: the number of the first worker that this rank hosts.
        own: a row for each of them: the number, then what it sends.
        own_nonnegative: their nonnegative planes.
        arrived: the rows of all workers, on rank 0.
        nonnegative: their nonnegative planes.
        answer: the reply's row.
        message: a worker's message, as a record.
        reply: the reply, as a record.
        reducing: whether this rank combines rows.
        quadratic: whether the mean of the numbers is a quadratic one.
        travel: how rows and the reply travel.
        nonnegative_travel: the same of the nonnegative planes.
    """

    first: int
    own: Words
    own_nonnegative: Words
    arrived: Words
    nonnegative: Words
    answer: Words
    message: Any
    reply: Any
    reducing: int
    quadratic: int
    travel: Travel
    nonnegative_travel: Travel


def travels(server: Server) -> tuple[Travel, Travel] | None:
    """Return how a server's rows travel, and its nonnegative planes; None where compiled code cannot do it."""
    exchange, other = server.exchanges
    travel = exchange.travel()
    nonnegative = travel if other is None else other.travel()
    return None if travel is None or nonnegative is None or not server.steps_alone else (travel, nonnegative)


def rows_of(server: Server, method: Combination, dimension: int, random: draws.Draws) -> Rows:
    """Return the messages of a server of vectors of this length, whose rows can travel."""
    exchange, other = server.exchanges
    ways = travels(server)
    assert ways is not None
    count, none = len(server.hosted), np.zeros((server.workers, 1), dtype=np.uint64)
    planes = (none, none, none[0]) if other is None else (other.table, other.rows, other.reply)
    own_nonnegative, nonnegative, answer_nonnegative = planes
    answer = exchange.reply
    coins = np.zeros(own_nonnegative.shape[1], dtype=np.uint64)
    common = {"coins": coins, "draws": random, "dimension": dimension, "zeros": POLICIES[method.zeros]}
    signs = Record(SIGN_ROW, stream=_ZERO_SIGN, **common)
    vote = Record(SIGN_ROW, stream=_TIE, positive=answer[1:], nonnegative=answer_nonnegative, **common)
    mean, dense = Record(DENSE_ROW, vector=answer.view(np.float64)[1:]), Record(DENSE_ROW)
    message, reply = {"signs": (signs, vote), "scaled-signs": (signs, mean), "dense": (dense, mean)}[method.message]
    flags = int(exchange.is_reducer), int(method.quadratic)
    own = exchange.table[:count], own_nonnegative[:count]
    rows = exchange.rows, nonnegative
    return Rows(server.hosted.start, *own, *rows, answer, message, reply, *flags, *ways)


@part_of_kernels
def _gradient(k: int, worker: int, parts: Parts, here: Here, rows: Rows) -> None:
    """Write the stochastic gradient of a worker, numbered among those of this rank."""
    number = rows.first + worker
    generator = draws.place(here.draws, _ORACLE, number, k)
    arguments = (parts.parameters, parts.settings, here.x, here.memory[worker], number, generator, here.gradient)
    call_ask(parts.ask, arguments)


@part_of_kernels
def _encode_all(k: int, alpha: float, parts: Parts, here: Here, rows: Rows, numbers: Floats) -> None:
    """Write the planes of this rank's workers, and their numbers, negative where the nonnegative plane differs."""
    row = rows.message
    row.k = k
    for worker in range(rows.own.shape[0]):
        _gradient(k, worker, parts, here, rows)
        row.worker = rows.first + worker
        row.positive, row.nonnegative = rows.own[worker, 1:], rows.own_nonnegative[worker]
        call_encode_signs(parts.encode, (parts.settings, here.gradient, alpha, here.memory[worker], row))
        numbers[worker, 0] = math.copysign(row.number, -1.0 if row.ternary != 0 else 1.0)


@part_of_kernels
def _complete(rows: Rows, numbers: Floats) -> None:
    """Write the nonnegative planes of the workers without zeros, which are their positive ones."""
    for worker in range(rows.own.shape[0]):
        if not np.signbit(numbers[worker, 0]):
            rows.own_nonnegative[worker, :] = rows.own[worker, 1:]


@part_of_kernels
def _vote(k: int, mean: float, ballots: Words, rows: Rows, answer: Floats) -> None:
    """Write the vote and the mean number into the reply's row; ballots: the nonnegative planes that came."""
    reply = rows.reply
    reply.k = k
    tied = majority_vote.vote(rows.arrived, ballots, reply.positive, reply.nonnegative)
    reply.apply_zero_policy(mean, tied)
    answer[0] = math.copysign(mean, -1.0 if reply.ternary != 0 else 1.0)


@part_of_kernels
def _add_scaled(mean: float, arrived: Floats, rows: Rows, answer: Floats) -> None:
    """Write the mean of the signs times their numbers, and of the numbers, into the reply's row."""
    mean_signs(arrived[:, 0], rows.arrived, rows.nonnegative, rows.reply.vector)
    answer[0] = mean


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
        counts: increased by how many steps there were, rounds with nonnegative planes and replies with one; the last
            one becomes MPI's error code.

    Returns:
        The k that comes next, or at which the reply is not finite or MPI failed.
    """
    numbers, arrived, answer = rows.own.view(np.float64), rows.arrived.view(np.float64), rows.answer.view(np.float64)
    reply, has_zeros, mean, code, none = rows.reply, False, 0.0, 0, rows.nonnegative[:0]
    for i in range(alphas.size):
        k = first + i
        _encode_all(k, alphas[i], parts, here, rows, numbers)
        code = gather(rows.travel, 0)
        if rows.reducing != 0:
            mean, has_zeros = mean_number(arrived[:, 0], rows.quadratic != 0)
            if has_zeros:
                rows.answer[0] = _SEND_WEAK
            else:
                _vote(k, mean, none, rows, answer)
        code = broadcast(rows.travel, code)
        weak = rows.answer[0] == _SEND_WEAK
        if weak:
            _complete(rows, numbers)
            code = gather(rows.nonnegative_travel, code)
            if rows.reducing != 0:
                _vote(k, mean, rows.nonnegative, rows, answer)
            code = broadcast(rows.travel, code)
        reply.number, reply.ternary = abs(answer[0]), 1 if np.signbit(answer[0]) else 0
        if reply.ternary != 0:
            code = broadcast(rows.nonnegative_travel, code)
        if code != 0 or not math.isfinite(reply.number):
            counts[3] = code
            return k
        counts[0] += 1
        counts[1] += weak
        counts[2] += reply.ternary
        call_step_signs(parts.step, (parts.settings, here.x, alphas[i], reply, here.shared))
    return first + alphas.size


def scaled_sign_rounds(first: int, alphas: Floats, parts: Parts, here: Here, rows: Rows, counts: Indices) -> int:
    """Iterate with the mean of scaled signs: see `ScaledSignServer`; arguments and answer as in `vote_rounds`."""
    numbers, arrived, answer = rows.own.view(np.float64), rows.arrived.view(np.float64), rows.answer.view(np.float64)
    reply, has_zeros, mean, code = rows.reply, False, 0.0, 0
    for i in range(alphas.size):
        _encode_all(first + i, alphas[i], parts, here, rows, numbers)
        code = gather(rows.travel, 0)
        if rows.reducing != 0:
            mean, has_zeros = mean_number(arrived[:, 0], rows.quadratic != 0)
            if has_zeros:
                rows.answer[0] = _SEND_WEAK
            else:
                _add_scaled(mean, arrived, rows, answer)
        code = broadcast(rows.travel, code)
        weak = rows.answer[0] == _SEND_WEAK
        if weak:
            _complete(rows, numbers)
            code = gather(rows.nonnegative_travel, code)
            if rows.reducing != 0:
                _add_scaled(mean, arrived, rows, answer)
            code = broadcast(rows.travel, code)
        reply.number = abs(answer[0])
        if code != 0 or not math.isfinite(reply.number):
            counts[3] = code
            return first + i
        counts[0] += 1
        counts[1] += weak
        call_step_dense(parts.step, (parts.settings, here.x, alphas[i], reply, here.shared))
    return first + alphas.size


def mean_rounds(first: int, alphas: Floats, parts: Parts, here: Here, rows: Rows, counts: Indices) -> int:
    """Iterate with the mean of dense gradients: see `MeanServer`; arguments and answer as in `vote_rounds`."""
    own, arrived, answer = rows.own.view(np.float64), rows.arrived.view(np.float64), rows.answer.view(np.float64)
    row, reply, code = rows.message, rows.reply, 0
    for i in range(alphas.size):
        for worker in range(own.shape[0]):
            _gradient(first + i, worker, parts, here, rows)
            row.vector = own[worker, 1:]
            call_encode_dense(parts.encode, (parts.settings, here.gradient, alphas[i], here.memory[worker], row))
            own[worker, 0] = row.number
        code = gather(rows.travel, 0)
        if rows.reducing != 0:
            mean_row(arrived, answer)
        code = broadcast(rows.travel, code)
        reply.number = answer[0]
        if code != 0 or not math.isfinite(reply.number):
            counts[3] = code
            return first + i
        counts[0] += 1
        call_step_dense(parts.step, (parts.settings, here.x, alphas[i], reply, here.shared))
    return first + alphas.size


Rounds: TypeAlias = Callable[[int, Floats, Parts, Here, Rows, Indices], int]

ROUNDS: dict[str, Rounds] = {"signs": vote_rounds, "scaled-signs": scaled_sign_rounds, "dense": mean_rounds}
"""By the kind of messages."""
