"""What the broker gives to a route."""

from dataclasses import dataclass
from typing import Any

LEVELS = ("trace", "debug", "info", "warn", "error")

# Who answers: the broker inside a component, a stub in a test.
_host: Any = None


def connect(host: Any) -> None:
    """Names who answers. Not for routes."""
    global _host
    _host = host


@dataclass(frozen=True)
class Load:
    """How full a queue was a moment ago."""

    ready: int
    unacked: int
    consumers: int


def log(level: str, line: str) -> None:
    """Writes a line to the route's log. Levels: trace, debug, info, warn, error."""
    if level not in LEVELS:
        raise ValueError(f"there is no level {level}")
    _host.log(level, line)


def now_ms() -> int:
    """Unix milliseconds, the same within one call. Takes the capability clock."""
    return _host.now_ms()


def random() -> int:
    """A random number of 64 bits. Takes the capability random."""
    return _host.random()


def queue_load(index: int) -> Load | None:
    """How full the queue of a binding is; None where it leads to none. Takes the capability load."""
    return _host.queue_load(index)


def _bytes(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else bytes(value)


def state_get(key: str | bytes) -> bytes | None:
    """What is kept under a key. Takes the capability state, as do the next two."""
    return _host.state_get(_bytes(key))


def state_put(key: str | bytes, value: str | bytes) -> bool:
    """Keeps a value; False where there is no room, and nothing has changed."""
    return _host.state_put(_bytes(key), _bytes(value))


def state_remove(key: str | bytes) -> None:
    _host.state_put(_bytes(key), b"")
