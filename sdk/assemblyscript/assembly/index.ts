// Routes of the Shunt message broker in AssemblyScript. A route's file:
//
//   import { Route, Destinations, Refusal, register, text } from "shunt-route-as";
//   export * from "shunt-route-as/assembly/exports";
//
//   const region = text("headers.region");
//
//   class ByRegion extends Route {
//     route(destinations: Destinations): Refusal | null {
//       for (let i = 0; i < this.bound.length; i++) {
//         if (this.bound[i].key == region.value) destinations.add(i);
//       }
//       return null;
//     }
//   }
//
//   register("by-region", "1.0.0", () => new ByRegion());

export { Value, Kind, Table, Entry } from "./value";
export { Route, Exchange, Binding, BindingKind, Refusal, register } from "./route";
export { Destinations } from "./destinations";
export {
  text, optionalText, integer, optionalInteger, boolean, number, anything,
  TextField, OptionalTextField, IntegerField, OptionalIntegerField, BooleanField, NumberField, AnyField,
} from "./fields";
export { log, nowMs, random, queueLoad, stateGet, statePut, stateRemove, Level, Load } from "./host";
