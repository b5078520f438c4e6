"""Tables of a job file become objects; what does not fit is refused in one line that names the key.

A kind (a method, a problem, an oracle, a step, a start) is any callable: the keys that a job file may
give it are its keyword arguments. Where it is decorated with `settings` or `checked`, pydantic checks them against
their annotations; otherwise it checks them itself.
"""

import difflib
import re
import reprlib
from collections.abc import Callable, Mapping
from datetime import date
from functools import wraps
from io import TextIOWrapper
from typing import Annotated, Any, TextIO, TypeVar, cast, dataclass_transform

from pydantic import ConfigDict, Field, ValidationError, validate_call
from pydantic.dataclasses import dataclass
from pydantic_core import ErrorDetails

from mpisign.config.numbers import with_numbers

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., object])

_STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, arbitrary_types_allowed=True)
_STRICT_CALL = ConfigDict(strict=True, allow_inf_nan=False, arbitrary_types_allowed=True)

Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
BelowOne = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=1, le=2**31 - 1)]


_LONGEST = 500
"""Letters of a key that are shown; it may have been given with millions."""


class InputError(ValueError):
    """What a user gave does not fit: the command prints it as one line and exits with status 2.

    key: the path of the offending key, such as ``runs.0.step.alpha``, or a file's name, or "".
    complaint: what was expected, and what was found.
    """

    def __init__(self, key: str, complaint: str):
        named = key if len(key) <= _LONGEST else f"{key[: _LONGEST // 2]}...{key[-_LONGEST // 2 :]}"
        super().__init__(f"{named}: {complaint}" if key else complaint)
        self.key, self.complaint = key, complaint

    def inside(self, path: str) -> "InputError":
        """Return the same complaint, its key seen from one level further out."""
        return InputError(f"{path}.{self.key}" if self.key else path, self.complaint)


def described(error: BaseException) -> str:
    """Return where it happened, as its first note says, and what: one line."""
    where = getattr(error, "__notes__", [])[:1]
    what = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, OSError) and error.strerror:  # without Python's number in front
        what = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return ": ".join([*where, what])


def advised(error: BaseException) -> str:
    """Return what to do then, as its further notes say, to be put behind what happened."""
    return "".join(f"; {note}" for note in getattr(error, "__notes__", [])[1:])


@dataclass_transform(kw_only_default=True, frozen_default=True)
def settings(cls: type[T]) -> type[T]:
    """Return a frozen dataclass with keyword arguments only, checked strictly when it is made: raises InputError."""
    made = dataclass(cls, frozen=True, kw_only=True, config=_STRICT)
    checking = _refusing(made.__init__, with_numbers(cls))

    @wraps(made.__init__)
    def by_keyword(self: T, *by_position: object, **named: object) -> None:
        if by_position:
            first = next(iter(getattr(cls, "__annotations__", {})), "name")
            raise InputError("", f"{cls.__name__}: expected settings by keyword, such as {first}={by_position[0]!r}")
        checking(self, **named)

    made.__init__ = by_keyword  # type: ignore[method-assign,assignment]
    return cast(type[T], made)


def checked(function: F) -> F:
    """Return a function whose keyword arguments are checked strictly when it is called: raises InputError."""
    return _refusing(validate_call(config=_STRICT_CALL)(function), with_numbers(function))


def _refusing(function: F, read: Callable[[Mapping[str, Any]], dict[str, Any]]) -> F:
    """Return a function whose complaints by pydantic are InputError, which names the key.

    read: what its arguments by keyword are passed through.
    """

    @wraps(function)
    def refusing(*arguments: Any, **named: Any) -> Any:
        try:
            return function(*arguments, **read(named))
        except ValidationError as error:
            raise InputError(*_first(error)) from None

    return cast(F, refusing)


def make(maker: Callable[..., T], table: Mapping[str, object], path: str) -> T:
    """Return maker(**table); every complaint names its key below `path`.

    Raises InputError for what `maker` refuses: where it is decorated with `settings` or `checked`, an unknown or
    missing key, or a wrong type; and where it raises InputError itself, an impossible value.
    """
    try:
        return maker(**table)
    except InputError as error:
        raise (error.inside(path) if path else error) from None


def closest(name: str, known: list[str]) -> str:
    """Return what to say after an unknown name: a near match if there is one, and what is known."""
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    return f"{hint}known: {', '.join(known) or 'none'}"


def refuse_unknown(table: Mapping[str, object], known: list[str], path: str, name: str = "") -> None:
    """Raise InputError for a key that is not known; name: whose keys they are, where it may take none."""
    for key in table:
        if key not in known:
            hint = closest(key, known) if known else f"{name} takes no keys"
            raise InputError(f"{path}.{key}" if path else key or '""', f"unknown key; {hint}")


def shown(value: object) -> str:
    """Return a value in a complaint, as TOML writes it: short, whatever it is."""
    return _SHORT.repr(value)


def one_line(text: str) -> str:
    r"""Return text without anything that a terminal would not print as it is: \n for a line's end."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def in_utf8(name: str) -> str:
    r"""Return a file's name as text for a file: \xff for a byte that is not UTF-8."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def spell_out(stream: TextIO) -> None:
    r"""From here on, what the stream's encoding does not have is written as \u03b1, not refused by a traceback."""
    if isinstance(stream, TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")


class _Short(reprlib.Repr):
    """At most some of each level, and six levels."""

    def repr_int(self, x: int, level: int) -> str:
        return repr(x) if abs(x) < 10**60 else f"an integer of {x.bit_length()} bits"

    def repr_bool(self, x: bool, level: int) -> str:
        return str(x).lower()

    def repr_date(self, x: date, level: int) -> str:
        return x.isoformat()

    repr_datetime = repr_time = repr_date


_SHORT = _Short()
_SHORT.maxstring = _SHORT.maxother = 120


def _first(error: ValidationError) -> tuple[str, str]:
    detail: ErrorDetails = error.errors(include_url=False)[0]
    # A part in brackets is no key: it is the tag of one member of a union.
    key = ".".join(str(part) for part in detail["loc"] if not re.fullmatch(r"\[.*\]", str(part)))
    cause = detail.get("ctx", {}).get("error")
    if isinstance(cause, InputError):  # raised by __post_init__, where pydantic knows no key
        return cause.key, cause.complaint
    match detail["type"]:
        case "unexpected_keyword_argument" | "unexpected_positional_argument":
            return key, "unknown key"
        case "missing" | "missing_argument" | "missing_keyword_only_argument":
            return key, "missing, and it has no default"
        case _:
            return key, f"expected {_expected(detail)}, got {shown(detail['input'])}"


def _expected(detail: ErrorDetails) -> str:
    """Return pydantic's words, where they are those of a TOML file."""
    if detail["type"] in ("dict_type", "mapping_type"):
        return "a table"
    words = detail["msg"].removeprefix("Input should be ").removeprefix("Value error, ").replace("a valid", "a", 1)
    return f"a number {words}" if words.startswith(("greater", "less")) else words.replace("a integer", "an integer", 1)
