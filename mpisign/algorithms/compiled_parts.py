"""Compile what differs between methods and oracles: to ask for a gradient, to encode a message, to step."""

from collections import namedtuple
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, NamedTuple, TypeAlias

from mpisign.aggregation.compiled_messages import ASK, DENSE_ROW, SIGN_ROW, Parts, encode_of, step_of
from mpisign.algorithms.methods import Method
from mpisign.arrays import Floats
from mpisign.compiled.parameters import Block, loader
from mpisign.compiled.routines import Budget, address, compiled, routine
from mpisign.compiled.text import Part
from mpisign.jit import also_in_kernels

MESSAGES = {"signs": (SIGN_ROW, SIGN_ROW), "scaled-signs": (SIGN_ROW, DENSE_ROW), "dense": (DENSE_ROW, DENSE_ROW)}
"""Numba's types of a worker's message and of the reply."""


class Compiled(NamedTuple):
    """A method and an oracle, compiled.

    Attributes:
        parts: The addresses of the routines and of their parameters.
        owners: What keeps the parameters where they are.
    """

    parts: Parts
    owners: tuple[object, ...]


def compiled_parts(method: Method, part: Part, budget: Budget) -> Compiled:
    """Return the routines of a method and of a stochastic gradient, text(parameters, x, worker, generator, out).

    Raises:
        NotOnDisk: One of them is not there, and the budget is spent.
    """
    settings, parameters = Block(_settings(method)), Block(part.parameters)
    sent, replied = MESSAGES[method.message]
    rows = method.memory(1).ndim
    needed = [
        (*_asking(method, part, settings.kind, parameters.kind, rows), ASK),
        (*_encoding(method, settings.kind, rows), encode_of(sent)),
        (*_stepping(method, settings.kind), step_of(replied)),
    ]
    ask, encode, step = (address(routine(function, kinds, key, budget)) for function, key, kinds in needed)
    return Compiled(Parts(ask, parameters.address, encode, step, settings.address), (settings, parameters))


def _settings(method: Method) -> Any:
    """Return a method's settings as a tuple with named fields."""
    names = [field.name for field in fields(method)] if is_dataclass(method) else sorted(vars(method))
    return _fields(type(method).__name__, *names)(*(getattr(method, name) for name in names))


@cache
def _fields(name: str, *names: str) -> Any:
    """Return the class of a tuple with these fields; the same one for the same names."""
    return namedtuple(name, names)


@also_in_kernels
def _as_it_is(memory: Floats, dimension: int) -> Floats:
    return memory


@also_in_kernels
def _in_rows(memory: Floats, dimension: int) -> Floats:
    return memory.reshape((memory.size // dimension, dimension))


def _shape(axes: int) -> Callable[[Floats, int], Floats]:
    """Return what gives a worker's flat memory the shape that its method wants."""
    if axes > 2:
        raise TypeError("a memory of more than two axes has no compiled form")
    return _in_rows if axes == 2 else _as_it_is


Written: TypeAlias = tuple[Callable[..., None], list[object]]
"""A function to compile, and what it is made of."""


def _asking(method: Method, part: Part, settings: Any, parameters: Any, axes: int) -> Written:
    """Return ask(parameters, settings, x, memory, worker, generator, gradient)."""
    source, load = part.text.compiled(compiled), loader(parameters)
    made_of = [*part.text.functions(), parameters]
    if type(method).query is Method.query:

        def ask(p: int, s: int, x: Floats, memory: Floats, worker: int, generator: Any, gradient: Floats) -> None:
            source(load(p), x, worker, generator, gradient)

        return ask, made_of
    query, load_settings, shape = compiled(type(method).query), loader(settings), _shape(axes)

    def ask_elsewhere(p: int, s: int, x: Floats, memory: Floats, worker: int, generator: Any, gradient: Floats) -> None:
        point = query(load_settings(s), x, shape(memory, x.size))
        source(load(p), point, worker, generator, gradient)

    return ask_elsewhere, [*made_of, type(method).query, settings, axes]


def _encoding(method: Method, settings: Any, axes: int) -> Written:
    """Return encode(settings, gradient, alpha, memory, message)."""
    if type(method).encode is Method.encode:  # of most methods: one routine for all of them

        def put(s: int, gradient: Floats, alpha: float, memory: Floats, message: Any) -> None:
            message.put(gradient)

        return put, []
    inner, load, shape = compiled(type(method).encode), loader(settings), _shape(axes)

    def encode(s: int, gradient: Floats, alpha: float, memory: Floats, message: Any) -> None:
        inner(load(s), gradient, alpha, shape(memory, gradient.size), message)

    return encode, [type(method).encode, settings, axes]


def _stepping(method: Method, settings: Any) -> Written:
    """Return step(settings, x, alpha, reply, shared)."""
    inner, load = compiled(type(method).step), loader(settings)

    def step(s: int, x: Floats, alpha: float, reply: Any, shared: Floats) -> None:
        inner(load(s), x, alpha, reply, shared)

    return step, [type(method).step, settings]
