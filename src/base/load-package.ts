import type * as Http from "node:http";
import { createRequire } from "node:module";
import { bundledPackage } from "./program-files.ts";

const require = createRequire(import.meta.url);

/**
 * Loads a package on first use and not at the start, because few processes need it. Node remembers it, so a later call
 * takes a few microseconds at most.
 */
export function loadPackage<Module>(name: string): Module {
  return require(bundledPackage(name) ?? name) as Module;
}

/**
 * Node's `node:http`, without importing it as an ES module. An import costs megabytes, and as much time as an empty
 * Node takes to start: the loader reads all of the module's exports, and for `WebSocket` Node loads a whole HTTP
 * client.
 */
export function nodeHttp(): typeof Http {
  return process.getBuiltinModule("node:http");
}
