"""Routes for the Shunt message broker in Python."""

from .fields import (
    Fields, anything, array, boolean, integer, number, optional_array, optional_boolean,
    optional_integer, optional_number, optional_table, optional_text, octets, optional_octets,
    table, text,
)
from .host import Load, log, now_ms, queue_load, random, state_get, state_put, state_remove
from .route import Binding, Destinations, Exchange, Route
from .values import Decimal, Refusal, Table, Timestamp, equal

__all__ = [
    "Binding", "Decimal", "Destinations", "Exchange", "Fields", "Load", "Refusal", "Route", "Table",
    "Timestamp", "anything", "array", "boolean", "equal", "integer", "log", "now_ms", "number",
    "octets", "optional_array", "optional_boolean", "optional_integer", "optional_number",
    "optional_octets", "optional_table", "optional_text", "queue_load", "random", "state_get",
    "state_put", "state_remove", "table", "text",
]
