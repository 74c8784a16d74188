import type * as Http from "node:http";
import { createRequire } from "node:module";
import { bundledPackage } from "./program-files.ts";

const require = createRequire(import.meta.url);

/**
 * Loads a package on first use and not at start, because few processes use it. Node remembers the package: a later call
 * takes a few microseconds at most.
 */
export function loadPackage<Module>(name: string): Module {
  return require(bundledPackage(name) ?? name) as Module;
}

/**
 * Node's `node:http`. Importing it as an ES module costs megabytes, and as much time as an empty Node takes to start:
 * the loader reads all of its exports, and for `WebSocket` Node loads a whole HTTP client. This function avoids that.
 */
export function nodeHttp(): typeof Http {
  return process.getBuiltinModule("node:http");
}
