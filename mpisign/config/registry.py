"""Names of kinds, and how one is found: built in, installed as an entry point, or by its dotted path."""

import importlib
import inspect
import typing
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar

from mpisign.config.numbers import with_numbers
from mpisign.config.validation import InputError, closest, described, make, refuse_unknown, shown

T = TypeVar("T")


class Registry(Collection[str], Generic[T]):
    """The kinds of one sort: name -> maker, in the order in which they were added.

    sort: the plural word used in messages and as the entry point group ``mpisign.<sort>``.
    base: what every maker makes.
    """

    def __init__(self, sort: str, base: type[object], **makers: Callable[..., T]):
        self.sort, self.base = sort, base
        self._makers = {name.replace("_", "-"): maker for name, maker in makers.items()}

    def __iter__(self) -> Iterator[str]:
        return iter({**self._makers, **{point.name: None for point in _installed(self.sort)}})

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __contains__(self, name: object) -> bool:
        return name in list(iter(self))

    def __getitem__(self, name: str) -> Callable[..., T]:
        """Return the maker called `name`; raises InputError when there is none."""
        if name in self._makers:
            return self._makers[name]
        for point in _installed(self.sort):
            if point.name == name:
                return self._loaded(point)
        if ":" in name:
            return self._from_path(name)
        raise InputError("", f"no {self.sort.removesuffix('s')} called {shown(name)}; {closest(name, list(self))}")

    def built_in(self, name: str) -> Callable[..., T] | None:
        """Return the maker of this name that the package itself has, None for one that is installed."""
        return self._makers.get(name)

    def make(
        self, table: Mapping[str, object], path: str, kind: str = "kind", also: Iterable[str] = (), **given: object
    ) -> T:
        """Return the object that `table` describes: its key `kind` names the maker, the others are its arguments.

        also: keys that may stand beside these, for the hint after an unknown one. given: what a maker gets that asks
        for it, and that no table may hold.

        Raises InputError, naming the key below `path`.
        """
        name = table.get(kind)
        if not isinstance(name, str):
            found = f"got {shown(name)}" if kind in table else "it is missing"
            raise InputError(f"{path}.{kind}", f"expected one of {', '.join(self)}; {found}")
        try:
            maker = self[name]
        except InputError as error:
            raise InputError(f"{path}.{kind}", error.complaint) from None
        arguments = {key: value for key, value in table.items() if key != kind}
        asked = inspect.signature(maker).parameters
        refuse_unknown(arguments, [*(key for key in asked if key not in given), *also], path, name)
        arguments |= {key: value for key, value in given.items() if key in asked}
        _refuse_missing(asked.values(), arguments, path)
        try:
            made = make(maker, arguments, path)
        except OSError as error:  # of a kind that reads a file of its own
            raise InputError(path, f"{name}: {described(error)}") from None
        if not isinstance(made, self.base):
            raise InputError(f"{path}.{kind}", f"expected what {shown(name)} makes to be of class {self.base.__name__}")
        return made

    def filled(self, table: Mapping[str, object], kind: str = "kind") -> dict[str, object]:
        """Return `table`, for which `make` makes something, with the defaults of the keys that it leaves out.

        Without those that are no plain value, such as None. Fractions are the numbers that a run takes for them.
        """
        try:
            maker = self[str(table[kind])]
        except InputError:  # a class that only the script knows that has made an object of it
            return dict(table)
        asked = inspect.signature(maker).parameters.items()
        plain = {key: each.default for key, each in asked if isinstance(each.default, str | bool | int | float)}
        return {**plain, **with_numbers(maker)(table)}

    def describe(self) -> Iterator[tuple[str, str]]:
        """Return each name with the first line of its maker's docstring, or with what keeps it from being imported."""
        for name in self:
            try:
                yield name, (inspect.getdoc(self[name]) or "").partition("\n")[0]
            except InputError as error:
                yield name, str(error)

    def _loaded(self, point: EntryPoint) -> Callable[..., T]:
        try:
            return point.load()  # type: ignore[no-any-return]
        except Exception as error:  # a module may raise anything when it is imported
            raise InputError("", f"{shown(point.name)}, installed as {point.value}: {_reason(error)}") from None

    def _from_path(self, name: str) -> Callable[..., T]:
        """Return what a dotted path names, which was not called yet.

        Importing it runs that module, as any import does.
        """
        module, _, attribute = name.partition(":")
        try:
            maker: Callable[..., T] = getattr(importlib.import_module(module), attribute)
            inspect.signature(maker)
            fits = self._fits(maker)
        except Exception as error:  # a module may raise anything when it is imported
            wanted = f"expected package.module:Name, {self._wanted()}"
            raise InputError("", f"{wanted}; {shown(name)}: {_reason(error)}") from None
        if not fits:
            raise InputError("", f"expected package.module:Name, {self._wanted()}; {shown(name)} is none")
        return maker

    def _fits(self, maker: Callable[..., T]) -> bool:
        """Return whether it says that it makes one of these: nothing else that a file names is ever called."""
        made = maker if inspect.isclass(maker) else typing.get_type_hints(maker).get("return")
        return inspect.isclass(made) and issubclass(made, self.base)

    def _wanted(self) -> str:
        base = self.base.__name__
        return f"a subclass of {base}, or a function whose annotation says that it returns one"


def _reason(error: Exception) -> str:
    hint = "; is its folder on PYTHONPATH?" if isinstance(error, ModuleNotFoundError) else ""
    return f"{type(error).__name__}: {error}{hint}"


def _refuse_missing(asked: Iterable[inspect.Parameter], arguments: Mapping[str, object], path: str) -> None:
    """Refuse missing settings, also where a kind is not decorated with `checked`.

    Python's own complaint would be a traceback.
    """
    for parameter in asked:
        named = parameter.kind in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        if named and parameter.default is parameter.empty and parameter.name not in arguments:
            raise InputError(f"{path}.{parameter.name}", "missing, and it has no default")


@cache
def _installed(sort: str) -> tuple[EntryPoint, ...]:
    """Return what installed packages add; looked for once, since that takes longer than to plan a run."""
    return tuple(entry_points(group=f"mpisign.{sort}"))
