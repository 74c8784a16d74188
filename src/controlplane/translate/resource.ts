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
  const any = create(AnySchema, { typeUrl: `type.googleapis.com/${schema.typeName}`, value });
  const version = contentHash(value);
  return { name, version, any: toBinary(AnySchema, any), delta: toBinary(ResourceSchema, create(ResourceSchema, { name, version, resource: any })) };
}

/** Equal content means equal version, so nothing else must be compared. */
export function sameResource(left: EncodedResource, right: EncodedResource): boolean {
  return left.version === right.version && left.name === right.name;
}
