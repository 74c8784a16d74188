import { bodyFramingHeaders } from "../../../base/index.ts";
import { fieldKinds, type MessageHead } from "../../../wire/http1/index.ts";
import type { HeaderEdits } from "../../routing/header-mutation.ts";
import { UnkeptTrace, type RequestTrace } from "../../terms/request-trace.ts";
import type { ByteBuilder } from "./byte-builder.ts";
import { edgeField, edgeNames, forwardedPortHeader, fromClient, type EdgeFacts } from "./edge-fields.ts";
import { formatGrpcTimeout } from "../grpc.ts";
import type { HttpConnectionConfig } from "../http-connection-config.ts";
import { peerMetadataHeader, peerMetadataIdHeader, type OwnMetadata } from "../../peers/peer-metadata.ts";

export interface RequestComposition {
  /** The facts about the client. Its head is the one that is edited. */
  readonly client: EdgeFacts;
  readonly config: HttpConnectionConfig;
  /** The path and query for the upstream. Undefined means the client's own. */
  readonly target: string | undefined;
  /** The path and query before a rewrite, for `x-envoy-original-path`. Undefined if that header is not sent. */
  readonly originalPath: string | undefined;
  /** The host for the upstream. Undefined means the client's own. */
  readonly host: string | undefined;
  /** The hosts for `x-forwarded-host`. Undefined means that the client's own header is sent. */
  readonly forwardedHost: string | undefined;
  /** The headers of the trace. If undefined, the client's trace context is passed on unchanged. */
  readonly trace: Pick<RequestTrace, "lines" | "replaced"> | undefined;
  /** The names (lower case) of headers that filters wrote or removed. The proxy's own values do not replace them. */
  readonly settled: ReadonlySet<string> | undefined;
  /** The proxy's own metadata. If set, it replaces the metadata in the client's header. */
  readonly peerMetadata: OwnMetadata | undefined;
  readonly upgrade: string | undefined;
  readonly edits: HeaderEdits | undefined;
  /** How long the upstream may take, in milliseconds, for the two headers below. 0 means no limit. */
  readonly expectedMs: number;
  /** Whether `x-envoy-expected-rq-timeout-ms` and `grpc-timeout` tell the upstream its time limit. */
  readonly tellsTimeout: boolean;
  readonly tellsGrpcTimeout: boolean;
  readonly attemptCount: boolean;
}

/**
 * The positions, in a composed head, of the values that later attempts change. -1 if the head does not contain the
 * value.
 */
export interface HeadStamps {
  attemptAt: number;
  timeoutAt: number;
  grpcTimeoutAt: number;
}

/**
 * Writes the head for the upstream. Removes hop-by-hop headers, adds the headers of the edge, and copies the rest
 * unchanged. `stamps` receives the positions of the values that differ between attempts.
 */
export function composeRequest(out: ByteBuilder, request: RequestComposition, stamps?: HeadStamps): void {
  const { client, config } = request;
  const { head } = client;
  // If the request line is unchanged, one copy takes it together with the headers.
  if (request.target === undefined && request.host === undefined && head.minorVersion === 1)
    copyFields(out, request, head.start);
  else {
    writeLine(out, request);
    copyFields(out, request, head.fieldsStart);
  }
  for (let index = 0; index < edgeNames.length; index += 1) {
    const name = edgeNames[index] ?? "";
    const id = name === requestIdHeader ? client.randomId : undefined;
    const value = id ?? edgeField(name, client, config);
    if (value === undefined || value === fromClient || isSettled(request, name)) continue;
    if (typeof value === "string") out.field(name, value);
    else out.writtenField(name, value);
  }
  const { forwardedHost } = request;
  if (forwardedHost !== undefined && !isSettled(request, forwardedHostHeader))
    out.field(forwardedHostHeader, forwardedHost);
  if (request.peerMetadata !== undefined) {
    out.field(peerMetadataIdHeader, request.peerMetadata.id);
    out.field(peerMetadataHeader, request.peerMetadata.value);
  }
  const { trace } = request;
  if (trace instanceof UnkeptTrace) out.written(trace);
  else if (trace !== undefined) out.text(trace.lines);
  if (request.originalPath !== undefined) out.field("x-envoy-original-path", request.originalPath);
  if (request.upgrade !== undefined) {
    out.field("connection", "upgrade");
    out.field("upgrade", request.upgrade);
  }
  if (request.edits !== undefined)
    for (const [name, value] of request.edits.added) if (name !== "host") out.field(name, value);
  const grpcTimeoutAt = tells(request, grpcTimeoutHeader)
    ? stampedField(out, grpcTimeoutHeader, formatGrpcTimeout(request.expectedMs))
    : -1;
  const timeoutAt = tells(request, expectedTimeoutHeader)
    ? stampedField(out, expectedTimeoutHeader, String(request.expectedMs))
    : -1;
  const attemptAt = request.attemptCount ? stampedField(out, "x-envoy-attempt-count", "1") : -1;
  out.piece(emptyLine);
  if (stamps === undefined) return;
  stamps.grpcTimeoutAt = grpcTimeoutAt;
  stamps.timeoutAt = timeoutAt;
  stamps.attemptAt = attemptAt;
}

const grpcTimeoutHeader = "grpc-timeout";
const expectedTimeoutHeader = "x-envoy-expected-rq-timeout-ms";

/**
 * Whether the proxy writes this header itself, which replaces the client's. It does not if the route removes the
 * header.
 */
function tells(request: RequestComposition, name: typeof grpcTimeoutHeader | typeof expectedTimeoutHeader): boolean {
  const wanted = name === grpcTimeoutHeader ? request.tellsGrpcTimeout : request.tellsTimeout;
  return wanted && request.expectedMs > 0 && request.edits?.dropped.has(name) !== true;
}

function stampedField(out: ByteBuilder, name: string, value: string): number {
  out.field(name, value);
  return out.length - value.length - lineEndBytes;
}

const lineEndBytes = 2;

/** Whether filters or the route have decided about a header that the proxy would otherwise write or remove. */
function isSettled({ settled, edits }: RequestComposition, name: string): boolean {
  return settled?.has(name) === true || edits?.dropped.has(name) === true;
}

const requestIdHeader = "x-request-id";
const forwardedHostHeader = "x-forwarded-host";
const version = new TextEncoder().encode(" HTTP/1.1\r\n");
const emptyLine = new TextEncoder().encode("\r\n");

function writeLine(out: ByteBuilder, { client: { head }, target, host }: RequestComposition): void {
  if (target === undefined) out.range(head.bytes, head.start, head.targetEnd);
  else {
    out.range(head.bytes, head.start, head.targetStart);
    out.text(target);
  }
  out.piece(version);
  if (host !== undefined) out.field("host", host);
}

function copyFields(out: ByteBuilder, request: RequestComposition, from: number): void {
  const { head } = request.client;
  const { bytes, nameStarts, lineEnds, fieldCount } = head;
  const areOrdinaryKept = keepsOrdinaryFields(request);
  let rangeStart = from;
  for (let field = 0; field < fieldCount; field += 1) {
    if (keepsRequestField(request, field, areOrdinaryKept)) continue;
    out.range(bytes, rangeStart, nameStarts[field] ?? 0);
    rangeStart = lineEnds[field] ?? 0;
  }
  out.range(bytes, rangeStart, head.end - 2);
}

function keepsRequestField(request: RequestComposition, field: number, areOrdinaryKept: boolean): boolean {
  const { client, config } = request;
  const { head } = client;
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
      return keepsEdgeField(request, "x-forwarded-for");
    case fieldKinds.forwardedProto:
      return keepsEdgeField(request, "x-forwarded-proto");
    case fieldKinds.requestId:
      return keepsRequestId(request);
    case fieldKinds.clientCertificate:
      return keepsEdgeField(request, "x-forwarded-client-cert");
    case fieldKinds.envoy:
      return keepsFieldOfEnvoy(request, field);
    default:
      return areOrdinaryKept || keepsOrdinaryField(request, field);
  }
}

function keepsEdgeField({ client, config, edits, settled }: RequestComposition, name: string): boolean {
  if (edits?.dropped.has(name) === true) return false;
  return settled?.has(name) === true || edgeField(name, client, config) === fromClient;
}

/** Like {@link keepsEdgeField}, but makes no text of an id that is later written as bytes. */
function keepsRequestId({ client, edits, settled }: RequestComposition): boolean {
  if (edits?.dropped.has(requestIdHeader) === true) return false;
  return settled?.has(requestIdHeader) === true || !client.requestIdIsNew;
}

function keepsFieldOfEnvoy(request: RequestComposition, field: number): boolean {
  const { client, config, peerMetadata } = request;
  const name = client.head.name(field).toLowerCase();
  if (name === expectedTimeoutHeader && tells(request, name)) return false;
  // Drop these headers: the proxy reads or replaces them, and their old values describe the previous hop.
  if (name === peerMetadataHeader || name === peerMetadataIdHeader)
    return !config.peerMetadata.readFromClient && peerMetadata === undefined;
  return keepsEdgeField(request, name);
}

/** Whether {@link keepsOrdinaryField} keeps every field, as it does for most requests. */
function keepsOrdinaryFields(request: RequestComposition): boolean {
  const { client, config, edits, trace, forwardedHost } = request;
  const { head } = client;
  if (edits !== undefined || head.connectionNominates || trace?.replaced !== undefined) return false;
  if (forwardedHost !== undefined || config.appendForwardedPort) return false;
  return !tells(request, grpcTimeoutHeader) || head.find(grpcTimeoutHeader) < 0;
}

function keepsOrdinaryField(request: RequestComposition, field: number): boolean {
  const { client, edits, trace, forwardedHost } = request;
  const { head } = client;
  const name = head.name(field).toLowerCase();
  if (name === grpcTimeoutHeader && tells(request, name)) return false;
  if (trace?.replaced?.has(name) === true) return false;
  if (name === forwardedPortHeader && !keepsEdgeField(request, name)) return false;
  if (name === forwardedHostHeader && forwardedHost !== undefined && request.settled?.has(name) !== true) return false;
  if (edits?.dropped.has(name) === true) return false;
  return !head.connectionNominates || !isNominated(head, name);
}

/** Whether the `connection` header marks this header as hop-by-hop. */
export function isNominated(head: MessageHead, name: string): boolean {
  // Never drop the headers that frame the body: without them, the rest of the body would be read as another message.
  if (bodyFramingHeaders.has(name)) return false;
  for (let field = head.find("connection"); field >= 0; field = head.find("connection", field + 1)) {
    if (head.hasToken(field, name)) return true;
  }
  return false;
}
