"""A route as a component: what componentize-py wants, over what a route is."""

from types import ModuleType
from typing import Any

import componentize_py_types as component
from wit_world.imports import host, types

from . import host as granted
from .msgpack import decode
from .route import Binding, Destinations, Exchange, Route, route_of
from .values import Refusal, Table, Timestamp


def export(module: ModuleType) -> type:
    """The class that componentize-py looks for, of the route in a module."""
    route = route_of(module)
    granted.connect(_Host(route.wants))

    class WitWorld(_World):
        route_class = route
        served = _Served(route())

    return WitWorld


class _Host:
    def __init__(self, wants: list[str]) -> None:
        # A component imports no more than its route wants.
        if "clock" in wants:
            from wit_world.imports import clock

            self.now_ms = clock.now_ms
        if "random" in wants:
            from wit_world.imports import random

            self.random = random.random
        if "load" in wants:
            from wit_world.imports import load

            self.queue_load = load.of
        if "state" in wants:
            from wit_world.imports import state

            self.state_get = state.get
            self.put = state.put

    def log(self, level: str, line: str) -> None:
        host.log(host.Level[level.upper()], line)

    def state_put(self, key: bytes, value: bytes) -> bool:
        try:
            self.put(key, value)
        except component.Err:
            return False
        return True

    def __getattr__(self, name: str) -> Any:
        raise PermissionError(f"{name} takes a capability that is not in the route's wants")


def _value(value: Any) -> Any:
    match value:
        case types.Value_Absent():
            return None
        case types.Value_Nested():
            return decode(value.value)
        case types.Value_Timestamp():
            return Timestamp(value.value)
    return value.value


def _table(entries: list[tuple[str, Any]]) -> Table:
    return Table((name, _value(value)) for name, value in entries)


def _binding(index: int, binding: types.Binding) -> Binding:
    kind = "queue" if binding.kind == types.DestinationKind.QUEUE else "exchange"
    return Binding(index, kind, binding.name, binding.key, _table(binding.arguments))


class _Served:
    """The one exchange that an instance of the component serves: WitWorld is made for each call."""

    def __init__(self, route: Route) -> None:
        self.route = route
        self.bound: list[Binding] = []


class _World:
    route_class: type[Route]
    served: _Served

    def describe(self) -> types.Description:
        route = self.route_class
        return types.Description(route.name, route.version, route.Header.reads(), list(route.wants))

    def configure(self, exchange: types.Exchange) -> None:
        told = Exchange(exchange.name, exchange.vhost, _table(exchange.arguments))
        self._told(lambda: self.served.route.configure(told))

    def check_binding(self, binding: types.Binding) -> None:
        self._told(lambda: self.served.route.check_binding(_binding(0, binding)))

    def bindings(self, bindings: list[types.Binding]) -> None:
        self.served.bound = [_binding(index, binding) for index, binding in enumerate(bindings)]
        self._told(lambda: self.served.route.bindings(self.served.bound))

    def route(self, fields: list[types.Value]) -> list[types.Destination]:
        destinations = Destinations()
        self._told(lambda: self._decide(fields, destinations))
        return [
            types.Destination_Queue(to) if isinstance(to, str) else types.Destination_Binding(to)
            for to in destinations.chosen
        ]

    def _decide(self, fields: list[types.Value], destinations: Destinations) -> None:
        header = self.route_class.Header([_value(field) for field in fields])
        self.served.route.route(header, self.served.bound, destinations)

    def _told(self, call: Any) -> None:
        try:
            call()
        except Refusal as refusal:
            raise component.Err(str(refusal)) from None
