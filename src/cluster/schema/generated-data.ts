import { readFileSync } from "node:fs";
import { brotliDecompressSync } from "node:zlib";

/** Reads `generated/kubernetes/<name>.json.br`. Throws if the installation lacks the file. */
export function readGeneratedBytes(name: string): Buffer {
  return brotliDecompressSync(readFileSync(new URL(import.meta.resolve(`#generated/kubernetes/${name}.json.br`))));
}

export function readGenerated(name: string): unknown {
  return JSON.parse(readGeneratedBytes(name).toString("utf8"));
}

/** The digests of the CEL expressions in the release's own CRDs. These expressions compile. */
export function readKnownRules(): ReadonlySet<string> {
  const text = readFileSync(new URL(import.meta.resolve("#generated/cel/known-rules.json")), "utf8");
  return new Set(JSON.parse(text) as string[]);
}
