import { memos } from "../model/memos.ts";
import type { EncodedResource } from "../translate/index.ts";

const prefix = Buffer.from("outbound|");
const namesOfResources = memos.memo<EncodedResource, ReadonlySet<string>>("clusters-of-resources");

/**
 * The clusters of services that a resource names. They are found in its bytes, because decoding deeply nested messages
 * would cost more: every message encodes a name as its length and the text.
 */
export function namedClusters(resource: EncodedResource): ReadonlySet<string> {
  return namesOfResources.of(resource, readNames);
}

function readNames({ any }: EncodedResource): ReadonlySet<string> {
  const bytes = Buffer.from(any.buffer, any.byteOffset, any.length);
  const names = new Set<string>();
  for (let at = bytes.indexOf(prefix); at !== -1; at = bytes.indexOf(prefix, at + prefix.length))
    names.add(bytes.toString("utf8", at, at + lengthBefore(bytes, at)));
  return names;
}

/** The value of the varint that ends before `end`. */
function lengthBefore(bytes: Buffer, end: number): number {
  let at = end - 1;
  let length = bytes[at] ?? 0;
  for (at -= 1; at >= 0 && (bytes[at] ?? 0) > 127; at -= 1) length = length * 128 + ((bytes[at] ?? 0) & 127);
  return length;
}
