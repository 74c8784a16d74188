import type { IncomingMessage } from "node:http";
import type { UntypedObject } from "../../api/index.ts";
import { readBytes } from "../../base/joined-bytes/index.ts";
import { readForKubernetes } from "../../base/kubernetes-yaml/index.ts";
import type { SchemaRegistry } from "../schema/contract.ts";
import { wellFormedJson } from "../schema/json.ts";
import { ApiError, badRequest } from "./status.ts";

/** The maximum size of a request body, as in kube-apiserver. */
const maximumBodyBytes = 3 * 1024 * 1024;

export async function readBody(request: IncomingMessage): Promise<Buffer> {
  return await readBytes(
    request as AsyncIterable<Buffer>,
    maximumBodyBytes,
    () => new ApiError(413, "RequestEntityTooLarge", `Request entity too large: limit is ${maximumBodyBytes}`, {}),
  );
}

export function mediaTypeOf(contentType: string | undefined): string {
  return (contentType ?? "application/json").split(";")[0]?.trim().toLowerCase() ?? "application/json";
}

const accepted = "application/json, application/yaml, application/vnd.kubernetes.protobuf";

export interface DecodedBody {
  readonly object: UntypedObject;
  /** The paths of fields that appear twice in the text, for example `spec.replicas`. */
  readonly duplicates: readonly string[];
}

/** Decodes an object from a body in JSON, YAML or protobuf. Throws 400 or 415. */
export async function decodeObject(
  body: Buffer,
  contentType: string | undefined,
  registry: SchemaRegistry,
): Promise<DecodedBody> {
  const media = mediaTypeOf(contentType);
  if (media === "application/vnd.kubernetes.protobuf") {
    const object = registry.decodeProtobuf(body);
    checkValue(object);
    return { object, duplicates: [] };
  }
  if (media !== "application/json" && media !== "application/yaml" && media !== "application/x-www-form-urlencoded") {
    throw new ApiError(
      415,
      "UnsupportedMediaType",
      `the body of the request was in an unknown format - accepted media types include: ${accepted}`,
    );
  }
  const isYaml = media === "application/yaml";
  const sent = body.toString("utf8");
  const text = isYaml ? sent : wellFormedJson(sent);
  const value = isYaml ? await parseYaml(text) : parseJson(text);
  checkValue(value);
  if (value === null || typeof value !== "object" || Array.isArray(value))
    throw badRequest("the request body is not an object");
  const object = value as UntypedObject;
  if (object.metadata === undefined || object.metadata === null) object.metadata = {};
  return { object, duplicates: media === "application/json" ? duplicateFields(text) : [] };
}

/**
 * The maximum number of levels of an object. kube-apiserver allows 10,000, because Go's stack grows. JavaScript's stack
 * does not.
 */
const maximumLevels = 1000;

/**
 * Throws 400 for a value with more than {@link maximumLevels} levels, because the code that handles objects recurses
 * into each level. Also throws 400 for a number such as 1e999, which JavaScript reads as infinite and writes as null.
 */
export function checkValue(value: unknown): void {
  let level: unknown[] = [value];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > maximumLevels) throw badRequest(`the object has more than ${maximumLevels} levels`);
    const below: unknown[] = [];
    for (const value of level) {
      if (typeof value !== "object" || value === null) continue;
      for (const inner of Object.values(value) as unknown[]) {
        if (typeof inner === "object" && inner !== null) below.push(inner);
        else if (typeof inner === "number" && !Number.isFinite(inner))
          throw badRequest("json: cannot unmarshal number into Go value of type float64: value out of range");
      }
    }
    level = below;
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw badRequest(`the request body is not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/**
 * The maximum length of a YAML text, because the parser takes microseconds for each character. Clients send longer
 * objects as JSON.
 */
const maximumYamlCharacters = 256 * 1024;

/** The maximum number of aliases, because the parser searches all nodes before an alias for its anchor. */
const maximumYamlAliases = 100;

/**
 * Parses a text in YAML or JSON. Throws 400 if the text is invalid or exceeds a limit. Only YAML has limits, because
 * the YAML parser is slow and its time grows faster than the number of levels.
 */
export async function parseYaml(text: string): Promise<unknown> {
  if (text.trimStart().startsWith("{")) {
    try {
      return JSON.parse(wellFormedJson(text));
    } catch {
      // The text is not JSON. Try YAML, because a YAML flow mapping also begins with a brace.
    }
  }
  const { yamlNestingFault } = await import("../../base/yaml-bounds/index.ts");
  const fault =
    text.length > maximumYamlCharacters
      ? `a YAML text must be at most ${maximumYamlCharacters} characters, got ${text.length}: send JSON`
      : yamlNestingFault(text);
  if (fault !== undefined) throw badRequest(`error converting YAML to JSON: ${fault}`);
  try {
    return await parsedYaml(text);
  } catch (error) {
    throw badRequest(`error converting YAML to JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
}

async function parsedYaml(text: string): Promise<unknown> {
  const { isScalar, parseDocument, visit } = await import("yaml");
  // Two options save time. The parser's own search for duplicate keys compares each key with all earlier keys. A pretty
  // error copies the text, which may contain very many errors.
  const options = { ...readForKubernetes, uniqueKeys: false, prettyErrors: false };
  const document = withoutStacks(() => parseDocument(text, options));
  const [error] = document.errors;
  if (error !== undefined) throw error;
  let aliases = 0;
  visit(document, {
    Alias() {
      aliases += 1;
      if (aliases > maximumYamlAliases) throw new Error(`must have at most ${maximumYamlAliases} aliases`);
    },
    Scalar(_key, { value }) {
      // Go's YAML parser refuses an escaped half of a surrogate pair, which JSON may contain.
      if (typeof value === "string" && !value.isWellFormed())
        throw new Error("found invalid Unicode character escape code");
    },
    Map(_key, map) {
      const names = new Set<unknown>();
      for (const { key } of map.items) {
        // Refuse keys that are maps or lists. JSON has no such keys, and the parser would convert each one to YAML
        // text.
        if (!isScalar(key)) throw new Error("Map keys must be scalars");
        const name = key.value;
        if (names.has(name)) throw new Error(`Map keys must be unique: ${String(name)}`);
        names.add(name);
      }
    },
  });
  return document.toJS() as unknown;
}

/**
 * Runs a function without recording stack traces of its errors. An invalid text may have a hundred thousand errors, and
 * their stack traces take three quarters of the time.
 */
function withoutStacks<Value>(run: () => Value): Value {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    return run();
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

interface Level {
  readonly path: string;
  readonly keys: Set<string> | undefined;
  index: number;
  field: string;
}

/** The maximum number of unknown or duplicate fields that are reported for an object, as in kube-apiserver. */
export const maximumFieldFaults = 100;

/**
 * The paths of the fields that a JSON text names more than once in one object, at most {@link maximumFieldFaults} of
 * them. The text must be valid JSON. The number has a limit because a single path may be megabytes long.
 */
export function duplicateFields(text: string): string[] {
  const found: string[] = [];
  const levels: Level[] = [];
  const token = /"(?:[^"\\]|\\.)*"|[{}[\],:]/g;
  let expectsKey = false;
  for (let match = token.exec(text); match !== null && found.length < maximumFieldFaults; match = token.exec(text)) {
    const part = match[0];
    const level = levels.at(-1);
    if (part === "{" || part === "[") {
      levels.push({ path: pathIn(level), keys: part === "{" ? new Set() : undefined, index: 0, field: "" });
      expectsKey = part === "{";
    } else if (part === "}" || part === "]") {
      levels.pop();
      expectsKey = false;
    } else if (part === ",") {
      if (level !== undefined) level.index++;
      expectsKey = level?.keys !== undefined;
    } else if (part === ":") expectsKey = false;
    else if (expectsKey && level?.keys !== undefined) {
      level.field = JSON.parse(part) as string;
      if (level.keys.has(level.field)) found.push(pathIn(level));
      level.keys.add(level.field);
      expectsKey = false;
    }
  }
  return found;
}

function pathIn(level: Level | undefined): string {
  if (level === undefined) return "";
  if (level.keys === undefined) return `${level.path}[${level.index}]`;
  return level.path === "" ? level.field : `${level.path}.${level.field}`;
}
