import { maps } from "./abi.ts";
import type { Attribute, AttributeMap } from "./messages.ts";
import { serializePairs, type Pairs } from "./pairs.ts";
import type { StreamContext } from "./stream-context.ts";

export interface PropertySource {
  readonly stream: StreamContext | undefined;
  readonly plugin: AttributeMap;
  readonly node: AttributeMap;
}

/** The value of the property at a path of names, in the form of the ABI. Undefined if there is none. */
export function propertyAt({ stream, plugin, node }: PropertySource, path: string): Buffer | undefined {
  const names = path.split("\0").filter((name, index, all) => name !== "" || index < all.length - 1);
  const [first = "", ...rest] = names;
  const set = stream?.properties.get(names.join("\0"));
  if (set !== undefined) return set;
  let value: Attribute | undefined =
    first === "node" ? node : Object.hasOwn(plugin, first) ? plugin[first] : streamAttribute(stream, first);
  for (const name of rest) {
    if (typeof value !== "object" || value instanceof Uint8Array || !Object.hasOwn(value, name)) return undefined;
    value = value[name];
  }
  return value === undefined ? undefined : serialize(value);
}

/** Reads the headers as this module and earlier ones have changed them. */
function streamAttribute(stream: StreamContext | undefined, name: string): Attribute | undefined {
  if (stream === undefined || !Object.hasOwn(stream.attributes, name)) return undefined;
  const found = stream.attributes[name];
  if (name === "request" && isMap(found))
    return { ...found, headers: mapOf(stream.map(maps.requestHeaders)?.pairs ?? []) };
  if (name === "response" && isMap(found))
    return {
      ...found,
      headers: mapOf(stream.map(maps.responseHeaders)?.pairs ?? []),
      trailers: mapOf(stream.map(maps.responseTrailers)?.pairs ?? []),
    };
  return found;
}

function isMap(value: Attribute | undefined): value is AttributeMap {
  return typeof value === "object" && !(value instanceof Uint8Array);
}

function mapOf(pairs: Pairs): AttributeMap {
  const found: Record<string, string> = Object.create(null) as Record<string, string>;
  for (const [name, value] of pairs) found[name] = found[name] === undefined ? value : `${found[name]},${value}`;
  return found;
}

function serialize(value: Attribute): Buffer {
  if (typeof value === "string") return Buffer.from(value);
  if (typeof value === "boolean") return Buffer.from([value ? 1 : 0]);
  if (typeof value === "number" || typeof value === "bigint") {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(BigInt.asIntN(64, BigInt(value)));
    return bytes;
  }
  if (value instanceof Uint8Array) return Buffer.from(value);
  return serializePairs(
    Object.entries(value).map(([name, item]) => [
      Buffer.from(name).toString("latin1"),
      serialize(item).toString("latin1"),
    ]),
  );
}
