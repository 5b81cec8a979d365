// Each message to the patterns that its routing key fits: the recipe's README says how to use it.
import { Refusal, route, text } from "shunt-route";

/** The whole of a routing key has to fit. */
function patternOf({ key }) {
  try {
    return new RegExp(`^(?:${key})$`, "u");
  } catch (error) {
    throw new Refusal(`the key is no pattern: ${error.message}`);
  }
}

export default route({
  name: "by-pattern",
  version: "1.0.0",
  reads: { routingKey: text("routing_key") },

  checkBinding(binding) {
    patternOf(binding);
  },

  bindings(bindings) {
    this.patterns = bindings.map(patternOf);
  },

  route(header, bindings, destinations) {
    this.patterns.forEach((pattern, index) => {
      if (pattern.test(header.routingKey)) destinations.add(index);
    });
  },
});
