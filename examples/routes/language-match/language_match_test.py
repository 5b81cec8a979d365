"""Its cases, without a broker."""

import json
import unittest
from pathlib import Path

from language_match import LanguageMatch
from shunt_route import Refusal
from shunt_route.testing import Declared


class Cases(unittest.TestCase):
    def test_cases(self):
        cases = json.loads((Path(__file__).parent / "cases.json").read_text())
        exchange = Declared(LanguageMatch, cases.get("exchange"))
        for _, name, key, arguments in cases["bindings"]:
            exchange.bind_queue(name, key, arguments)
        for case in cases["cases"]:
            headers = case["header"].get("headers", {})
            header = {f"headers.{name}": value for name, value in headers.items()}
            if "failure" in case:
                with self.assertRaisesRegex(Refusal, case["failure"]["reason_contains"]):
                    exchange.route(header)
            else:
                self.assertEqual(exchange.route(header), case["queues"], case["name"])
        for case in cases["refused_bindings"]:
            _, name, key, arguments = case["binding"]
            with self.assertRaisesRegex(Refusal, case["reason_contains"]):
                exchange.bind_queue(name, key, arguments)


if __name__ == "__main__":
    unittest.main()
