"""Names of kinds, and how one is found: built in, installed as an entry point, or by its dotted path."""

import importlib
import inspect
from collections.abc import Callable, Collection, Iterator, Mapping
from importlib.metadata import entry_points
from typing import Generic, TypeVar

from mpisign.settings import BadInput, closest, make

T = TypeVar("T")


class Registry(Collection[str], Generic[T]):
    """The kinds of one sort: name -> maker, in the order in which they were added.

    sort: the plural word used in messages and as the entry point group ``mpisign.<sort>``.
    """

    def __init__(self, sort: str, **makers: Callable[..., T]):
        self.sort = sort
        self._makers = {name.replace("_", "-"): maker for name, maker in makers.items()}

    def __iter__(self) -> Iterator[str]:
        return iter({**self._makers, **{point.name: None for point in self._installed()}})

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __contains__(self, name: object) -> bool:
        return name in list(iter(self))

    def __getitem__(self, name: str) -> Callable[..., T]:
        """The maker called `name`; raises BadInput when there is none."""
        if name in self._makers:
            return self._makers[name]
        for point in self._installed():
            if point.name == name:
                return point.load()  # type: ignore[no-any-return]
        if ":" in name:
            return self._from_path(name)
        raise BadInput("", f"no {self.sort} called {name!r}; {closest(name, list(self))}")

    def make(self, table: Mapping[str, object], path: str, kind: str = "kind") -> T:
        """The object that `table` describes: its key `kind` names the maker, the others are its arguments.

        Raises BadInput, naming the key below `path`.
        """
        name = table.get(kind)
        if not isinstance(name, str):
            found = f"got {name!r}" if kind in table else "it is missing"
            raise BadInput(f"{path}.{kind}", f"expected one of {', '.join(self)}; {found}")
        try:
            maker = self[name]
        except BadInput as error:
            raise BadInput(f"{path}.{kind}", error.complaint) from None
        arguments = {key: value for key, value in table.items() if key != kind}
        _refuse_unknown(maker, name, arguments, path)
        return make(maker, arguments, path)

    def describe(self) -> Iterator[tuple[str, str]]:
        """Each name with the first line of its maker's docstring."""
        for name in self:
            yield name, (inspect.getdoc(self[name]) or "").partition("\n")[0]

    def _installed(self) -> list[importlib.metadata.EntryPoint]:
        return list(entry_points(group=f"mpisign.{self.sort}"))

    def _from_path(self, name: str) -> Callable[..., T]:
        module, _, attribute = name.partition(":")
        try:
            return getattr(importlib.import_module(module), attribute)  # type: ignore[no-any-return]
        except (ImportError, AttributeError) as error:
            raise BadInput("", f"cannot load {name!r}: {error}") from None


def _refuse_unknown(maker: Callable[..., object], name: str, arguments: Mapping[str, object], path: str) -> None:
    known = list(inspect.signature(maker).parameters)
    for key in arguments:
        if key not in known:
            hint = closest(key, known) if known else f"{name} takes no keys"
            raise BadInput(f"{path}.{key}", f"unknown key; {hint}")
