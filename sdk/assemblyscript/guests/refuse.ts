// Refuses every message, and exchanges and bindings that ask for it.
import {
  Binding, Destinations, Exchange, Kind, Refusal, Route, Table, optionalText, register,
} from "../assembly";
export * from "../assembly/exports";

const reason = optionalText("headers.reason");

class Refuse extends Route {
  configure(exchange: Exchange): Refusal | null {
    return asked(exchange.arguments, "x-refuse");
  }

  checkBinding(binding: Binding): Refusal | null {
    if (binding.key == "refuse") return new Refusal("the key is refuse");
    return asked(binding.arguments, "refuse");
  }

  route(destinations: Destinations): Refusal | null {
    const given = reason.value;
    return new Refusal(given === null ? "refused by the guest" : given);
  }
}

/** The reason that stands in an argument. */
function asked(table: Table, name: string): Refusal | null {
  const value = table.get(name);
  if (value.kind == Kind.Absent) return null;
  return new Refusal(value.kind == Kind.Text ? value.text : name + " is not a string");
}

register("refuse", "1.0.0", () => new Refuse());
