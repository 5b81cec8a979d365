// Each message to the workers that can do it: the recipe's README says how to use it.
import {
  Binding, Destinations, Kind, Refusal, Route, Value, anything, register,
} from "../../../sdk/assemblyscript/assembly";
export * from "../../../sdk/assemblyscript/assembly/exports";

const needs = anything("headers.needs");

class Workers {
  constructor(public index: u32, public features: string[]) {}

  have(wanted: string[]): bool {
    for (let i = 0; i < wanted.length; i++) {
      if (!this.features.includes(wanted[i])) return false;
    }
    return true;
  }
}

class FeatureMatch extends Route {
  workers: Workers[] = [];

  checkBinding(binding: Binding): Refusal | null {
    return texts(binding.arguments.get("has"), []) ? null : new Refusal("has is not an array of strings");
  }

  bindings(): Refusal | null {
    this.workers = [];
    for (let i = 0; i < this.bound.length; i++) {
      const features: string[] = [];
      texts(this.bound[i].arguments.get("has"), features);
      this.workers.push(new Workers(i, features));
    }
    return null;
  }

  route(destinations: Destinations): Refusal | null {
    const wanted: string[] = [];
    if (!texts(needs.value, wanted)) return new Refusal("headers.needs is not an array of strings");
    // Those with the fewest features: the others are kept for what only they can do.
    let fewest = i32.MAX_VALUE;
    for (let i = 0; i < this.workers.length; i++) {
      if (this.workers[i].have(wanted)) fewest = min(fewest, this.workers[i].features.length);
    }
    for (let i = 0; i < this.workers.length; i++) {
      const workers = this.workers[i];
      if (workers.features.length == fewest && workers.have(wanted)) {
        destinations.add(workers.index);
        return null;
      }
    }
    return null;
  }
}

/** The texts of an array; of nothing none. False where it is anything else. */
function texts(value: Value, out: string[]): bool {
  if (value.kind == Kind.Absent) return true;
  if (value.kind != Kind.Array) return false;
  const items = value.array!;
  for (let i = 0; i < items.length; i++) {
    if (items[i].kind != Kind.Text) return false;
    out.push(items[i].text);
  }
  return true;
}

register("feature-match", "1.0.0", () => new FeatureMatch());
