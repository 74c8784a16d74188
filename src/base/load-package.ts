import type * as Http from "node:http";
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);

/** A package that is loaded when it is first needed, not at start: for those that few processes ever use. */
export function loadPackage<Module>(name: string): Module {
  return require(name) as Module;
}

/**
 * Node's `node:http`. Imported as an ES module it costs its process megabytes, and as much time as an empty Node takes to start: the loader
 * reads all that it exports, `WebSocket` among it, for which Node loads a whole HTTP client. This way it does not.
 */
export function nodeHttp(): typeof Http {
  return process.getBuiltinModule("node:http");
}
