import { toBinary, type DescMessage, type MessageShape } from "@bufbuild/protobuf";
import { contentHash } from "./content-hash.ts";

/** A resource in its wire form: encoded once, shared by all streams. */
export interface EncodedResource {
  readonly name: string;
  /** A hash of the content: the same in every process. */
  readonly version: string;
  /** The bytes of a `google.protobuf.Any`: what state of the world sends. */
  readonly any: Uint8Array;
  /** The bytes of an `envoy.service.discovery.v3.Resource`: what delta sends. */
  readonly delta: Uint8Array;
}

export function encodeResource<Schema extends DescMessage>(
  schema: Schema,
  name: string,
  message: MessageShape<Schema>,
): EncodedResource {
  const value = toBinary(schema, message);
  return resourceOf(`type.googleapis.com/${schema.typeName}`, name, contentHash(value), [value]);
}

/** A resource whose message is the concatenation of the parts, so that fields can be encoded one by one. */
export function resourceOf(
  typeUrl: string,
  name: string,
  version: string,
  parts: readonly Uint8Array[],
): EncodedResource {
  const valueBytes = parts.reduce((sum, part) => sum + part.length, 0);
  const any = [fieldOf(anyField.typeUrl, Buffer.from(typeUrl)), fieldOf(anyField.value, nothing, valueBytes)];
  const anyBytes = valueBytes + any.reduce((sum, part) => sum + part.length, 0);
  // The resource itself comes last, so that one buffer serves both protocols.
  const head = [
    fieldOf(resourceField.version, Buffer.from(version)),
    fieldOf(resourceField.name, Buffer.from(name)),
    fieldOf(resourceField.resource, nothing, anyBytes),
  ];
  const delta = new Uint8Array(anyBytes + head.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of [...head, ...any, ...parts]) {
    delta.set(part, at);
    at += part.length;
  }
  return { name, version, any: delta.subarray(delta.length - anyBytes), delta };
}

/** Of `google.protobuf.Any`. */
const anyField = { typeUrl: 1, value: 2 } as const;
/** Of `envoy.service.discovery.v3.Resource`. */
const resourceField = { version: 1, resource: 2, name: 3 } as const;
const lengthDelimited = 2;
const nothing = new Uint8Array(0);

/** A length-delimited field; with a length of its own, its bytes follow elsewhere. An empty one is left out, as it is where nothing is set. */
export function fieldOf(number: number, bytes: Uint8Array, length = bytes.length): Uint8Array {
  if (length === 0) return nothing;
  const field: number[] = [(number << 3) | lengthDelimited];
  let rest = length;
  while (rest > 127) {
    field.push((rest & 127) | 128);
    rest >>>= 7;
  }
  field.push(rest);
  const whole = new Uint8Array(field.length + bytes.length);
  whole.set(field);
  whole.set(bytes, field.length);
  return whole;
}

/** Equal content means equal version, so nothing else must be compared. */
export function sameResource(left: EncodedResource, right: EncodedResource): boolean {
  return left.version === right.version && left.name === right.name;
}

/** A resource of one scope; the collection's key is {@link scopedResourceKey}. */
export interface ScopedEncodedResource {
  readonly scope: string;
  readonly resource: EncodedResource;
}

export function scopedResourceKey(scope: string, name: string): string {
  return `${scope}|${name}`;
}

/** As an entry of its collection. */
export function scopedEntry(
  scope: string,
  resource: EncodedResource,
): readonly [key: string, item: ScopedEncodedResource] {
  return [scopedResourceKey(scope, resource.name), { scope, resource }];
}

export function sameScopedResource(left: ScopedEncodedResource, right: ScopedEncodedResource): boolean {
  return left.scope === right.scope && sameResource(left.resource, right.resource);
}
