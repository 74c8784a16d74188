import { createRequire } from "node:module";
import type * as Wire from "@bufbuild/protobuf/wire";

type ProtobufWire = typeof Wire;

let loaded: ProtobufWire | undefined;

/**
 * The reader and writer of protobuf bytes. The library is loaded on first use, because loading takes about ten
 * milliseconds.
 */
export function protobufWire(): ProtobufWire {
  loaded ??= createRequire(import.meta.url)("@bufbuild/protobuf/wire") as ProtobufWire;
  return loaded;
}
