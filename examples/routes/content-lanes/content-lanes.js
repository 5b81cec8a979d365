// Each message to the lanes of its content: the recipe's README says how to use it.
import { Refusal, integer, optionalText, route } from "shunt-route";

/** What a message must be for a lane. */
function laneOf({ index, key, arguments: args }) {
  const type = args.optionalText("content-type");
  const min = args.optionalInteger("min-size");
  const max = args.optionalInteger("max-size");
  const isDefault = key === "default";
  const hasCondition = [type, min, max].some((condition) => condition !== undefined);
  if (isDefault && hasCondition) throw new Refusal("the default lane has no conditions");
  if (!isDefault && !hasCondition) {
    throw new Refusal("a lane has content-type, min-size or max-size, or the key default");
  }
  if (min > max) throw new Refusal("min-size is above max-size");
  return { index, type, min: min ?? 0, max: max ?? Infinity, isDefault };
}

/** A wanted type that ends in a slash stands for all below it. */
function isType(wanted, found) {
  return wanted.endsWith("/") ? found.startsWith(wanted) : found === wanted;
}

export default route({
  name: "content-lanes",
  version: "1.0.0",
  reads: { type: optionalText("content_type"), size: integer("body_size") },

  checkBinding(binding) {
    laneOf(binding);
  },

  bindings(bindings) {
    const lanes = bindings.map(laneOf);
    this.lanes = lanes.filter((lane) => !lane.isDefault);
    this.rest = lanes.filter((lane) => lane.isDefault);
  },

  route(header, bindings, destinations) {
    // Parameters behind a semicolon don't count.
    const type = header.type?.split(";")[0].trim();
    const takes = (lane) =>
      header.size >= lane.min && header.size <= lane.max
      && (lane.type === undefined || (type !== undefined && isType(lane.type, type)));
    const chosen = this.lanes.filter(takes);
    for (const lane of chosen.length > 0 ? chosen : this.rest) destinations.add(lane.index);
  },
});
