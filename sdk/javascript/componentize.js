// Makes a component of a route: node sdk/componentize.js by-region.js -o by-region.wasm
// It takes componentize-js (npm install @bytecodealliance/componentize-js@0.23.0), and is for
// brokers and tools that know components only: Shunt runs the .js as it is, and much faster.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import "./register.js";

const sdk = dirname(fileURLToPath(import.meta.url));
const contract = [join(sdk, "wit"), join(sdk, "../wit")].find((folder) => existsSync(folder));

// Functions of the library's host, by the capability that has them; log is everybody's.
const FUNCTIONS = {
  clock: ["now-ms", "nowMs: () => Number(nowMs())", "nowMs"],
  random: ["random", "random: () => Number(random() >> 11n) / 2 ** 53", "random"],
  load: ["of", "queueLoad: (index) => { const load = of(index); return load && [Number(load.ready), Number(load.unacked), load.consumers]; }", "of"],
  state: ["get, put", `stateGet: (key) => get(bytes(key)), statePut: (key, value) => {
    try { put(bytes(key), bytes(value)); return true; } catch { return false; }
  }`, "get, put"],
};
const NEEDED = { clock: ["nowMs"], random: ["random"], load: ["queueLoad"], state: ["stateGet", "statePut"] };

function imports(wants) {
  const lines = ['import { log } from "shunt:route/host@1.0.0";', 'import { utf8 } from "./shunt-route.js";'];
  for (const want of wants) lines.push(`import { ${FUNCTIONS[want][2]} } from "shunt:route/${want}@1.0.0";`);
  const missing = Object.keys(NEEDED).filter((capability) => !wants.includes(capability));
  const functions = [
    'log: (level, line) => log(["trace", "debug", "info", "warn", "error"][level], line)',
    ...wants.map((want) => FUNCTIONS[want][1]),
    ...missing.flatMap((capability) => NEEDED[capability].map((name) =>
      `${name}: () => { throw new TypeError("the capability ${capability} is not in the route's wants"); }`)),
  ];
  lines.push('const bytes = (value) => (typeof value === "string" ? utf8(value) : value);');
  return `${lines.join("\n")}\nexport const functions = { ${functions.join(",\n")} };\n`;
}

/** Builds the component of the route in a file. */
export async function componentizeRoute(source, output, tools = process.cwd()) {
  const made = (await import(pathToFileURL(resolve(source)))).default;
  const { wants } = made.description;
  const installed = (path) => import(pathToFileURL(resolve(tools, "node_modules", path)));
  const { componentize } = await installed("@bytecodealliance/componentize-js/src/componentize.js");
  // It is one of the tool's own parts.
  const { init, parse } = await installed("es-module-lexer/dist/lexer.js");
  await init;
  const scratch = mkdtempSync(join(tmpdir(), "shunt-route-"));
  try {
    const put = (name, text) => writeFileSync(join(scratch, name), text);
    put("shunt-route.js", readFileSync(join(sdk, "shunt-route.js")));
    put("component.js", readFileSync(join(sdk, "component.js")));
    put("shunt-built-imports.js", imports(wants));
    put("shunt-built-route.js", bundled(resolve(source), parse, put));
    const extra = wants.map((want) => ` import shunt:route/${want}@1.0.0;`).join("");
    put("built.wit", `package shunt:built;\n\nworld built { include shunt:route/plain-route@1.0.0;${extra} }\n\n`
      + nested(readFileSync(join(contract, "shunt-route.wit"), "utf8")));
    const { component } = await componentize({
      sourcePath: join(scratch, "component.js"), witPath: join(scratch, "built.wit"), worldName: "built",
      disableFeatures: ["http", "fetch-event"],
    });
    writeFileSync(output, component);
    return component.length;
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

// Two packages in one file: the second one's declarations stand in braces.
const nested = (text) => text.replace(/package shunt:route@1\.0\.0;/, "package shunt:route@1.0.0 {") + "}\n";

// A file and those that it imports, with names that are beside each other.
function bundled(file, parse, put) {
  const text = readFileSync(file, "utf8");
  const [found] = parse(text);
  let result = "";
  let at = 0;
  for (const { n: name, s: start, e: end } of found) {
    let target = "./shunt-route.js";
    if (name !== "shunt-route") {
      const path = resolve(dirname(file), name);
      target = `./shunt-part-${Buffer.from(path).toString("hex")}.js`.slice(0, 200);
      put(target, bundled(path, parse, put));
    }
    result += text.slice(at, start) + target;
    at = end;
  }
  return result + text.slice(at);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values, positionals: [source] } = parseArgs({
    allowPositionals: true, options: { output: { type: "string", short: "o" }, tools: { type: "string" } },
  });
  if (!source) throw new Error("name the route's file: node componentize.js by-region.js -o by-region.wasm");
  const output = values.output ?? source.replace(/\.js$/, ".wasm");
  console.log(`${output}: ${await componentizeRoute(source, output, values.tools)} bytes`);
}
