import { create, toBinary, type DescMessage, type MessageShape } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import { ResourceSchema } from "../../wire/discovery/index.ts";
import { contentHash } from "./content-hash.ts";

/** A resource in the form in which it is sent: encoded once, shared by all streams. */
export interface EncodedResource {
  readonly name: string;
  /** A hash of the content: the same in every process. */
  readonly version: string;
  /** The bytes of a `google.protobuf.Any`: what state of the world sends. */
  readonly any: Uint8Array;
  /** The bytes of an `envoy.service.discovery.v3.Resource`: what delta sends. */
  readonly delta: Uint8Array;
}

export function encodeResource<Schema extends DescMessage>(schema: Schema, name: string, message: MessageShape<Schema>): EncodedResource {
  const value = toBinary(schema, message);
  const version = contentHash(value);
  const any = toBinary(AnySchema, create(AnySchema, { typeUrl: `type.googleapis.com/${schema.typeName}`, value }));
  // The resource itself comes last, so that one buffer serves both protocols.
  const head = toBinary(ResourceSchema, create(ResourceSchema, { name, version }));
  const length = varint(any.length);
  const delta = new Uint8Array(head.length + 1 + length.length + any.length);
  delta.set(head);
  delta[head.length] = resourceTag;
  delta.set(length, head.length + 1);
  delta.set(any, head.length + 1 + length.length);
  return { name, version, any: delta.subarray(delta.length - any.length), delta };
}

/** Field 2, length-delimited. */
const resourceTag = 0x12;

function varint(value: number): readonly number[] {
  const bytes: number[] = [];
  let rest = value;
  while (rest > 127) {
    bytes.push((rest & 127) | 128);
    rest >>>= 7;
  }
  bytes.push(rest);
  return bytes;
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
export function scopedEntry(scope: string, resource: EncodedResource): readonly [key: string, item: ScopedEncodedResource] {
  return [scopedResourceKey(scope, resource.name), { scope, resource }];
}

export function sameScopedResource(left: ScopedEncodedResource, right: ScopedEncodedResource): boolean {
  return left.scope === right.scope && sameResource(left.resource, right.resource);
}
