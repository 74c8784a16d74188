import { moduleCache } from "../../base/index.ts";
import { fieldOf, type EncodedResource } from "../translate/index.ts";

export type ResponseForm = "delta" | "any";

/**
 * The fields of a response before its resources, which are already encoded. Both protocols have the same layout:
 * DiscoveryResponse and DeltaDiscoveryResponse have the version in field 1, resources in 2, the type in 4 and the nonce
 * in 5. Delta also has the removed names in 6. Protobuf allows fields in any order. So the fields that differ between
 * clients are in a small head, and all clients share the bytes of the resources behind it.
 */
export interface ResponseHead {
  readonly version: string;
  readonly typeUrl: string;
  readonly nonce: string;
  /** The removed names, which only delta has. */
  readonly removed: readonly string[];
}

const versionField = 1;
const resourcesField = 2;
const typeUrlField = 4;
const nonceField = 5;
const removedField = 6;
const lengthDelimited = 2;
const maxVarintBytes = 5;

/** The number of types whose encoded field is kept. A client may request any type. */
const maxKeptTypes = 64;
const typeFields = moduleCache<string, Buffer>("type-fields", maxKeptTypes);

function typeFieldOf(typeUrl: string): Buffer {
  const known = typeFields.get(typeUrl);
  if (known !== undefined) return known;
  const field = Buffer.from(joinFields([[typeUrlField, Buffer.from(typeUrl)]]));
  typeFields.set(typeUrl, field);
  return field;
}

/** The longest nonce whose length fits into one byte. Nonces consist of ASCII characters. */
const maxNonceLength = 127;

export function encodeHead({ version, typeUrl, nonce, removed }: ResponseHead): Buffer {
  if (version === "" && removed.length === 0 && nonce.length <= maxNonceLength) {
    // Write the most frequent form of a head directly.
    const type = typeFieldOf(typeUrl);
    const head = Buffer.allocUnsafe(type.length + 2 + nonce.length);
    head.set(type);
    head[type.length] = (nonceField << 3) | lengthDelimited;
    head[type.length + 1] = nonce.length;
    // For so few characters, a loop is faster than a call of Node's functions.
    for (let index = 0; index < nonce.length; index += 1) head[type.length + 2 + index] = nonce.charCodeAt(index);
    return head;
  }
  const fields: [number: number, bytes: Uint8Array][] = [];
  if (version !== "") fields.push([versionField, Buffer.from(version)]);
  fields.push([typeUrlField, Buffer.from(typeUrl)], [nonceField, Buffer.from(nonce)]);
  for (const name of removed) fields.push([removedField, Buffer.from(name)]);
  return joinFields(fields);
}

/**
 * The size from which a resource is not copied but gets a head of its own, because a copy would take as much memory
 * again.
 */
const copiedBytes = 65_536;

function encodeBody(resources: readonly EncodedResource[], form: ResponseForm): Pick<SharedBody, "parts" | "ownBytes"> {
  const parts: Buffer[] = [];
  let ownBytes = 0;
  let together: (readonly [number: number, bytes: Uint8Array])[] = [];
  const join = (): void => {
    if (together.length === 0) return;
    const joined = joinFields(together);
    parts.push(joined);
    ownBytes += joined.length;
    together = [];
  };
  for (const resource of resources) {
    const bytes = resource[form];
    if (bytes.length <= copiedBytes) {
      together.push([resourcesField, bytes]);
      continue;
    }
    join();
    parts.push(
      Buffer.from(fieldOf(resourcesField, nothing, bytes.length)),
      Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length),
    );
  }
  join();
  return { parts, ownBytes };
}

function joinFields(fields: readonly (readonly [number: number, bytes: Uint8Array])[]): Buffer {
  let capacity = 0;
  for (const [, bytes] of fields) capacity += 1 + maxVarintBytes + bytes.length;
  const target = capacity > Buffer.poolSize >>> 1 ? Buffer.allocUnsafeSlow(capacity) : Buffer.allocUnsafe(capacity);
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

interface SharedBody {
  readonly resources: readonly EncodedResource[];
  readonly form: ResponseForm;
  readonly parts: readonly Buffer[];
  readonly ownBytes: number;
}

/** The maximum total size of bodies that are kept because another client may soon get the same. */
const maxKeptBytes = 48 << 20;
/** The maximum number of kept bodies that are compared. Comparing more would cost more time than it saves. */
const maxCandidates = 16;

/** The bytes of resource lists, encoded once for all clients with equal lists. */
export class ResponseBodies {
  /** The bodies by the first and last resource and the length of the list. The most recently used come last. */
  readonly #kept = new Map<string, SharedBody[]>();
  #keptBytes = 0;
  /** The last body. After a change, many streams in a row need the same one. */
  #last: SharedBody | undefined;

  bodyOf(resources: readonly EncodedResource[], form: ResponseForm): readonly Buffer[] {
    const first = resources[0];
    const last = resources.at(-1);
    if (first === undefined || last === undefined) return [];
    if (this.#last !== undefined && this.#last.form === form && sameList(this.#last.resources, resources))
      return this.#last.parts;
    const key = `${form} ${resources.length} ${first.version} ${last.version}`;
    const candidates = this.#kept.get(key) ?? [];
    const found = candidates.find((candidate) => sameList(candidate.resources, resources));
    if (found !== undefined) {
      this.#kept.delete(key);
      this.#kept.set(key, candidates);
      this.#last = found;
      return found.parts;
    }
    const body = { resources, form, ...encodeBody(resources, form) };
    this.#keep(key, body, candidates);
    return body.parts;
  }

  clear(): void {
    this.#kept.clear();
    this.#keptBytes = 0;
    this.#last = undefined;
  }

  #keep(key: string, body: SharedBody, candidates: SharedBody[]): void {
    if (body.ownBytes > maxKeptBytes) return;
    if (candidates.length >= maxCandidates) this.#keptBytes -= candidates.shift()?.ownBytes ?? 0;
    candidates.push(body);
    this.#last = body;
    this.#kept.delete(key);
    this.#kept.set(key, candidates);
    this.#keptBytes += body.ownBytes;
    for (const [oldest, dropped] of this.#kept) {
      if (this.#keptBytes <= maxKeptBytes || oldest === key) break;
      this.#kept.delete(oldest);
      for (const { ownBytes } of dropped) this.#keptBytes -= ownBytes;
    }
  }
}

const nothing = Buffer.alloc(0);

function sameList(left: readonly EncodedResource[], right: readonly EncodedResource[]): boolean {
  if (left === right) return true;
  return left.length === right.length && left.every((resource, index) => isSame(resource, right[index]));
}

/**
 * Whether two resources have the same bytes. The lengths of the deltas are compared, too, because only some clients'
 * delta of a resource contains its other names.
 */
function isSame(left: EncodedResource, right: EncodedResource | undefined): boolean {
  return (
    left === right ||
    (right !== undefined &&
      left.version === right.version &&
      left.name === right.name &&
      left.delta.length === right.delta.length)
  );
}
