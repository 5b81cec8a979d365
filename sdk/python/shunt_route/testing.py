"""Runs a route without a broker: declare its exchange, bind, and ask where messages go."""

from typing import Any

from . import host as granted
from .host import LEVELS, Load
from .route import Binding, Destinations, Exchange, Route
from .values import Table


class HostStub:
    """The host of a test: what it answers, and what it was told."""

    def __init__(self) -> None:
        self.clock_ms = 0
        self.seed = 1
        self.loads: dict[int, Load] = {}
        """By index; what is not here is no queue."""
        self.state: dict[bytes, bytes] = {}
        self.lines: list[tuple[str, str]] = []
        """Level and line of what was logged."""
        self.wants: list[str] = []

    def _needs(self, capability: str) -> None:
        if capability not in self.wants:
            raise PermissionError(f"the capability {capability} is not in the route's wants")

    def log(self, level: str, line: str) -> None:
        assert level in LEVELS
        self.lines.append((level, line))

    def now_ms(self) -> int:
        self._needs("clock")
        return self.clock_ms

    def random(self) -> int:
        self._needs("random")
        self.seed = (self.seed * 6364136223846793005 + 1) % (1 << 64)
        return self.seed

    def queue_load(self, index: int) -> Load | None:
        self._needs("load")
        return self.loads.get(index)

    def state_get(self, key: bytes) -> bytes | None:
        self._needs("state")
        return self.state.get(key)

    def state_put(self, key: bytes, value: bytes) -> bool:
        self._needs("state")
        if value:
            self.state[key] = value
        else:
            self.state.pop(key, None)
        return True


class Declared:
    """An exchange that a route serves. A refusal is raised."""

    def __init__(
        self, route: type[Route], arguments: dict[str, Any] | None = None, host: HostStub | None = None
    ) -> None:
        self.host = host or HostStub()
        self.host.wants = route.wants
        granted.connect(self.host)
        self._route = route()
        self._bindings: list[Binding] = []
        self._route.configure(Exchange("tested", "/", _value(arguments or {})))
        self._route.bindings([])

    def bind_queue(self, name: str, key: str = "", arguments: dict[str, Any] | None = None) -> None:
        self._bind("queue", name, key, arguments)

    def bind_exchange(self, name: str, key: str = "", arguments: dict[str, Any] | None = None) -> None:
        self._bind("exchange", name, key, arguments)

    def route(self, header: dict[str, Any] | None = None) -> list[str]:
        """The names of the destinations, in the order of the route's answer. A header is a
        dictionary of fields by their names in the contract, such as `headers.region`."""
        granted.connect(self.host)
        always = {"exchange": "tested", "vhost": "/", "user": "guest", "routing_key": "", "body_size": 0}
        given = {**always, **(header or {})}
        fields = self._route.Header
        destinations = Destinations()
        read = fields([_value(given.get(name)) for name in fields.reads()])
        self._route.route(read, self._bindings, destinations)
        return [to if isinstance(to, str) else self._bindings[to].name for to in destinations.chosen]

    def _bind(self, kind: str, name: str, key: str, arguments: dict[str, Any] | None) -> None:
        granted.connect(self.host)
        binding = Binding(len(self._bindings), kind, name, key, _value(arguments or {}))
        self._route.check_binding(binding)
        self._bindings.append(binding)
        self._route.bindings(self._bindings)


def _value(given: Any) -> Any:
    """Tables are dictionaries in a test."""
    if isinstance(given, dict):
        return Table((name, _value(value)) for name, value in given.items())
    return [_value(item) for item in given] if isinstance(given, list) else given
