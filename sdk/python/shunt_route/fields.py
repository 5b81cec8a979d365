"""The fields of a message's header that a route reads."""

from typing import Any

from .values import Table, read


class _Field:
    """A field by its name in the contract, and what it must be."""

    def __init__(self, name: str, kind: str | None = None, is_optional: bool = False) -> None:
        self.name = name
        self.kind = kind
        self.is_optional = is_optional

    def read(self, value: Any) -> Any:
        if self.kind is None:
            return value
        return read(self.kind, self.is_optional, self.name, value)


class Fields:
    """The header of a message as its route reads it: a class with a field for each attribute.

    class Header(Fields):
        region: str = text("headers.region")
    """

    _fields: dict[str, _Field] = {}

    def __init_subclass__(cls) -> None:
        own = {name: field for name, field in vars(cls).items() if isinstance(field, _Field)}
        cls._fields = {**cls._fields, **own}

    def __init__(self, values: list[Any]) -> None:
        for (name, field), value in zip(self._fields.items(), values):
            setattr(self, name, field.read(value))

    @classmethod
    def reads(cls) -> list[str]:
        """The names of the fields, in the order in which they come."""
        return [field.name for field in cls._fields.values()]


# They say what the attribute is once a message is there, so that editors and checkers know.


def text(name: str) -> str:
    return _Field(name, "text")  # type: ignore[return-value]


def integer(name: str) -> int:
    return _Field(name, "integer")  # type: ignore[return-value]


def number(name: str) -> float:
    return _Field(name, "number")  # type: ignore[return-value]


def boolean(name: str) -> bool:
    return _Field(name, "boolean")  # type: ignore[return-value]


def octets(name: str) -> bytes:
    return _Field(name, "octets")  # type: ignore[return-value]


def array(name: str) -> list[Any]:
    return _Field(name, "array")  # type: ignore[return-value]


def table(name: str) -> Table:
    return _Field(name, "table")  # type: ignore[return-value]


def optional_text(name: str) -> str | None:
    return _Field(name, "text", True)  # type: ignore[return-value]


def optional_integer(name: str) -> int | None:
    return _Field(name, "integer", True)  # type: ignore[return-value]


def optional_number(name: str) -> float | None:
    return _Field(name, "number", True)  # type: ignore[return-value]


def optional_boolean(name: str) -> bool | None:
    return _Field(name, "boolean", True)  # type: ignore[return-value]


def optional_octets(name: str) -> bytes | None:
    return _Field(name, "octets", True)  # type: ignore[return-value]


def optional_array(name: str) -> list[Any] | None:
    return _Field(name, "array", True)  # type: ignore[return-value]


def optional_table(name: str) -> Table | None:
    return _Field(name, "table", True)  # type: ignore[return-value]


def anything(name: str) -> Any:
    """Whatever comes; None where it isn't there."""
    return _Field(name)
