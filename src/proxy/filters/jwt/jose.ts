import { createRequire } from "node:module";
import type * as Jose from "jose";

let loaded: typeof Jose | undefined;

/** Returns the library that verifies tokens. The first call loads it, because most proxies never see a token. */
export function jose(): typeof Jose {
  return (loaded ??= createRequire(import.meta.url)("jose") as typeof Jose);
}
