import {
  fieldKinds,
  HeadWriter,
  MessageHead,
  scanRequestHead,
  scanResponseHead,
  statusText,
  type FieldKind,
  type HeadLimits,
} from "../../wire/http1/index.ts";
import {
  fieldFault,
  HeaderBlock,
  isFieldName,
  readPseudoFields,
  usualNames,
  type PseudoFields,
} from "../../wire/http2/index.ts";
import { pseudoFault } from "./http2-pseudo.ts";

// This file converts HTTP/2 headers to the text of an HTTP/1.1 head and back (RFC 9113, 8). Heads have this form inside
// the proxy whatever protocol they arrived in, so that one implementation scans, routes, edits and copies them.

export type HeadText = { readonly text: string } | { readonly malformed: string };

const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/** A request's headers as the text of a head. `endStream` says that no body follows. */
export function requestText(fields: readonly string[], endStream: boolean): HeadText {
  const pseudo: PseudoFields = {};
  const regular = readPseudoFields(fields, [":method", ":scheme", ":path", ":authority"], pseudo);
  if (typeof regular === "string") return { malformed: regular };
  const { ":method": method, ":path": path, ":scheme": scheme } = pseudo;
  const isConnect = method === "CONNECT";
  if (method === undefined || !token.test(method)) return { malformed: "no valid :method" };
  if (
    isConnect ? path !== undefined || scheme !== undefined : path === undefined || path === "" || scheme === undefined
  ) {
    return { malformed: "the pseudo fields do not make a request" };
  }
  let authority = pseudo[":authority"];
  let lines = "";
  let cookies = "";
  let hasLength = false;
  for (let at = regular; at < fields.length; at += 2) {
    const name = fields[at] ?? "";
    const value = fields[at + 1] ?? "";
    const fault = fieldFault(name, value);
    if (fault !== undefined) return { malformed: fault };
    if (name === "cookie") cookies = cookies === "" ? value : `${cookies}; ${value}`;
    else if (name === "host") {
      if (authority !== undefined && authority !== value) return { malformed: ":authority and host differ" };
      authority = value;
    } else {
      if (name === "te" && value !== "trailers") return { malformed: "te other than trailers" };
      if (name === "content-length") {
        hasLength = true;
        if (endStream && !/^0+$/.test(value)) return { malformed: "content-length without a body" };
      }
      lines += `${name}: ${value}\r\n`;
    }
  }
  if (authority === undefined) return { malformed: "no :authority" };
  if (cookies !== "") lines += `cookie: ${cookies}\r\n`;
  if (!endStream && !hasLength && !isConnect) lines += "transfer-encoding: chunked\r\n";
  return { text: `${method} ${isConnect ? authority : path} HTTP/1.1\r\nhost: ${authority}\r\n${lines}\r\n` };
}

/** A response's headers as the text of a head. The text has a body length only if the upstream sent one. */
export function responseText(fields: readonly string[]): HeadText {
  const pseudo: PseudoFields = {};
  const regular = readPseudoFields(fields, [":status"], pseudo);
  if (typeof regular === "string") return { malformed: regular };
  const status = pseudo[":status"] ?? "";
  if (!/^[1-9]\d\d$/.test(status) || status === "101") return { malformed: "no valid :status" };
  let text = `HTTP/1.1 ${status} ${statusText(Number(status))}\r\n`;
  for (let at = regular; at < fields.length; at += 2) {
    const name = fields[at] ?? "";
    const value = fields[at + 1] ?? "";
    const fault = fieldFault(name, value);
    if (fault !== undefined) return { malformed: fault };
    text += `${name}: ${value}\r\n`;
  }
  return { text: `${text}\r\n` };
}

/** The result of a {@link HeadReader} for a header list that makes its message malformed. */
export const headMalformed = -2;

/**
 * Reads header lists into scanned HTTP/1.1 heads, in memory that the next head reuses. A usual head is written field by
 * field. An unusual head becomes text that is scanned: this takes longer, and finds what is wrong.
 */
export class HeadReader {
  readonly head: MessageHead;
  readonly #limits: HeadLimits;
  readonly #writer: HeadWriter;
  fault = "";

  /** `limits` are the limits of the largest head that will be read. */
  constructor(limits: HeadLimits) {
    this.#limits = limits;
    this.head = new MessageHead(limits);
    this.#writer = new HeadWriter(this.head, [...usualNames, chunkedField]);
  }

  /**
   * Reads a request's headers. `endStream` says that no body follows. Returns where the head ends, or `headRefused` or
   * {@link headMalformed}.
   */
  request(fields: readonly string[], endStream: boolean, limits = this.#limits): number {
    if (this.#usualRequest(fields, endStream, limits)) return this.head.end;
    const result = requestText(fields, endStream);
    const fault = "malformed" in result ? result.malformed : pseudoFault(fields);
    if ("malformed" in result || fault !== undefined) return this.#malformed(fault ?? "");
    const bytes = Buffer.from(result.text, "latin1");
    return scanRequestHead(this.head, bytes, 0, bytes.length, limits);
  }

  response(fields: readonly string[]): number {
    if (this.#usualResponse(fields)) return this.head.end;
    const result = responseText(fields);
    if ("malformed" in result) return this.#malformed(result.malformed);
    const bytes = Buffer.from(result.text, "latin1");
    return scanResponseHead(this.head, bytes, 0, bytes.length, this.#limits);
  }

  #malformed(fault: string): number {
    this.fault = fault;
    return headMalformed;
  }

  #usualRequest(fields: readonly string[], endStream: boolean, limits: HeadLimits): boolean {
    const writer = this.#writer;
    let method: string | undefined;
    let path: string | undefined;
    let scheme: string | undefined;
    let authority: string | undefined;
    let at = 0;
    for (; at < fields.length; at += 2) {
      const name = fields[at];
      const value = fields[at + 1] ?? "";
      if (name === ":method" && method === undefined) method = value;
      else if (name === ":path" && path === undefined) path = value;
      else if (name === ":scheme" && scheme === undefined) scheme = value;
      else if (name === ":authority" && authority === undefined) authority = value;
      else break;
    }
    if (method === undefined || method === "CONNECT" || authority === undefined || authority === "") return false;
    if (path?.startsWith("/") !== true || (scheme !== "http" && scheme !== "https")) return false;
    if (!writer.beginRequest(method, path) || !writer.field("host", authority, limits)) return false;
    let cookies = "";
    let hasLength = false;
    for (; at < fields.length; at += 2) {
      const name = fields[at] ?? "";
      const value = fields[at + 1] ?? "";
      if (name === "cookie") {
        cookies = cookies === "" ? value : `${cookies}; ${value}`;
        continue;
      }
      if (name === "content-length") {
        hasLength = true;
        if (endStream && value !== "0") return false;
      }
      if (name === "host" || (name === "te" && value !== "trailers") || !this.#usualField(name, value, limits))
        return false;
    }
    if (cookies !== "" && !writer.field("cookie", cookies, limits)) return false;
    if (!endStream && !hasLength && !writer.field(chunkedField, "chunked", limits)) return false;
    return writer.endRequest(limits);
  }

  #usualResponse(fields: readonly string[]): boolean {
    const status = fields[0] === ":status" ? statusOf(fields[1] ?? "") : 0;
    if (status < 100 || status === 101) return false;
    this.#writer.beginResponse(status);
    for (let at = 2; at < fields.length; at += 2)
      if (!this.#usualField(fields[at] ?? "", fields[at + 1] ?? "", this.#limits)) return false;
    return this.#writer.endResponse(this.#limits);
  }

  #usualField(name: string, value: string, limits: HeadLimits): boolean {
    const { head } = this;
    return this.#writer.field(name, value, limits) && !isOfConnection(head.kind(head.fieldCount - 1));
  }
}

const chunkedField = "transfer-encoding";

/** The number that three digits form. 0 for any other text. */
function statusOf(text: string): number {
  if (text.length !== 3) return 0;
  let status = 0;
  for (let at = 0; at < 3; at += 1) {
    const digit = text.charCodeAt(at) - 48;
    if (digit < 0 || digit > 9) return 0;
    status = status * 10 + digit;
  }
  return status;
}

/** The header block that is written. This thread writes one head at a time, so all connections share the memory. */
const block = new HeaderBlock();

/** The header block of a request whose head is HTTP/1.1 text. Valid until the next block. */
export function requestBlock(head: MessageHead, scheme: string): Buffer {
  const { bytes, hostField } = head;
  const method = head.method();
  block.begin();
  block.field(":method", method);
  if (method !== "CONNECT") {
    block.field(":scheme", scheme);
    block.valueOf(":path", bytes, head.targetStart, head.targetEnd);
  }
  const hostStart = head.valueStarts[hostField] ?? 0;
  const hostEnd = head.valueEnds[hostField] ?? 0;
  if (hostField >= 0 && hostEnd > hostStart) block.valueOf(":authority", bytes, hostStart, hostEnd);
  addFields(head);
  return block.view();
}

/** The header block of a response whose head is HTTP/1.1 text. Valid until the next block. */
export function responseBlock(head: MessageHead): Buffer {
  block.begin();
  block.field(":status", String(head.status));
  addFields(head);
  return block.view();
}

/** The trailers in an HTTP/1.1 text, without those that may not be trailers. */
export function trailersOfText(text: string): string[] {
  const fields: string[] = [];
  for (const line of text.split("\r\n")) {
    const colon = line.indexOf(":");
    if (colon <= 0) continue;
    const name = line.slice(0, colon).toLowerCase();
    if (isFieldName(name) && !messageFields.has(name)) fields.push(name, line.slice(colon + 1).trim());
  }
  return fields;
}

export function textOfTrailers(fields: readonly string[]): string {
  let text = "";
  for (let at = 0; at < fields.length; at += 2) {
    const name = fields[at] ?? "";
    if (!messageFields.has(name)) text += `${name}: ${fields[at + 1] ?? ""}\r\n`;
  }
  return text;
}

/**
 * Headers that determine how a message is read or routed. Trailers must not contain them, because they would arrive too
 * late (RFC 9110, 6.5.1).
 */
const messageFields = new Set([
  "content-length",
  "host",
  "trailer",
  "te",
  "authorization",
  "content-encoding",
  "content-type",
  "content-range",
]);

function addFields(head: MessageHead): void {
  const { bytes, nameStarts, nameEnds, valueStarts, valueEnds } = head;
  for (let field = 0; field < head.fieldCount; field += 1) {
    const kind = head.kind(field);
    if (staysBehind(kind)) continue;
    block.fieldOf(bytes, nameStarts[field] ?? 0, nameEnds[field] ?? 0, valueStarts[field] ?? 0, valueEnds[field] ?? 0);
  }
}

/** Whether a header of HTTP/1.1 must not be sent over HTTP/2. */
export function staysBehind(kind: FieldKind): boolean {
  return kind === fieldKinds.host || kind === fieldKinds.http2Settings || isOfConnection(kind);
}

/** Whether a header describes a connection of HTTP/1.1. Such a header makes an HTTP/2 message malformed. */
function isOfConnection(kind: FieldKind): boolean {
  switch (kind) {
    case fieldKinds.connection:
    case fieldKinds.keepAlive:
    case fieldKinds.proxyConnection:
    case fieldKinds.transferEncoding:
    case fieldKinds.upgrade:
      return true;
    default:
      return false;
  }
}
