import { createRequire } from "node:module";

type ProtobufWire = typeof import("@bufbuild/protobuf/wire");

/** Wire types of the protobuf encoding, as tags hold them. */
export const wireTypes = { varint: 0, bit64: 1, lengthDelimited: 2, startGroup: 3, endGroup: 4, bit32: 5 } as const;

let loaded: ProtobufWire | undefined;

/** The reader and writer of protobuf bytes, loaded with the first body that needs them: they cost some ten milliseconds. */
export function protobufWire(): ProtobufWire {
  loaded ??= createRequire(import.meta.url)("@bufbuild/protobuf/wire") as ProtobufWire;
  return loaded;
}
