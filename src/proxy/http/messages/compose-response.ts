import { fieldKinds, statusText, type MessageHead } from "../../../wire/http1/index.ts";
import type { HeaderEdits } from "../../routing/header-mutation.ts";
import type { ByteBuilder } from "./byte-builder.ts";
import { isNominated } from "./compose-request.ts";
import type { HttpConnectionConfig } from "../http-connection-config.ts";
import {
  peerMetadataHeader,
  peerMetadataIdHeader,
  unreachedHeader,
  type OwnMetadata,
} from "../../peers/peer-metadata.ts";

/**
 * How a response's body reaches the client. `empty` is for a response without a body whose head does not say that it
 * has none.
 */
export type BodyDelivery = "as-is" | "wrap-in-chunks" | "until-close" | "empty";

export interface ResponseComposition {
  readonly head: MessageHead;
  readonly config: HttpConnectionConfig;
  readonly delivery: BodyDelivery;
  /** The value of `connection`. Undefined omits the header. */
  readonly connection: "close" | "keep-alive" | "upgrade" | undefined;
  /** The time that the upstream needed, in milliseconds. Negative if it is unknown. */
  readonly upstreamServiceMs: number;
  readonly requestId: string | undefined;
  readonly peerMetadata: OwnMetadata | undefined;
  readonly edits: HeaderEdits | undefined;
  readonly date: string;
}

const version = new TextEncoder().encode("HTTP/1.1 ");
const emptyLine = new TextEncoder().encode("\r\n");
const serviceTime = "x-envoy-upstream-service-time";

export function composeResponse(out: ByteBuilder, response: ResponseComposition): void {
  const { head, config } = response;
  // Write our own version: the HTTP/1.0 of an upstream must not make the client close. If the status line already has
  // our version, one copy takes it together with the headers.
  let from = head.start;
  if (head.minorVersion !== 1) {
    out.piece(version);
    from += version.length;
  }
  const seen = copyFields(out, response, from);
  if (response.upstreamServiceMs >= 0 && response.edits?.dropped.has(serviceTime) !== true)
    out.field(serviceTime, String(response.upstreamServiceMs));
  if (!seen.date) out.field("date", response.date);
  const added = response.edits?.added ?? noFields;
  if (writesServer(config, seen.server, added)) out.field("server", config.serverName);
  if (response.delivery === "wrap-in-chunks") out.field("transfer-encoding", "chunked");
  else if (response.delivery === "empty") out.field("content-length", "0");
  if (response.requestId !== undefined) out.field("x-request-id", response.requestId);
  if (response.peerMetadata !== undefined) {
    out.field(peerMetadataIdHeader, response.peerMetadata.id);
    out.field(peerMetadataHeader, response.peerMetadata.value);
  }
  if (response.connection !== undefined) out.field("connection", response.connection);
  for (const [name, value] of added) if (keepsServer(config, name)) out.field(name, value);
  out.piece(emptyLine);
}

type Fields = readonly (readonly [name: string, value: string])[];

const noFields: Fields = [];

/**
 * Whether the proxy adds its own `server`. `seen` says whether the upstream's goes to the client. `added` contains the
 * fields that filters and the route add.
 */
export function writesServer({ serverHeader }: HttpConnectionConfig, seen: boolean, added: Fields = noFields): boolean {
  if (serverHeader !== "append-if-absent") return serverHeader === "overwrite";
  return !seen && !added.some(([name]) => name.toLowerCase() === "server");
}

/** Whether a field of a filter or the route may stay although the proxy writes its own `server`. */
function keepsServer({ serverHeader }: HttpConnectionConfig, name: string): boolean {
  return serverHeader !== "overwrite" || name.toLowerCase() !== "server";
}

function copyFields(out: ByteBuilder, response: ResponseComposition, from: number): { date: boolean; server: boolean } {
  const { head } = response;
  const { bytes, nameStarts, lineEnds, fieldCount } = head;
  const seen = { date: false, server: false };
  let rangeStart = from;
  for (let field = 0; field < fieldCount; field += 1) {
    const kind = head.kind(field);
    if (kind === fieldKinds.date) seen.date = true;
    if (keepsResponseField(response, field)) {
      if (kind === fieldKinds.server) seen.server = true;
      continue;
    }
    out.range(bytes, rangeStart, nameStarts[field] ?? 0);
    rangeStart = lineEnds[field] ?? 0;
  }
  out.range(bytes, rangeStart, head.end - 2);
  return seen;
}

export function keepsResponseField(response: ResponseComposition, field: number): boolean {
  const { head, config } = response;
  const kind = head.kind(field);
  // RFC 9110 (8.6) forbids a length in such a response, even 0.
  if (kind === fieldKinds.contentLength && head.status === 204) return false;
  switch (kind) {
    case fieldKinds.connection:
    case fieldKinds.keepAlive:
    case fieldKinds.proxyConnection:
      return false;
    case fieldKinds.upgrade:
      return head.status === 101 || head.status === 426;
    case fieldKinds.transferEncoding:
      return response.delivery === "as-is";
    case fieldKinds.server:
      return config.serverHeader !== "overwrite" && keepsOrdinaryField(response, field);
    case fieldKinds.requestId:
      return response.requestId === undefined && keepsOrdinaryField(response, field);
    case fieldKinds.envoy:
      return keepsEnvoyField(response, head.name(field).toLowerCase()) && keepsOrdinaryField(response, field);
    default:
      return keepsOrdinaryField(response, field);
  }
}

function keepsOrdinaryField({ head, edits }: ResponseComposition, field: number): boolean {
  if (edits === undefined && !head.connectionNominates) return true;
  const name = head.name(field).toLowerCase();
  if (edits?.dropped.has(name) === true) return false;
  return !head.connectionNominates || !isNominated(head, name);
}

function keepsEnvoyField(response: ResponseComposition, name: string): boolean {
  if (name === peerMetadataHeader || name === peerMetadataIdHeader)
    return !response.config.peerMetadata.readFromUpstream && response.peerMetadata === undefined;
  if (name === unreachedHeader) return !response.config.peerMetadata.readFromUpstream;
  return name !== "x-envoy-upstream-service-time";
}

export interface LocalReply {
  readonly status: number;
  readonly body: Buffer | string;
  readonly fields: readonly (readonly [name: string, value: string])[];
}

/** Writes a response of the proxy itself. For a HEAD request, the body is omitted and its length is still announced. */
export function composeLocalReply(
  out: ByteBuilder,
  reply: LocalReply,
  options: {
    readonly config: HttpConnectionConfig;
    readonly date: string;
    readonly connection: "close" | "keep-alive" | undefined;
    readonly toHead: boolean;
  },
): number {
  const body = typeof reply.body === "string" ? Buffer.from(reply.body) : reply.body;
  let head = `HTTP/1.1 ${reply.status} ${statusText(reply.status)}\r\n`;
  const { config } = options;
  for (const [name, value] of reply.fields) if (keepsServer(config, name)) head += `${name}: ${value}\r\n`;
  const bodiless = reply.status === 204 || reply.status === 304 || reply.status < 200;
  if (!bodiless) head += `content-length: ${body.length}\r\n`;
  if (body.length > 0 && !bodiless && !reply.fields.some(([name]) => name === "content-type"))
    head += "content-type: text/plain\r\n";
  head += `date: ${options.date}\r\n`;
  if (writesServer(config, false, reply.fields)) head += `server: ${config.serverName}\r\n`;
  if (options.connection !== undefined) head += `connection: ${options.connection}\r\n`;
  out.text(`${head}\r\n`);
  if (options.toHead || bodiless) return 0;
  out.range(body, 0, body.length);
  return body.length;
}
