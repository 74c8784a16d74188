import { equalsIgnoringCase, fieldKinds, type MessageHead } from "../../wire/http1/index.ts";
import type { HeaderEdits } from "../routing/header-mutation.ts";
import type { RequestTrace } from "../terms/request-trace.ts";
import type { ByteBuilder } from "./byte-builder.ts";
import type { ClientCertificateField } from "./client-certificate.ts";
import type { HttpConnectionConfig } from "./http-connection-config.ts";
import { peerMetadataHeader, peerMetadataIdHeader, type OwnMetadata } from "../peers/peer-metadata.ts";

/** The edits of a request's head on its way to the upstream. */
export interface RequestComposition {
  readonly head: MessageHead;
  readonly config: HttpConnectionConfig;
  /** The path and query to request. Undefined means the client's target. */
  readonly target: string | undefined;
  /** The path and query before a rewrite, for the upstream. */
  readonly originalPath: string | undefined;
  /** The host to request. Undefined means the client's host. */
  readonly host: string | undefined;
  /** The peer is in a private network, so its headers about itself are kept. */
  readonly internalPeer: boolean;
  readonly peerAddress: string;
  readonly scheme: "http" | "https";
  /** The value to send. It replaces the client's header if the two differ. */
  readonly requestId: string;
  readonly requestIdIsNew: boolean;
  /** Undefined: the client's trace context is passed on unchanged. */
  readonly trace: Pick<RequestTrace, "lines" | "replaced"> | undefined;
  readonly forwardedFor: string;
  readonly clientCertificate: ClientCertificateField;
  /** Replaces the client's header if there is one. */
  readonly peerMetadata: OwnMetadata | undefined;
  /** Protocol to upgrade to. */
  readonly upgrade: string | undefined;
  readonly edits: HeaderEdits | undefined;
  readonly attemptCount: boolean;
}

/**
 * Writes the head for the upstream: removes hop-by-hop headers, adds those of the edge, and copies the rest unchanged.
 * Returns the position of the one-digit attempt count, or -1 without one.
 */
export function composeRequest(out: ByteBuilder, request: RequestComposition): number {
  const { head, config } = request;
  if (request.target === undefined) out.range(head.bytes, head.start, head.targetEnd);
  else {
    out.range(head.bytes, head.start, head.targetStart);
    out.text(request.target);
  }
  out.piece(version);
  if (request.host !== undefined) out.text(`host: ${request.host}\r\n`);
  const hasForwardedProto = copyFields(out, request);
  let added = "";
  if (config.appendForwardedFor) added += `x-forwarded-for: ${request.forwardedFor}\r\n`;
  if (!hasForwardedProto || !trustsForwardedProto(config)) added += `x-forwarded-proto: ${request.scheme}\r\n`;
  if (config.useRemoteAddress)
    added += request.internalPeer
      ? "x-envoy-internal: true\r\n"
      : `x-envoy-external-address: ${request.peerAddress}\r\n`;
  if (request.clientCertificate !== "keep" && request.clientCertificate !== "drop")
    added += `x-forwarded-client-cert: ${request.clientCertificate.value}\r\n`;
  if (request.peerMetadata !== undefined)
    added += `${peerMetadataIdHeader}: ${request.peerMetadata.id}\r\n${peerMetadataHeader}: ${request.peerMetadata.value}\r\n`;
  if (request.requestIdIsNew) added += `x-request-id: ${request.requestId}\r\n`;
  if (request.trace !== undefined) added += request.trace.lines;
  if (request.originalPath !== undefined) added += `x-envoy-original-path: ${request.originalPath}\r\n`;
  if (request.upgrade !== undefined) added += `connection: upgrade\r\nupgrade: ${request.upgrade}\r\n`;
  if (request.edits !== undefined)
    for (const [name, value] of request.edits.added) if (name !== "host") added += `${name}: ${value}\r\n`;
  if (request.attemptCount) added += "x-envoy-attempt-count: 1\r\n";
  out.text(`${added}\r\n`);
  return request.attemptCount ? out.length - "1\r\n\r\n".length : -1;
}

/** Whether the client's `x-forwarded-proto` counts: clients behind a trusted proxy may say how they reached it. */
export function trustsForwardedProto(config: HttpConnectionConfig): boolean {
  return !config.useRemoteAddress || config.trustedHops > 0;
}

const version = new TextEncoder().encode(" HTTP/1.1\r\n");

/** Returns whether `x-forwarded-proto` is among the headers. */
function copyFields(out: ByteBuilder, request: RequestComposition): boolean {
  const { head } = request;
  const { bytes, nameStarts, lineEnds, fieldCount } = head;
  let rangeStart = head.fieldsStart;
  let hasForwardedProto = false;
  for (let field = 0; field < fieldCount; field += 1) {
    if (head.kinds[field] === fieldKinds.forwardedProto) hasForwardedProto = true;
    if (keepsRequestField(request, field)) continue;
    out.range(bytes, rangeStart, nameStarts[field] ?? 0);
    rangeStart = lineEnds[field] ?? 0;
  }
  out.range(bytes, rangeStart, head.end - 2);
  return hasForwardedProto;
}

function keepsRequestField(request: RequestComposition, field: number): boolean {
  const { head, config } = request;
  switch (head.kind(field)) {
    case fieldKinds.connection:
    case fieldKinds.keepAlive:
    case fieldKinds.proxyConnection:
    case fieldKinds.upgrade:
    case fieldKinds.http2Settings:
      return false;
    case fieldKinds.te:
      return head.value(field).toLowerCase() === "trailers";
    case fieldKinds.expect:
      return config.forwardContinue || !head.expectsContinue;
    case fieldKinds.host:
      return request.host === undefined;
    case fieldKinds.forwardedFor:
      return !config.appendForwardedFor;
    case fieldKinds.forwardedProto:
      return trustsForwardedProto(config);
    case fieldKinds.requestId:
      return !request.requestIdIsNew;
    case fieldKinds.clientCertificate:
      return request.clientCertificate === "keep";
    case fieldKinds.envoy:
      return keepsEnvoyField(request, field);
    default:
      return keepsOrdinaryField(request, field);
  }
}

const replacedEnvoyFields = [
  "x-envoy-internal",
  "x-envoy-external-address",
  "x-envoy-attempt-count",
  "x-envoy-original-path",
  "x-envoy-expected-rq-timeout-ms",
];

/**
 * Headers that only internal clients may set. From other clients at an edge, every header with this prefix is removed.
 */
const ofInternalClients: ReadonlySet<string> = new Set([
  "x-envoy-internal",
  "x-envoy-retry-on",
  "x-envoy-retry-grpc-on",
  "x-envoy-max-retries",
  "x-envoy-retriable-status-codes",
  "x-envoy-retriable-header-names",
  "x-envoy-hedge-on-per-try-timeout",
  "x-envoy-upstream-alt-stat-name",
  "x-envoy-upstream-rq-timeout-ms",
  "x-envoy-upstream-rq-per-try-timeout-ms",
  "x-envoy-upstream-rq-timeout-alt-response",
  "x-envoy-upstream-stream-duration-ms",
  "x-envoy-expected-rq-timeout-ms",
  "x-envoy-force-trace",
  "x-envoy-ip-tags",
  "x-envoy-original-url",
]);

function keepsEnvoyField(request: RequestComposition, field: number): boolean {
  const { peerMetadata } = request.config;
  const start = request.head.nameStarts[field] ?? 0;
  const length = (request.head.nameEnds[field] ?? 0) - start;
  if (length === peerMetadataHeader.length || length === peerMetadataIdHeader.length) {
    const name = request.head.name(field).toLowerCase();
    // The proxy reads or replaces these. Their old value described the previous hop.
    if (name === peerMetadataHeader || name === peerMetadataIdHeader)
      return !peerMetadata.readFromClient && request.peerMetadata === undefined;
  }
  if (!request.internalPeer)
    return !request.config.useRemoteAddress && !ofInternalClients.has(request.head.name(field).toLowerCase());
  return !replacedEnvoyFields.some(
    (name) => name.length === length && equalsIgnoringCase(request.head.bytes, start, name),
  );
}

function keepsOrdinaryField(request: RequestComposition, field: number): boolean {
  const { head, edits, trace } = request;
  if (edits === undefined && !head.connectionNominates && trace?.replaced === undefined) return true;
  const name = head.name(field).toLowerCase();
  if (trace?.replaced?.has(name) === true) return false;
  if (edits?.dropped.has(name) === true) return false;
  return !head.connectionNominates || !isNominated(head, name);
}

/**
 * Headers that frame the body stay with it, whatever `connection` names. Without them, the rest of the body would be
 * read as another message.
 */
const framingFields: ReadonlySet<string> = new Set(["content-length", "transfer-encoding"]);

/** Whether the `connection` header marks this header as hop-by-hop. */
export function isNominated(head: MessageHead, name: string): boolean {
  if (framingFields.has(name)) return false;
  for (let field = head.find("connection"); field >= 0; field = head.find("connection", field + 1)) {
    if (head.hasToken(field, name)) return true;
  }
  return false;
}
