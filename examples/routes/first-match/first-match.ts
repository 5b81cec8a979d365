// Ordered rules, of which the first that holds decides: the recipe's README says how to use it.
import {
  Binding, Destinations, Entry, Kind, Refusal, Route, Value, anything, register,
} from "../../../sdk/assemblyscript/assembly";
export * from "../../../sdk/assemblyscript/assembly/exports";

const headers = anything("headers");

class Rule {
  order: i64 = 0;
  index: u32 = 0;
  /** Headers and what they must be. */
  conditions: Entry[] = [];

  holds(table: Value): bool {
    for (let i = 0; i < this.conditions.length; i++) {
      const condition = this.conditions[i];
      const found = table.kind == Kind.Table ? table.table!.get(condition.name) : Value.ABSENT;
      if (!found.equals(condition.value)) return false;
    }
    return true;
  }
}

class FirstMatch extends Route {
  rules: Rule[] = [];

  checkBinding(binding: Binding): Refusal | null {
    return read(binding, new Rule());
  }

  bindings(): Refusal | null {
    this.rules = [];
    for (let i = 0; i < this.bound.length; i++) {
      const rule = new Rule();
      const refusal = read(this.bound[i], rule);
      if (refusal) return refusal;
      this.rules.push(rule);
    }
    // Rules of one number hold together.
    this.rules.sort((one, other) => i32(one.order > other.order) - i32(one.order < other.order));
    return null;
  }

  route(destinations: Destinations): Refusal | null {
    let decided = false;
    for (let i = 0; i < this.rules.length; i++) {
      const rule = this.rules[i];
      if (decided && rule.order != this.rules[i - 1].order) break;
      if (rule.holds(headers.value)) {
        destinations.add(rule.index);
        decided = true;
      }
    }
    return null;
  }
}

function read(binding: Binding, rule: Rule): Refusal | null {
  rule.index = binding.index;
  let hasOrder = false;
  const entries = binding.arguments.entries;
  for (let i = 0; i < entries.length; i++) {
    const name = entries[i].name, value = entries[i].value;
    if (name == "order") {
      if (value.kind != Kind.Integer) return new Refusal("order is not an integer");
      rule.order = value.integer;
      hasOrder = true;
    } else if (name.startsWith("if.") && name.length > 3) {
      rule.conditions.push(new Entry(name.substring(3), value));
    } else {
      return new Refusal("a rule has order and if.HEADER, not " + name);
    }
  }
  return hasOrder ? null : new Refusal("a rule has the argument order, an integer");
}

register("first-match", "1.0.0", () => new FirstMatch());
