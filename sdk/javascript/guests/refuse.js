// Refuses every message, and exchanges and bindings that ask for it.
import { Refusal, optionalText, route } from "shunt-route";

export default route({
  name: "refuse",
  version: "1.0.0",
  reads: { reason: optionalText("headers.reason") },
  configure(exchange) {
    refuse(exchange.arguments.optionalText("x-refuse"));
  },
  checkBinding(binding) {
    if (binding.key === "refuse") throw new Refusal("the key is refuse");
    refuse(binding.arguments.optionalText("refuse"));
  },
  route(header) {
    throw new Refusal(header.reason ?? "refused by the guest");
  },
});

function refuse(reason) {
  if (reason !== undefined) throw new Refusal(reason);
}
