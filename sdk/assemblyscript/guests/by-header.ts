// To each binding whose argument value equals the header value.
import { Destinations, Refusal, Route, anything, register } from "../assembly";
export * from "../assembly/exports";

const value = anything("headers.value");

class ByHeader extends Route {
  route(destinations: Destinations): Refusal | null {
    for (let i = 0; i < this.bound.length; i++) {
      if (this.bound[i].arguments.get("value").equals(value.value)) destinations.add(i);
    }
    return null;
  }
}

register("by-header", "1.0.0", () => new ByHeader());
