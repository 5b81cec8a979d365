// Lets Node.js find the SDK by the name that it has in the broker, without an installation:
// node --import ./sdk/register.js --test
import { register } from "node:module";

const names = {
  "shunt-route": new URL("./shunt-route.js", import.meta.url).href,
  "shunt-route/testing": new URL("./testing.js", import.meta.url).href,
};
const hooks = `const names = ${JSON.stringify(names)};
export const resolve = (name, context, next) =>
  names[name] ? { url: names[name], format: "module", shortCircuit: true } : next(name, context);`;

register(`data:text/javascript,${encodeURIComponent(hooks)}`);
