import { readFileSync } from "node:fs";
import { brotliDecompressSync } from "node:zlib";
import { EnvoyTypes } from "../wire/envoy-types/index.ts";

let types: EnvoyTypes | undefined;

/** All types of Envoy's API, read on first use and only once. */
export function envoyTypes(): EnvoyTypes {
  types ??= new EnvoyTypes(
    brotliDecompressSync(readFileSync(new URL(import.meta.resolve("#generated/envoy/types.binpb.br")))),
  );
  return types;
}
