"""What a route is made of."""

from dataclasses import dataclass
from types import ModuleType
from typing import Any, ClassVar

from .fields import Fields
from .values import Table


@dataclass(frozen=True)
class Binding:
    """A binding of the exchange."""

    index: int
    """Its place: what an answer says."""
    kind: str
    """`queue` or `exchange`."""
    name: str
    key: str
    arguments: Table


@dataclass(frozen=True)
class Exchange:
    """The exchange that a route decides for."""

    name: str
    vhost: str
    arguments: Table


class Destinations:
    """Where a message goes."""

    def __init__(self) -> None:
        self.chosen: list[int | str] = []

    def add(self, index: int) -> None:
        """To where the binding of that index leads."""
        if not isinstance(index, int) or not 0 <= index < 1 << 32:
            raise ValueError(f"{index!r} is no index")
        self.chosen.append(int(index))

    def add_queue(self, name: str) -> None:
        """To the queue of that name; only where the deployment allows it."""
        if not isinstance(name, str):
            raise TypeError("the name of a queue is a string")
        self.chosen.append(name)


class Route:
    """A route: derive from it, name it, and say where a message goes.

    There is one object for an exchange, made anew at any time: what it keeps is a cache.
    """

    name: ClassVar[str]
    version: ClassVar[str]
    Header: ClassVar[type[Fields]] = Fields
    """What the route reads of a message; it is handed nothing else."""
    wants: ClassVar[list[str]] = []
    """The capabilities that it needs: clock, random, load, state."""

    def configure(self, exchange: Exchange) -> None:
        """The exchange is declared."""

    def check_binding(self, binding: Binding) -> None:
        """A binding is about to be stored."""

    def bindings(self, bindings: list[Binding]) -> None:
        """The bindings have changed: prepare here."""

    def route(self, header: Any, bindings: list[Binding], destinations: Destinations) -> None:
        """Decides about one message."""
        raise NotImplementedError


def route_of(module: ModuleType) -> type[Route]:
    """The one route that a module defines."""
    found = [
        value for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Route) and value.__module__ == module.__name__
    ]
    if len(found) != 1:
        raise TypeError(f"{module.__name__} defines {len(found)} routes, a module has one")
    for name in ("name", "version"):
        if not isinstance(getattr(found[0], name, None), str):
            raise TypeError(f"{found[0].__name__} has no {name}")
    return found[0]
