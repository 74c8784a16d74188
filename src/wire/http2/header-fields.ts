import { staticNames } from "./static-table.ts";

/** A header name in lower case (RFC 9110, 5.1, and RFC 9113, 8.2). */
export const fieldName = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;
// eslint-disable-next-line no-control-regex -- these make a field malformed
const unsafeValue = /[\0\r\n]/;
/** Names that need no further check. Most fields have one of them. */
export const usualNames: ReadonlySet<string> = new Set([
  ...staticNames.filter((name) => fieldName.test(name) && name !== "transfer-encoding"),
  "te",
  "trailer",
  "x-request-id",
  "x-forwarded-for",
  "x-forwarded-proto",
  "x-envoy-upstream-service-time",
  "traceparent",
  "tracestate",
  "grpc-status",
  "grpc-message",
  "grpc-timeout",
  "grpc-encoding",
  "grpc-accept-encoding",
  "baggage",
  "forwarded",
]);
/** Headers about an HTTP/1.1 connection. In HTTP/2, they make a message malformed. */
const connectionFields = new Set(["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"]);
const colon = 58;

export type PseudoFields = Record<string, string | undefined>;

/** Whether HTTP/2 allows a header of this name, which must be in lower case. */
export function isFieldName(name: string): boolean {
  return fieldName.test(name) && !connectionFields.has(name);
}

/** Why a header other than a pseudo header makes its message malformed (RFC 9113, 8.2). Undefined if it does not. */
export function fieldFault(name: string, value: string): string | undefined {
  if (usualNames.has(name)) return unsafeValue.test(value) ? `a control byte in ${name}` : undefined;
  if (!fieldName.test(name))
    return name.charCodeAt(0) === colon
      ? `the pseudo field ${name} after other fields`
      : "a field name with invalid characters";
  if (unsafeValue.test(value)) return `a control byte in ${name}`;
  return connectionFields.has(name) ? `the field ${name}` : undefined;
}

/** Why a header list cannot be trailers. Undefined if it can. The list has names and values in turn. */
export function trailersFault(fields: readonly string[]): string | undefined {
  return faultFrom(fields, 0);
}

/**
 * Reads the pseudo headers, which come first (RFC 9113, 8.3). Returns the index of the first other header, or the
 * fault. The list has names and values in turn.
 */
export function readPseudoFields(
  fields: readonly string[],
  known: readonly string[],
  into: PseudoFields,
): number | string {
  let at = 0;
  for (; at < fields.length; at += 2) {
    const name = fields[at] ?? "";
    if (name.charCodeAt(0) !== colon) break;
    const value = fields[at + 1] ?? "";
    if (!known.includes(name)) return `the pseudo field ${name}`;
    if (unsafeValue.test(value)) return `a control byte in ${name}`;
    if (!putPseudoField(into, name, value)) return `${name} twice`;
  }
  return at;
}

/**
 * Sets a pseudo header. Returns false if it is already set. Literal property names are found faster than computed ones.
 */
function putPseudoField(into: PseudoFields, name: string, value: string): boolean {
  switch (name) {
    case ":method":
      if (into[":method"] !== undefined) return false;
      into[":method"] = value;
      return true;
    case ":scheme":
      if (into[":scheme"] !== undefined) return false;
      into[":scheme"] = value;
      return true;
    case ":path":
      if (into[":path"] !== undefined) return false;
      into[":path"] = value;
      return true;
    case ":authority":
      if (into[":authority"] !== undefined) return false;
      into[":authority"] = value;
      return true;
    case ":status":
      if (into[":status"] !== undefined) return false;
      into[":status"] = value;
      return true;
    default:
      if (into[name] !== undefined) return false;
      into[name] = value;
      return true;
  }
}

/** Reads a request's pseudo headers into `into`, and checks its other headers. Returns the fault, or undefined. */
export function requestFieldsFault(
  fields: readonly string[],
  known: readonly string[],
  into: PseudoFields,
): string | undefined {
  const regular = readPseudoFields(fields, known, into);
  if (typeof regular === "string") return regular;
  for (let at = regular; at < fields.length; at += 2)
    if (fields[at] === "te" && fields[at + 1] !== "trailers") return "te other than trailers";
  return faultFrom(fields, regular);
}

function faultFrom(fields: readonly string[], first: number): string | undefined {
  for (let at = first; at < fields.length; at += 2) {
    const fault = fieldFault(fields[at] ?? "", fields[at + 1] ?? "");
    if (fault !== undefined) return fault;
  }
  return undefined;
}
