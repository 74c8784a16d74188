/**
 * The kinds of header fields that a proxy treats in its own way. The scanner classifies each field of a head once.
 * Later passes then compare small integers, and not names.
 */
export const fieldKinds = {
  other: 0,
  host: 1,
  connection: 2,
  keepAlive: 3,
  proxyConnection: 4,
  transferEncoding: 5,
  contentLength: 6,
  upgrade: 7,
  te: 8,
  trailer: 9,
  expect: 10,
  forwardedFor: 11,
  forwardedProto: 12,
  requestId: 13,
  clientCertificate: 14,
  userAgent: 15,
  server: 16,
  date: 17,
  envoy: 18,
  http2Settings: 19,
  forwardedHost: 20,
  /** Headers with the context of a trace, or with a request for tracing. */
  trace: 21,
} as const;

export type FieldKind = (typeof fieldKinds)[keyof typeof fieldKinds];

const known: readonly (readonly [string, FieldKind])[] = [
  ["te", fieldKinds.te],
  ["host", fieldKinds.host],
  ["date", fieldKinds.date],
  ["expect", fieldKinds.expect],
  ["server", fieldKinds.server],
  ["upgrade", fieldKinds.upgrade],
  ["trailer", fieldKinds.trailer],
  ["connection", fieldKinds.connection],
  ["keep-alive", fieldKinds.keepAlive],
  ["user-agent", fieldKinds.userAgent],
  ["x-request-id", fieldKinds.requestId],
  ["content-length", fieldKinds.contentLength],
  ["http2-settings", fieldKinds.http2Settings],
  ["x-forwarded-for", fieldKinds.forwardedFor],
  ["x-forwarded-host", fieldKinds.forwardedHost],
  ["proxy-connection", fieldKinds.proxyConnection],
  ["transfer-encoding", fieldKinds.transferEncoding],
  ["x-forwarded-proto", fieldKinds.forwardedProto],
  ["x-forwarded-client-cert", fieldKinds.clientCertificate],
  ["b3", fieldKinds.trace],
  ["traceparent", fieldKinds.trace],
  ["x-b3-flags", fieldKinds.trace],
  ["x-b3-spanid", fieldKinds.trace],
  ["x-b3-traceid", fieldKinds.trace],
  ["x-b3-sampled", fieldKinds.trace],
  ["x-b3-parentspanid", fieldKinds.trace],
  ["x-client-trace-id", fieldKinds.trace],
];

interface Candidate {
  /** The name as bytes, because a loop reads them faster than the letters of a string. */
  readonly name: Uint8Array;
  readonly kind: FieldKind;
}

const longestKnown = 23;
const byLength: readonly (readonly Candidate[])[] = Array.from({ length: longestKnown + 1 }, (_, length) =>
  known
    .filter(([name]) => name.length === length)
    .map(([name, kind]) => ({ name: new TextEncoder().encode(name), kind })),
);
const none: readonly Candidate[] = [];

/** Whether `bytes[start, start + name.length)` equals `name` in any case. `name` must be in lower case. */
export function equalsIgnoringCase(bytes: Uint8Array, start: number, name: string): boolean {
  for (let index = 0; index < name.length; index += 1) {
    let byte = bytes[start + index] ?? 0;
    if (byte >= 65 && byte <= 90) byte |= 32;
    if (byte !== name.charCodeAt(index)) return false;
  }
  return true;
}

function isNamed(bytes: Uint8Array, start: number, name: Uint8Array): boolean {
  for (let index = 0; index < name.length; index += 1) {
    let byte = bytes[start + index] ?? 0;
    if (byte >= 65 && byte <= 90) byte |= 32;
    if (byte !== name[index]) return false;
  }
  return true;
}

export function fieldKindOf(bytes: Uint8Array, start: number, end: number): FieldKind {
  const length = end - start;
  const candidates = length <= longestKnown ? (byLength[length] ?? none) : none;
  for (let index = 0; index < candidates.length; index += 1) {
    const candidate = candidates[index];
    if (candidate !== undefined && isNamed(bytes, start, candidate.name)) return candidate.kind;
  }
  if (length > 8 && equalsIgnoringCase(bytes, start, "x-envoy-")) return fieldKinds.envoy;
  return fieldKinds.other;
}
