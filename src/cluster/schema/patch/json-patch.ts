import { jsonEqual, pointerName, pointerNames } from "../../../base/index.ts";
import { SchemaFault } from "../contract.ts";
import { cloneJson, isObject, setOwn, type JsonObject } from "../json.ts";

/** The maximum number of operations, as in kube-apiserver. */
const maxOperations = 10_000;
/**
 * The maximum number of bytes that the copies of one patch have together. As in kube-apiserver, it is the maximum size
 * of a request's body.
 */
const maxCopiedBytes = 3 << 20;

type Operation =
  | { readonly op: "add" | "replace" | "test"; readonly path: string[]; readonly value: unknown }
  | { readonly op: "remove"; readonly path: string[] }
  | { readonly op: "move" | "copy"; readonly path: string[]; readonly from: string[] };

/**
 * Applies a JSON patch (RFC 6902). Throws 400 for an invalid patch, and 422 for a patch that cannot be applied. The
 * result shares no part with the arguments.
 */
export function applyJsonPatch(original: unknown, patch: unknown): unknown {
  if (!Array.isArray(patch))
    throw new SchemaFault(
      400,
      "BadRequest",
      "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp",
    );
  if (patch.length > maxOperations)
    throw new SchemaFault(
      400,
      "BadRequest",
      `The allowed maximum operations in a JSON patch is ${maxOperations}, got ${patch.length}`,
    );
  const holder: Holder = { root: cloneJson(original), copiedBytes: 0 };
  for (const operation of patch.map(parseOperation)) applyOperation(holder, operation);
  return holder.root;
}

interface Holder {
  root: unknown;
  copiedBytes: number;
}

function parseOperation(raw: unknown): Operation {
  if (!isObject(raw))
    throw new SchemaFault(400, "BadRequest", "error decoding patch: each operation must be an object with op and path");
  const { op, path, from } = raw;
  const pointer = parsePointer(path, "path");
  switch (op) {
    case "add":
    case "replace":
    case "test":
      // As in kube-apiserver's patch library, a missing value means null.
      return { op, path: pointer, value: raw.value ?? null };
    case "remove":
      return { op, path: pointer };
    case "move":
    case "copy":
      return { op, path: pointer, from: parsePointer(from, "from") };
    default:
      throw new SchemaFault(422, "Invalid", `Unexpected kind: ${String(op)}`);
  }
}

function parsePointer(raw: unknown, member: string): string[] {
  if (typeof raw !== "string" || (raw !== "" && !raw.startsWith("/")))
    throw new SchemaFault(
      422,
      "Invalid",
      `JSON patch: "${member}" must be a JSON pointer such as /metadata/labels, got ${JSON.stringify(raw) ?? "nothing"}`,
    );
  if (raw === "") return [];
  return pointerNames(raw);
}

function applyOperation(holder: Holder, operation: Operation): void {
  switch (operation.op) {
    case "add":
      add(holder, operation.path, cloneJson(operation.value));
      return;
    case "remove":
      remove(holder, operation.path);
      return;
    case "replace":
      replace(holder, operation.path, cloneJson(operation.value));
      return;
    case "move": {
      const value = read(holder, operation.from);
      remove(holder, operation.from);
      add(holder, operation.path, value);
      return;
    }
    case "copy":
      add(holder, operation.path, copied(holder, read(holder, operation.from)));
      return;
    case "test":
      if (!jsonEqual(readOrNull(holder, operation.path), operation.value))
        throw new SchemaFault(422, "Invalid", `testing value ${pointerText(operation.path)} failed: test failed`);
      return;
  }
}

/**
 * Copies a value and counts its size. Without a limit, copies of copies could double the object with each operation.
 */
function copied(holder: Holder, value: unknown): unknown {
  const text = JSON.stringify(value) ?? "null";
  holder.copiedBytes += text.length;
  if (holder.copiedBytes > maxCopiedBytes)
    throw new SchemaFault(
      422,
      "Invalid",
      `JSON patch: the copies add up to ${holder.copiedBytes} bytes, ${maxCopiedBytes} are allowed; add the values instead`,
    );
  return JSON.parse(text);
}

function pointerText(path: readonly string[]): string {
  return path.map((part) => `/${pointerName(part)}`).join("");
}

function missing(path: readonly string[]): SchemaFault {
  return new SchemaFault(422, "Invalid", `the JSON patch does not apply: ${pointerText(path)} is missing`);
}

function indexIn(list: readonly unknown[], key: string, limit: number, path: readonly string[]): number {
  const counted = /^-?(0|[1-9]\d*)$/.test(key) ? Number(key) : Number.NaN;
  // As in kube-apiserver's patch library, a negative index counts from the end.
  const index = counted < 0 ? list.length + counted : counted;
  if (!(index >= 0 && index < limit))
    throw new SchemaFault(
      422,
      "Invalid",
      `the JSON patch does not apply: ${pointerText(path)}: index ${key} is outside the list of ${list.length}`,
    );
  return index;
}

function step(value: unknown, key: string, path: readonly string[]): unknown {
  if (Array.isArray(value)) return value[indexIn(value, key, value.length, path)] as unknown;
  if (!isObject(value) || !Object.hasOwn(value, key)) throw missing(path);
  return value[key];
}

function read(holder: { root: unknown }, path: readonly string[]): unknown {
  return path.reduce((value, key) => step(value, key, path), holder.root);
}

/** Reads a value for the operation `test`. As in kube-apiserver's patch library, an absent field equals null. */
function readOrNull(holder: { root: unknown }, path: readonly string[]): unknown {
  const parent = path.length === 0 ? undefined : read(holder, path.slice(0, -1));
  const last = path.at(-1);
  if (isObject(parent) && last !== undefined && !Object.hasOwn(parent, last)) return null;
  return read(holder, path);
}

function parentOf(holder: { root: unknown }, path: readonly string[]): unknown[] | JsonObject {
  const parent = read(holder, path.slice(0, -1));
  if (Array.isArray(parent) || isObject(parent)) return parent;
  throw missing(path);
}

function add(holder: { root: unknown }, path: readonly string[], value: unknown): void {
  const last = path.at(-1);
  if (last === undefined) {
    holder.root = value;
    return;
  }
  const parent = parentOf(holder, path);
  if (!Array.isArray(parent)) setOwn(parent, last, value);
  else if (last === "-") parent.push(value);
  else parent.splice(indexIn(parent, last, parent.length + 1, path), 0, value);
}

function replace(holder: { root: unknown }, path: readonly string[], value: unknown): void {
  const last = path.at(-1);
  if (last === undefined) {
    holder.root = value;
    return;
  }
  const parent = parentOf(holder, path);
  if (Array.isArray(parent)) parent[indexIn(parent, last, parent.length, path)] = value;
  else setOwn(parent, last, value);
}

function remove(holder: { root: unknown }, path: readonly string[]): void {
  const last = path.at(-1);
  if (last === undefined) throw new SchemaFault(422, "Invalid", "JSON patch: the whole document cannot be removed");
  const parent = parentOf(holder, path);
  step(parent, last, path);
  if (Array.isArray(parent)) parent.splice(indexIn(parent, last, parent.length, path), 1);
  else delete parent[last];
}
