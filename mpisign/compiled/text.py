"""A function of a kind, written once, that runs plain or compiled, and the parameters that it is called with."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple


def named(function: Any) -> str:
    """Return the full name of a function."""
    return f"{function.__module__}.{function.__qualname__}"


class Text:
    """A function that calls others of its sort: plain, all of them run in Python; compiled, none does.

    >>> double = Text.of(lambda parameters, x: 2 * x)
    >>> quadruple = Text(lambda inner: lambda parameters, x: inner(parameters, inner(parameters, x)), double)
    >>> quadruple.plain(None, 3)
    12

    Args:
        write: Returns the function, given those that it calls.
        calls: The texts of these.
    """

    def __init__(self, write: Callable[..., Callable[..., Any]], *calls: "Text"):
        self._write, self._calls = write, calls

    @classmethod
    def of(cls, function: Callable[..., Any]) -> "Text":
        """Return the text of a function that calls no other text."""
        return cls(lambda: function)

    @property
    def plain(self) -> Callable[..., Any]:
        """Return the function for the interpreter."""
        return self._write(*(text.plain for text in self._calls))

    def compiled(self, compile_one: Callable[[Callable[..., Any], str], Any]) -> Any:
        """Return the function for a compiler, which `compile_one` makes of each function and, of a closure, its key."""
        key = self.key if self._calls else ""
        return compile_one(self._write(*(text.compiled(compile_one) for text in self._calls)), key)

    @property
    def key(self) -> str:
        """Return the names of all its functions."""
        return " ".join(named(function) for function in self.functions())

    def functions(self) -> list[Callable[..., Any]]:
        """Return all functions that it is made of, this one first."""
        inner = [function for text in self._calls for function in text.functions()]
        return [self.plain, *inner]


class Part(NamedTuple):
    """A text with its parameters.

    Attributes:
        text: Called with the parameters first.
        parameters: A tuple with named fields: C-contiguous arrays, numbers, and tuples of these.
        compilable: Whether it runs compiled, too, with the same bits.
    """

    text: Text
    parameters: Any
    compilable: bool = True

    def function(self) -> Callable[..., Any]:
        """Return the function for the interpreter, with its parameters."""
        return Bound(self)


class Bound(partial[Any]):
    """A function with its parameters, of which one can still see what it is made of.

    Attributes:
        part: The text and the parameters.
    """

    part: Part

    def __new__(cls, part: Part) -> "Bound":
        """Bind the parameters of a part."""
        made = super().__new__(cls, part.text.plain, part.parameters)
        made.part = part
        return made


def part_of(function: Callable[..., Any]) -> Part:
    """Return what a function is made of; one that is no `Bound` runs in the interpreter alone."""
    if isinstance(function, Bound):
        return function.part
    return Part(Text.of(lambda parameters, *arguments: function(*arguments)), (), compilable=False)


def composed(write: Callable[..., Callable[..., Any]], parameters: Any, *parts: Part) -> Part:
    """Return the part whose function `write` returns, given the functions of `parts`."""
    return Part(Text(write, *(part.text for part in parts)), parameters, all(part.compilable for part in parts))
