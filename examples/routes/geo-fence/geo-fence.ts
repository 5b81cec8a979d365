// Each message to the fences that its place is in: the recipe's README says how to use it.
import {
  Binding, Destinations, Kind, Refusal, Route, Table, number, register,
} from "../../../sdk/assemblyscript/assembly";
export * from "../../../sdk/assemblyscript/assembly/exports";

const latitude = number("headers.latitude");
const longitude = number("headers.longitude");

/** Mean radius of the earth. */
const EARTH_KM: f64 = 6371.0088;

class Fence {
  index: u32 = 0;
  /** Whether it takes what no other does. */
  isElsewhere: bool = false;
  /** A circle where it is not negative, else a box. */
  radiusKm: f64 = -1;
  latitude: f64 = 0;
  longitude: f64 = 0;
  south: f64 = 0;
  west: f64 = 0;
  north: f64 = 0;
  east: f64 = 0;

  contains(lat: f64, lon: f64): bool {
    if (this.isElsewhere) return false;
    if (this.radiusKm >= 0) return distanceKm(this.latitude, this.longitude, lat, lon) <= this.radiusKm;
    if (lat < this.south || lat > this.north) return false;
    // A box may lie across the line where 180 meets -180.
    if (this.west <= this.east) return lon >= this.west && lon <= this.east;
    return lon >= this.west || lon <= this.east;
  }
}

class GeoFence extends Route {
  fences: Fence[] = [];

  checkBinding(binding: Binding): Refusal | null {
    return read(binding, new Fence());
  }

  bindings(): Refusal | null {
    this.fences = [];
    for (let i = 0; i < this.bound.length; i++) {
      const fence = new Fence();
      const refusal = read(this.bound[i], fence);
      if (refusal) return refusal;
      this.fences.push(fence);
    }
    return null;
  }

  route(destinations: Destinations): Refusal | null {
    const lat = latitude.value, lon = longitude.value;
    if (!(Math.abs(lat) <= 90 && Math.abs(lon) <= 180)) {
      return new Refusal("latitude is from -90 to 90, longitude from -180 to 180");
    }
    let isElsewhere = true;
    for (let i = 0; i < this.fences.length; i++) {
      if (this.fences[i].contains(lat, lon)) {
        destinations.add(this.fences[i].index);
        isElsewhere = false;
      }
    }
    for (let i = 0; isElsewhere && i < this.fences.length; i++) {
      if (this.fences[i].isElsewhere) destinations.add(this.fences[i].index);
    }
    return null;
  }
}

/** By the haversine formula. */
function distanceKm(lat: f64, lon: f64, otherLat: f64, otherLon: f64): f64 {
  const radians = Math.PI / 180;
  const up = Math.sin(((otherLat - lat) * radians) / 2);
  const aside = Math.sin(((otherLon - lon) * radians) / 2);
  const half = up * up + Math.cos(lat * radians) * Math.cos(otherLat * radians) * aside * aside;
  return 2 * EARTH_KM * Math.asin(Math.sqrt(Math.min(half, 1)));
}

function read(binding: Binding, fence: Fence): Refusal | null {
  const table = binding.arguments;
  fence.index = binding.index;
  fence.isElsewhere = binding.key == "elsewhere";
  if (fence.isElsewhere) return null;
  if (has(table, "radius-km")) {
    fence.latitude = get(table, "latitude");
    fence.longitude = get(table, "longitude");
    fence.radiusKm = get(table, "radius-km");
    const isCircle = fence.radiusKm >= 0 && Math.abs(fence.latitude) <= 90 && Math.abs(fence.longitude) <= 180;
    return isCircle ? null : new Refusal("a circle has the numbers latitude, longitude and radius-km");
  }
  fence.south = get(table, "south");
  fence.west = get(table, "west");
  fence.north = get(table, "north");
  fence.east = get(table, "east");
  if (fence.south <= fence.north && !isNaN(fence.west) && !isNaN(fence.east)) return null;
  return new Refusal("a fence has latitude, longitude and radius-km; or south, west, north and east; or the key elsewhere");
}

function has(table: Table, name: string): bool {
  return table.get(name).kind != Kind.Absent;
}

/** A number, NaN where there is none. */
function get(table: Table, name: string): f64 {
  const value = table.get(name);
  if (value.kind == Kind.Integer) return <f64>value.integer;
  return value.kind == Kind.Double ? value.double : NaN;
}

register("geo-fence", "1.0.0", () => new GeoFence());
