"""The guests, without a broker."""

import json
import struct
import sys
import unittest
from pathlib import Path

SDK = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(SDK), str(SDK / "guests")]

import all as every  # noqa: E402

from shunt_route import Decimal, Load, Refusal, Route, Table, Timestamp, equal, now_ms  # noqa: E402
from shunt_route.msgpack import decode  # noqa: E402
from shunt_route.route import route_of  # noqa: E402
from shunt_route.testing import Declared, HostStub  # noqa: E402


def conformance(name):
    return json.loads((SDK.parent / "conformance" / f"{name}.json").read_text())


class Guests(unittest.TestCase):
    def test_the_contracts_data(self):
        for name in ("fixed", "hash"):
            file, guest = conformance(name), every.GUESTS[name]
            self.assertEqual(file["describe"]["reads"], guest.Header.reads())
            self.assertEqual((guest.name, guest.version), (name, file["describe"]["version"]))
            for exchange in file["exchanges"]:
                declared = Declared(guest, exchange.get("arguments"))

                def bind(bindings):
                    for kind, to, key, arguments in bindings:
                        bound = declared.bind_queue if kind == "queue" else declared.bind_exchange
                        bound(to, key, arguments)

                bind(exchange["bindings"])
                for case in exchange["cases"]:
                    if "bind" in case:
                        bind(case["bind"])
                    elif "queues" in case:
                        self.assertEqual(declared.route(case.get("header")), case["queues"], case["name"])

    def test_by_header_compares_type_and_value(self):
        declared = Declared(every.GUESTS["by-header"])
        values = [None, True, 0, 1, 1.0, "1", b"1", Timestamp(1), Decimal(2, 1), [1, [3.5, None]], {"a": 1}, [], {}]
        for index, value in enumerate(values):
            declared.bind_queue(f"q{index}", "", {"value": value})
        for index, value in enumerate(values):
            self.assertEqual(declared.route({"headers.value": value}), [f"q{index}"])
        self.assertFalse(equal(Table(a=1), Table(b=1)))

    def test_reasons(self):
        refuse = every.GUESTS["refuse"]
        with self.assertRaisesRegex(Refusal, "^not this$"):
            Declared(refuse, {"x-refuse": "not this"})
        with self.assertRaisesRegex(Refusal, "^x-refuse is not a string$"):
            Declared(refuse, {"x-refuse": True})
        declared = Declared(refuse)
        with self.assertRaisesRegex(Refusal, "^the key is refuse$"):
            declared.bind_queue("a", "refuse")
        with self.assertRaisesRegex(Refusal, "^headers.reason is not a string$"):
            declared.route({"headers.reason": 7})

    def test_capabilities(self):
        host = HostStub()
        declared = Declared(every.GUESTS["capabilities"], host=host)
        for queue in "abc":
            declared.bind_queue(queue)
        host.clock_ms = 1_700_000_000_000
        host.loads = {0: Load(2, 0, 0), 1: Load(1, 0, 0), 2: Load(3, 0, 0)}
        keys = ["clock", "random", "log", "load", "state", "state", "state-remove", "state", "state-long"]
        routed = [declared.route({"routing_key": key})[0] for key in keys]
        self.assertEqual(routed, list("aaababaaa"))
        self.assertEqual(host.lines, [("warn", "a line of the guest: größe")])

        class Without(Route):
            name = "n"
            version = "1"

            def route(self, header, bindings, destinations):
                now_ms()

        with self.assertRaisesRegex(PermissionError, "clock is not in the route's wants"):
            Declared(Without).route()

    def test_all_guests_behind_one(self):
        declared = Declared(every.All, {"x-guest": "hash"})
        declared.bind_queue("a")
        self.assertEqual(declared.route(), ["a"])
        self.assertIs(route_of(every), every.All)
        with self.assertRaisesRegex(TypeError, "defines 0 routes"):
            route_of(json)


class MessagePack(unittest.TestCase):
    def test_each_form(self):
        for data, value in [
            (b"\x05", 5), (b"\xff", -1), (b"\xc0", None), (b"\xc3", True), (b"\xa1a", "a"), (b"\xcd\x01\x00", 256),
            (b"\xcf" + b"\xff" * 8, 2**64 - 1), (b"\xd3" + b"\xff" * 8, -1), (b"\xca" + struct.pack(">f", 0.75), 0.75),
            (b"\xc4\x01\x80", b"\x80"), (b"\xda\x00\x01a", "a"), (b"\x92\x01\x90", [1, []]), (b"\xdc\x00\x01\x07", [7]),
            (b"\x81\xa1a\x80", {"a": {}}), (b"\xde\x00\x01\xa1a\x01", {"a": 1}), (b"\xd6\xff\x00\x00\x00\x07", Timestamp(7)),
            (b"\xd7\xff\x00\x00\x00\x03\xff\xff\xff\xff", Timestamp(2**34 - 1)),
            (b"\xc7\x0c\xff" + b"\x00" * 4 + b"\xff" * 8, Timestamp(-1)), (b"\xc7\x05\x01\x02\xff\xff\xff\xff", Decimal(2, -1)),
        ]:
            self.assertEqual((type(decode(data)), decode(data)), (Table if isinstance(value, dict) else type(value), value))


if __name__ == "__main__":
    unittest.main()
