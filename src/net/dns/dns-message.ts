// The parts of messages that a forwarder reads (RFC 1035, 4.1).

export const headerBytes = 12;
const responseFlag = 0x80;
const truncatedFlag = 0x02;
const longestLabel = 63;
/** The length of a question's type and class, which follow its name. */
const questionTailBytes = 4;
/**
 * The maximum number of records after the question. A query has at most an OPT record and a signature, and a request
 * for a zone transfer has a SOA record.
 */
const maxOtherRecords = 4;

/**
 * Whether the message has one question and few records, like the queries of resolvers. Do not decode another message:
 * ten thousand questions in 64 kB may all point to one long name, and reading them takes 180 ms.
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

export function withId(message: Buffer, id: number): Buffer {
  const copy = Buffer.from(message);
  copy.writeUInt16BE(id, 0);
  return copy;
}

/** The message in its form for TCP, which begins with its length. */
export function withLength(message: Buffer): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(message.length);
  return Buffer.concat([length, message]);
}

/**
 * Whether a message answers the query: it has the query's id and question. A message without a question counts too,
 * because some servers leave it out of errors.
 */
export function isAnswerTo(query: Buffer, message: Buffer): boolean {
  if (message.length < headerBytes || message.readUInt16BE(0) !== query.readUInt16BE(0)) return false;
  if (!isResponse(message)) return false;
  if (message.readUInt16BE(4) === 0) return true;
  const end = endOfQuestion(query);
  return end === undefined || questionText(query, end) === questionText(message, end);
}

/** The question in lower case, because servers may change the case of its letters. */
function questionText(message: Buffer, end: number): string {
  return message.toString("latin1", headerBytes, end).toLowerCase();
}

/** The position after the question. Undefined unless the message has exactly one question. */
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
