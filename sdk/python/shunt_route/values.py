"""AMQP's values: Python's own, and classes for what Python has none for."""

from dataclasses import dataclass
from typing import Any


class Refusal(Exception):
    """A reason against a message, an exchange or a binding: raise it."""


@dataclass(frozen=True)
class Timestamp:
    """A point in time, in seconds since 1970."""

    seconds: int


@dataclass(frozen=True)
class Decimal:
    """`digits` with `scale` of them behind the point."""

    scale: int
    digits: int


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


# What a value may be read as: the name of it, and whether a value is one.
KINDS = {
    "text": ("a string", lambda value: isinstance(value, str)),
    "integer": ("an integer", _is_integer),
    "number": ("a number", lambda value: isinstance(value, float) or _is_integer(value)),
    "boolean": ("a boolean", lambda value: isinstance(value, bool)),
    "octets": ("a byte array", lambda value: isinstance(value, bytes)),
    "array": ("an array", lambda value: isinstance(value, list)),
    "table": ("a table", lambda value: isinstance(value, Table)),
}


def read(kind: str, is_optional: bool, name: str, value: Any) -> Any:
    """The value as that kind; what is missing, or something else, is refused by its name."""
    if value is None:
        if is_optional:
            return None
        raise Refusal(f"{name} is missing")
    expected, is_one = KINDS[kind]
    if not is_one(value):
        raise Refusal(f"{name} is not {expected}")
    return float(value) if kind == "number" else value


class Table(dict):
    """A table of AMQP, arguments or headers: a dictionary with readers that refuse."""

    def text(self, name: str) -> str:
        return read("text", False, name, self.get(name))

    def integer(self, name: str) -> int:
        return read("integer", False, name, self.get(name))

    def number(self, name: str) -> float:
        return read("number", False, name, self.get(name))

    def boolean(self, name: str) -> bool:
        return read("boolean", False, name, self.get(name))

    def optional_text(self, name: str) -> str | None:
        return read("text", True, name, self.get(name))

    def optional_integer(self, name: str) -> int | None:
        return read("integer", True, name, self.get(name))

    def optional_number(self, name: str) -> float | None:
        return read("number", True, name, self.get(name))

    def optional_boolean(self, name: str) -> bool | None:
        return read("boolean", True, name, self.get(name))


def equal(a: Any, b: Any) -> bool:
    """Whether two values are of the same type and value: in Python 1 == 1.0 == True."""
    if type(a) is not type(b):
        return False
    if isinstance(a, list):
        return len(a) == len(b) and all(map(equal, a, b))
    if isinstance(a, dict):
        return list(a) == list(b) and all(map(equal, a.values(), b.values()))
    return a == b
