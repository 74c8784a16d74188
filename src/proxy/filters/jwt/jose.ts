import { createRequire } from "node:module";
import type * as Jose from "jose";

let loaded: typeof Jose | undefined;

/** The library that verifies tokens. Loaded on first use, because most proxies never see a token. */
export function jose(): typeof Jose {
  return (loaded ??= createRequire(import.meta.url)("jose") as typeof Jose);
}
