import { readFileSync } from "node:fs";
import { brotliDecompressSync } from "node:zlib";

/** Text of `generated/kubernetes/<name>.json.br`. Throws when the installation lacks it. */
export function readGeneratedBytes(name: string): Buffer {
  return brotliDecompressSync(readFileSync(new URL(import.meta.resolve(`#generated/kubernetes/${name}.json.br`))));
}

export function readGenerated(name: string): unknown {
  return JSON.parse(readGeneratedBytes(name).toString("utf8"));
}

/** Digests of CEL expressions that are known to compile: those of the definitions that come with the release. */
export function readKnownRules(): ReadonlySet<string> {
  const text = readFileSync(new URL(import.meta.resolve("#generated/cel/known-rules.json")), "utf8");
  return new Set(JSON.parse(text) as string[]);
}
