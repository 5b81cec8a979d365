"""Each message to the queue of the language that it prefers: the recipe's README says how."""

from shunt_route import Fields, Refusal, Route, optional_text


def wishes(text: str) -> list[str]:
    """The languages of a header such as `de-CH, fr;q=0.8`, the best first."""
    found = []
    for place, part in enumerate(text.split(",")):
        language, _, quality = part.partition(";")
        try:
            weight = float(quality.strip().removeprefix("q=")) if quality else 1.0
        except ValueError:
            raise Refusal(f"headers.accept-language has no quality in '{part.strip()}'") from None
        if weight > 0 and language.strip():
            found.append((-weight, place, language.strip().lower()))
    return [language for _, _, language in sorted(found)]


class LanguageMatch(Route):
    name = "language-match"
    version = "1.0.0"

    class Header(Fields):
        accepted: str | None = optional_text("headers.accept-language")

    def check_binding(self, binding):
        if not binding.key:
            raise Refusal("a key is a language, such as de or de-ch, or * for the rest")

    def bindings(self, bindings):
        self.bound = {}
        for binding in bindings:
            self.bound.setdefault(binding.key.lower(), []).append(binding.index)

    def route(self, header, bindings, destinations):
        for index in self.best(header.accepted or ""):
            destinations.add(index)

    def best(self, accepted: str) -> list[int]:
        for wish in wishes(accepted):
            # de-ch is served by de where there is no queue of its own.
            while wish and wish not in self.bound:
                wish = wish.rpartition("-")[0]
            if wish:
                return self.bound[wish]
        return self.bound.get("*", [])
