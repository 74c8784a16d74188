/**
 * Puts a response together from resources that are bytes already, so that a push copies each resource once and encodes
 * none. Both protocols have the same layout: DiscoveryResponse and DeltaDiscoveryResponse carry the version in field 1,
 * resources in 2, the type in 4 and the nonce in 5; delta has the removed names in 6.
 */
export interface ResponseParts {
  readonly version: string;
  readonly resources: readonly Uint8Array[];
  readonly typeUrl: string;
  readonly nonce: string;
  /** Delta only. */
  readonly removed: readonly string[];
}

const versionField = 1;
const resourcesField = 2;
const typeUrlField = 4;
const nonceField = 5;
const removedField = 6;
const lengthDelimited = 2;
const maxVarintBytes = 5;

export function encodeResponse(parts: ResponseParts): Buffer {
  const fields: [number: number, bytes: Uint8Array][] = [];
  if (parts.version !== "") fields.push([versionField, Buffer.from(parts.version)]);
  for (const resource of parts.resources) fields.push([resourcesField, resource]);
  fields.push([typeUrlField, Buffer.from(parts.typeUrl)], [nonceField, Buffer.from(parts.nonce)]);
  for (const name of parts.removed) fields.push([removedField, Buffer.from(name)]);
  const capacity = fields.reduce((total, [, bytes]) => total + 1 + maxVarintBytes + bytes.length, 0);
  const target = Buffer.allocUnsafe(capacity);
  let offset = 0;
  for (const [number, bytes] of fields) {
    target[offset] = (number << 3) | lengthDelimited;
    offset = writeVarint(target, offset + 1, bytes.length);
    target.set(bytes, offset);
    offset += bytes.length;
  }
  return target.subarray(0, offset);
}

function writeVarint(target: Buffer, start: number, value: number): number {
  let offset = start;
  let rest = value;
  while (rest > 127) {
    target[offset] = (rest & 127) | 128;
    offset += 1;
    rest >>>= 7;
  }
  target[offset] = rest;
  return offset + 1;
}
