// To each binding whose argument value equals the header value.
import { anything, equal, route } from "shunt-route";

export default route({
  name: "by-header",
  version: "1.0.0",
  reads: { value: anything("headers.value") },
  route(header, bindings, destinations) {
    for (const binding of bindings) {
      if (equal(binding.arguments.get("value"), header.value)) destinations.add(binding.index);
    }
  },
});
