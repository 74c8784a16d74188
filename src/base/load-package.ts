import { createRequire } from "node:module";

const require = createRequire(import.meta.url);

/** A package that is loaded when it is first needed, not at start: for those that few processes ever use. */
export function loadPackage<Module>(name: string): Module {
  return require(name) as Module;
}
