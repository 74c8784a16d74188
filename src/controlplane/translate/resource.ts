import { fromBinary, toBinary, type DescMessage, type MessageShape } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import { contentHash } from "./content-hash.ts";

/** A resource in its wire form. It is encoded once, and all streams share it. */
export interface EncodedResource {
  readonly name: string;
  /** A hash of the content. It is the same in every process. */
  readonly version: string;
  /** The encoded `google.protobuf.Any`, for the state-of-the-world protocol. */
  readonly any: Uint8Array;
  /** The encoded `envoy.service.discovery.v3.Resource`, for the delta protocol. */
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

/** Builds a resource whose message is the concatenation of `parts`, so that its fields can be encoded separately. */
export function resourceOf(
  typeUrl: string,
  name: string,
  version: string,
  parts: readonly Uint8Array[],
): EncodedResource {
  const valueBytes = parts.reduce((sum, part) => sum + part.length, 0);
  const any = [fieldOf(anyField.typeUrl, Buffer.from(typeUrl)), fieldOf(anyField.value, nothing, valueBytes)];
  const anyBytes = valueBytes + any.reduce((sum, part) => sum + part.length, 0);
  // The field with the `Any` comes last, so that both forms can share one buffer.
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

/** Field numbers of `google.protobuf.Any`. */
const anyField = { typeUrl: 1, value: 2 } as const;
/** Field numbers of `envoy.service.discovery.v3.Resource`. */
const resourceField = { version: 1, resource: 2, name: 3 } as const;
const lengthDelimited = 2;
const nothing = new Uint8Array(0);

/**
 * Encodes a length-delimited field. If `length` is given, this is only its head, to which the caller appends the
 * content. An empty field is omitted, like an unset one.
 */
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

export function messageBytes({ any }: EncodedResource): Uint8Array {
  return fromBinary(AnySchema, any).value;
}

/** Whether two resources are equal. Equal versions mean equal content. */
export function sameResource(left: EncodedResource, right: EncodedResource): boolean {
  return left.version === right.version && left.name === right.name;
}

/** A resource of one scope. The key of its collection is {@link scopedResourceKey}. */
export interface ScopedEncodedResource {
  readonly scope: string;
  readonly resource: EncodedResource;
}

export function scopedResourceKey(scope: string, name: string): string {
  return `${scope}|${name}`;
}

export function scopedEntry(
  scope: string,
  resource: EncodedResource,
): readonly [key: string, item: ScopedEncodedResource] {
  return [scopedResourceKey(scope, resource.name), { scope, resource }];
}

export function sameScopedResource(left: ScopedEncodedResource, right: ScopedEncodedResource): boolean {
  return left.scope === right.scope && sameResource(left.resource, right.resource);
}
