// The parts of messages that a forwarder reads (RFC 1035, 4.1).

export const headerBytes = 12;
const responseFlag = 0x80;
const truncatedFlag = 0x02;
const longestLabel = 63;
/** The length of the type and the class, which follow the name. */
const questionTailBytes = 4;
/**
 * The maximum number of records besides the question. A query has at most an OPT record and a signature, and a request
 * for a zone transfer has a SOA record.
 */
const maxOtherRecords = 4;

/**
 * Whether a message has one question and few records, as queries of resolvers have. Do not decode other messages: ten
 * thousand questions in 64 kB may all point to one long name, and reading them takes 180 ms.
 */
export function isPlainQuery(message: Buffer): boolean {
  if (message.length < headerBytes || isResponse(message) || message.readUInt16BE(4) !== 1) return false;
  return message.readUInt16BE(6) + message.readUInt16BE(8) + message.readUInt16BE(10) <= maxOtherRecords;
}

export function isResponse(message: Buffer): boolean {
  return ((message[2] ?? 0) & responseFlag) !== 0;
}

export function isTruncated(message: Buffer): boolean {
  return ((message[2] ?? 0) & truncatedFlag) !== 0;
}

/** The message with another id. */
export function withId(message: Buffer, id: number): Buffer {
  const copy = Buffer.from(message);
  copy.writeUInt16BE(id, 0);
  return copy;
}

/** A message in the form for TCP, with its length in front. */
export function withLength(message: Buffer): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(message.length);
  return Buffer.concat([length, message]);
}

/**
 * Whether a message answers the query: it must have its id and its question. Some servers leave the question out of
 * error messages, which is accepted.
 */
export function isAnswerTo(query: Buffer, message: Buffer): boolean {
  if (message.length < headerBytes || message.readUInt16BE(0) !== query.readUInt16BE(0)) return false;
  if (!isResponse(message)) return false;
  if (message.readUInt16BE(4) === 0) return true;
  const end = endOfQuestion(query);
  return end === undefined || questionText(query, end) === questionText(message, end);
}

/** The question in lower case for comparison, because servers may change the case of letters. */
function questionText(message: Buffer, end: number): string {
  return message.toString("latin1", headerBytes, end).toLowerCase();
}

/** The position behind the question. Undefined unless the message has exactly one. */
function endOfQuestion(message: Buffer): number | undefined {
  if (message.length < headerBytes || message.readUInt16BE(4) !== 1) return undefined;
  for (let at = headerBytes; at < message.length;) {
    const length = message[at] ?? 0;
    if (length === 0) return at + 1 + questionTailBytes;
    if (length > longestLabel) return undefined;
    at += 1 + length;
  }
  return undefined;
}
