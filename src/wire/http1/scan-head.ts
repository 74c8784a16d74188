import { COLON, CR, HTAB, isAuthority, isFieldValue, isTarget, isToken, LF, SP } from "./characters.ts";
import { equalsIgnoringCase, fieldKindOf, fieldKinds } from "./field-kind.ts";
import { defaultHeadLimits, type HeadError, type HeadLimits, type MessageHead } from "./message-head.ts";

/** The result for an incomplete head. */
export const headIncomplete = 0;
/** The result for a head that is refused. `head.error` then has the reason. */
export const headRefused = -1;

/**
 * The maximum number of empty lines to skip before a request line. RFC 9112 (2.2) asks for this because of old clients.
 */
const maxLeadingEmptyLines = 2;

/**
 * Scans a request's head that begins at `start`. Returns the offset after the head, {@link headIncomplete} or {@link
 * headRefused}. It is as strict as RFC 9112 allows: no bare CR or LF, no folded lines, no space before a colon, one
 * unambiguous body length, and in HTTP/1.1 exactly one `host`.
 */
export function scanRequestHead(
  head: MessageHead,
  bytes: Buffer,
  start: number,
  end: number,
  limits: HeadLimits = defaultHeadLimits,
): number {
  let at = start;
  for (let skipped = 0; skipped < maxLeadingEmptyLines && bytes[at] === CR && at < end; skipped += 1) {
    if (at + 1 >= end) return headIncomplete;
    if (bytes[at + 1] !== LF) return refuse(head, 400, "a CR without LF before the request line");
    at += 2;
  }
  head.reset(bytes, at);
  const afterLine = scanRequestLine(head, bytes, at, end);
  if (afterLine <= 0) return incompleteWithin(head, afterLine, at, end, limits);
  const after = scanFields(head, bytes, afterLine, end, limits);
  if (after <= 0) return incompleteWithin(head, after, at, end, limits);
  if (after - at > limits.maxHeadBytes) return refuse(head, 431, "the head is larger than the limit");
  return checkRequest(head) ? after : headRefused;
}

/**
 * Like {@link scanRequestHead}, but for a response. As in Envoy, a response with status 1xx or 204 may announce
 * `content-length: 0`, but no other body.
 */
export function scanResponseHead(
  head: MessageHead,
  bytes: Buffer,
  start: number,
  end: number,
  limits: HeadLimits = defaultHeadLimits,
): number {
  head.reset(bytes, start);
  const afterLine = scanStatusLine(head, bytes, start, end);
  if (afterLine <= 0) return incompleteWithin(head, afterLine, start, end, limits);
  const after = scanFields(head, bytes, afterLine, end, limits);
  if (after <= 0) return incompleteWithin(head, after, start, end, limits);
  if (after - start > limits.maxHeadBytes) return refuse(head, 431, "the head is larger than the limit");
  return checkResponse(head) ? after : headRefused;
}

function refuse(head: MessageHead, status: HeadError["status"], reason: string): typeof headRefused {
  head.error = { status, reason };
  return headRefused;
}

function incompleteWithin(head: MessageHead, result: number, start: number, end: number, limits: HeadLimits): number {
  if (result === headIncomplete && end - start > limits.maxHeadBytes)
    return refuse(head, 431, "the head is larger than the limit");
  return result;
}

function scanRequestLine(head: MessageHead, bytes: Buffer, start: number, end: number): number {
  let at = start;
  while (at < end && isToken[bytes[at] ?? 0] === 1) at += 1;
  if (at >= end) return headIncomplete;
  if (bytes[at] !== SP || at === start)
    return refuse(head, 400, "the request line does not start with a method and one space");
  head.methodEnd = at;
  head.targetStart = at + 1;
  at += 1;
  while (at < end && isTarget[bytes[at] ?? 0] === 1) at += 1;
  if (at >= end) return headIncomplete;
  if (bytes[at] !== SP || at === head.targetStart)
    return refuse(head, 400, "the request line has no target between two single spaces");
  head.targetEnd = at;
  at += 1;
  if (at + 10 > end)
    return prefixMatches(bytes, at, end, "HTTP/1.")
      ? headIncomplete
      : refuse(head, 400, "the request line does not end in HTTP/1.1");
  if (!equalsVersion(bytes, at))
    return refuse(
      head,
      bytes.toString("latin1", at, at + 5) === "HTTP/" ? 505 : 400,
      "the version is not HTTP/1.0 or HTTP/1.1",
    );
  if (bytes[at + 8] !== CR || bytes[at + 9] !== LF)
    return refuse(head, 400, "the request line does not end in CR LF after the version");
  head.minorVersion = (bytes[at + 7] ?? 0) - 48;
  head.fieldsStart = at + 10;
  return at + 10;
}

function scanStatusLine(head: MessageHead, bytes: Buffer, start: number, end: number): number {
  if (start + 14 > end) {
    if (!prefixMatches(bytes, start, end, "HTTP/1."))
      return refuse(head, 400, "the status line does not start with HTTP/1.x");
    if (end - start < 13) return headIncomplete;
  }
  if (!equalsVersion(bytes, start)) return refuse(head, 505, "the version is not HTTP/1.0 or HTTP/1.1");
  if (bytes[start + 8] !== SP) return refuse(head, 400, "the status line has no single space after the version");
  let status = 0;
  for (let at = start + 9; at < start + 12; at += 1) {
    const digit = (bytes[at] ?? 0) - 48;
    if (digit < 0 || digit > 9) return refuse(head, 400, "the status is not three digits");
    status = status * 10 + digit;
  }
  if (status < 100) return refuse(head, 400, "the status is below 100");
  let at = start + 12;
  if (bytes[at] !== SP && bytes[at] !== CR) return refuse(head, 400, "the status is not followed by a space");
  while (at < end && isFieldValue[bytes[at] ?? 0] === 1) at += 1;
  if (at + 1 >= end) return headIncomplete;
  if (bytes[at] !== CR || bytes[at + 1] !== LF) return refuse(head, 400, "the status line does not end in CR LF");
  head.status = status;
  head.minorVersion = (bytes[start + 7] ?? 0) - 48;
  head.fieldsStart = at + 2;
  return at + 2;
}

function prefixMatches(bytes: Buffer, start: number, end: number, text: string): boolean {
  const length = Math.min(text.length, end - start);
  for (let index = 0; index < length; index += 1) if (bytes[start + index] !== text.charCodeAt(index)) return false;
  return true;
}

/** Whether the version is `HTTP/1.0` or `HTTP/1.1`, in capitals. */
function equalsVersion(bytes: Buffer, at: number): boolean {
  const minor = bytes[at + 7];
  return prefixMatches(bytes, at, at + 7, "HTTP/1.") && (minor === 48 || minor === 49);
}

function scanFields(head: MessageHead, bytes: Buffer, start: number, end: number, limits: HeadLimits): number {
  let at = start;
  const { nameStarts, nameEnds, valueStarts, valueEnds, lineEnds, kinds } = head;
  for (;;) {
    if (at + 1 >= end) return headIncomplete;
    if (bytes[at] === CR) {
      if (bytes[at + 1] !== LF) return refuse(head, 400, "a CR without LF");
      head.end = at + 2;
      return at + 2;
    }
    const nameStart = at;
    while (at < end && isToken[bytes[at] ?? 0] === 1) at += 1;
    if (at >= end) return headIncomplete;
    if (bytes[at] !== COLON || at === nameStart) return refuse(head, 400, badName(bytes[at] ?? 0, at === nameStart));
    const nameEnd = at;
    at += 1;
    while (at < end && (bytes[at] === SP || bytes[at] === HTAB)) at += 1;
    const valueStart = at;
    while (at < end && isFieldValue[bytes[at] ?? 0] === 1) at += 1;
    if (at + 1 >= end) return headIncomplete;
    if (bytes[at] !== CR || bytes[at + 1] !== LF)
      return refuse(head, 400, "a field value holds a control byte, or its line does not end in CR LF");
    let valueEnd = at;
    while (valueEnd > valueStart && (bytes[valueEnd - 1] === SP || bytes[valueEnd - 1] === HTAB)) valueEnd -= 1;
    at += 2;
    const field = head.fieldCount;
    if (field >= limits.maxFields || field >= nameStarts.length)
      return refuse(head, 431, "the head has more fields than the limit");
    nameStarts[field] = nameStart;
    nameEnds[field] = nameEnd;
    valueStarts[field] = valueStart;
    valueEnds[field] = valueEnd;
    lineEnds[field] = at;
    const kind = fieldKindOf(bytes, nameStart, nameEnd);
    kinds[field] = kind;
    head.nameLengths |= 1 << (nameEnd - nameStart);
    head.fieldCount = field + 1;
    if (kind !== fieldKinds.other && !noteField(head, field, kind)) return headRefused;
  }
}

function badName(byte: number, first: boolean): string {
  if (first && (byte === SP || byte === HTAB)) return "a folded line, or a space before the first field";
  if (byte === SP || byte === HTAB) return "a space between a field's name and its colon";
  return "a field name is empty or holds a byte that names may not";
}

/** Notes what a field of this kind says about the message. Returns false if it refuses the head. */
export function noteField(head: MessageHead, field: number, kind: number): boolean {
  switch (kind) {
    case fieldKinds.contentLength:
      return noteContentLength(head, field);
    case fieldKinds.transferEncoding:
      return noteTransferEncoding(head, field);
    case fieldKinds.connection:
      noteConnection(head, field);
      return true;
    case fieldKinds.host:
      if (head.hostField >= 0) return refuse(head, 400, "more than one host") === undefined;
      head.hostField = field;
      return true;
    case fieldKinds.upgrade:
      head.upgradeField = field;
      return true;
    case fieldKinds.expect:
      head.expectsContinue = head.value(field).toLowerCase() === "100-continue";
      return true;
    case fieldKinds.trace:
    case fieldKinds.envoy:
      head.mayTellOfTrace = true;
      return true;
    default:
      return true;
  }
}

function noteContentLength(head: MessageHead, field: number): boolean {
  const start = head.valueStarts[field] ?? 0;
  const end = head.valueEnds[field] ?? 0;
  let value = 0;
  let valid = end > start && end - start <= 15;
  for (let at = start; at < end; at += 1) {
    const digit = (head.bytes[at] ?? 0) - 48;
    if (digit < 0 || digit > 9) valid = false;
    value = value * 10 + digit;
  }
  if (!valid) return refuse(head, 400, "content-length is not a number") === undefined;
  if (head.contentLength >= 0) return refuse(head, 400, "more than one content-length") === undefined;
  head.contentLength = value;
  return true;
}

function noteTransferEncoding(head: MessageHead, field: number): boolean {
  const start = head.valueStarts[field] ?? 0;
  if (head.chunked) return refuse(head, 400, "more than one transfer-encoding") === undefined;
  if ((head.valueEnds[field] ?? 0) - start !== 7 || !equalsIgnoringCase(head.bytes, start, "chunked")) {
    return refuse(head, 501, "a transfer-encoding other than chunked") === undefined;
  }
  head.chunked = true;
  return true;
}

function noteConnection(head: MessageHead, field: number): void {
  const start = head.valueStarts[field] ?? 0;
  const length = (head.valueEnds[field] ?? 0) - start;
  if (length === 10 && equalsIgnoringCase(head.bytes, start, "keep-alive")) head.connectionKeepAlive = true;
  else if (length === 5 && equalsIgnoringCase(head.bytes, start, "close")) head.connectionClose = true;
  else {
    for (const part of head.value(field).split(",")) {
      const token = part.trim().toLowerCase();
      if (token === "close") head.connectionClose = true;
      else if (token === "keep-alive") head.connectionKeepAlive = true;
      else if (token === "upgrade") head.connectionUpgrade = true;
      else if (token !== "" && token !== "te" && token !== "http2-settings") head.connectionNominates = true;
    }
  }
}

/** Checks that the fields of a request agree with each other. Returns false if it refuses the head. */
export function checkRequest(head: MessageHead): boolean {
  if (head.chunked) {
    if (head.contentLength >= 0) return refuse(head, 400, "both transfer-encoding and content-length") === undefined;
    if (head.minorVersion === 0) return refuse(head, 400, "transfer-encoding in HTTP/1.0") === undefined;
  }
  if (head.hostField < 0) {
    return head.minorVersion === 0 || refuse(head, 400, "no host") === undefined;
  }
  const end = head.valueEnds[head.hostField] ?? 0;
  for (let at = head.valueStarts[head.hostField] ?? 0; at < end; at += 1) {
    if (isAuthority[head.bytes[at] ?? 0] === 0)
      return refuse(head, 400, "host holds a byte that an authority may not contain") === undefined;
  }
  return true;
}

/**
 * Checks that the fields of a response agree with each other and with its status. Returns false if it refuses the head.
 */
export function checkResponse(head: MessageHead): boolean {
  if (head.chunked && head.contentLength >= 0)
    return refuse(head, 400, "both transfer-encoding and content-length") === undefined;
  // The next proxy or client might wait for this body, and read the next response as the body.
  if ((head.status < 200 || head.status === 204) && (head.chunked || head.contentLength > 0))
    return refuse(head, 400, "a body announced by a response with a status that has none") === undefined;
  return true;
}
