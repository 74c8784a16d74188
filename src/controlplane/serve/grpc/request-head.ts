/** The content of a gRPC call's header list (gRPC over HTTP/2, "Requests"). */
export interface RequestHead {
  readonly method: string;
  readonly path: string;
  readonly contentType: string;
  /** `identity` unless `grpc-encoding` says otherwise. */
  readonly encoding: string;
  /** `grpc-timeout` in milliseconds. Undefined if absent, NaN if invalid. */
  readonly timeoutMs: number | undefined;
}

const pseudoFields = new Set([":method", ":scheme", ":path", ":authority"]);
const fieldName = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;
// eslint-disable-next-line no-control-regex -- these make a field malformed
const unsafeValue = /[\0\r\n]/;
const connectionFields = new Set(["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"]);
const unitMs: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 0.001, n: 0.000_001 };

/** Why a header list is not a request (RFC 9113, 8.2 and 8.3). Undefined if it is one. */
export function requestFault(fields: readonly string[]): string | undefined {
  const seen = new Set<string>();
  let regular = false;
  for (let at = 0; at < fields.length; at += 2) {
    const name = fields[at] ?? "";
    if (!name.startsWith(":")) {
      regular = true;
      const fault = fieldFault(name, fields[at + 1] ?? "");
      if (fault !== undefined) return fault;
      continue;
    }
    if (regular || seen.has(name) || !pseudoFields.has(name))
      return `${name} is unknown, comes twice or after other fields`;
    seen.add(name);
  }
  return seen.has(":method") && seen.has(":path") && seen.has(":scheme")
    ? undefined
    : "the pseudo fields make no request";
}

/** Why a header list cannot be trailers. Undefined if it can. */
export function trailersFault(fields: readonly string[]): string | undefined {
  for (let at = 0; at < fields.length; at += 2) {
    const fault = fieldFault(fields[at] ?? "", fields[at + 1] ?? "");
    if (fault !== undefined) return fault;
  }
  return undefined;
}

function fieldFault(name: string, value: string): string | undefined {
  if (!fieldName.test(name)) return `${JSON.stringify(name)} is no name of a field`;
  if (unsafeValue.test(value)) return `${name} has a value with a line break or NUL`;
  if (connectionFields.has(name)) return `${name} speaks of an HTTP/1.1 connection`;
  return name === "te" && value !== "trailers" ? "te other than trailers" : undefined;
}

/** Reads a header list without {@link requestFault}. */
export function readRequestHead(fields: readonly string[]): RequestHead {
  const timeout = fieldOf(fields, "grpc-timeout");
  return {
    method: fieldOf(fields, ":method") ?? "",
    path: fieldOf(fields, ":path") ?? "",
    contentType: fieldOf(fields, "content-type") ?? "",
    encoding: fieldOf(fields, "grpc-encoding") ?? "identity",
    timeoutMs: timeout === undefined ? undefined : readTimeout(timeout),
  };
}

/** All values of a header, in their order. */
export function fieldValues(fields: readonly string[], name: string): readonly string[] {
  const values: string[] = [];
  for (let at = 0; at < fields.length; at += 2) if (fields[at] === name) values.push(fields[at + 1] ?? "");
  return values;
}

function fieldOf(fields: readonly string[], name: string): string | undefined {
  for (let at = 0; at < fields.length; at += 2) if (fields[at] === name) return fields[at + 1];
  return undefined;
}

function readTimeout(text: string): number {
  const [, digits, unit] = /^(\d{1,8})([HMSmun])$/.exec(text) ?? [];
  return Number(digits ?? Number.NaN) * (unitMs[unit ?? ""] ?? Number.NaN);
}

/** Whether a content type is gRPC's. That of grpc-web is another protocol. */
export function isGrpc(contentType: string): boolean {
  return /^application\/grpc($|[+;])/i.test(contentType);
}
