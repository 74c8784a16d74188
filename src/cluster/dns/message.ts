import {
  AUTHORITATIVE_ANSWER,
  decode,
  encode,
  RECURSION_AVAILABLE,
  RECURSION_DESIRED,
  TRUNCATED_RESPONSE,
  type Answer,
  type DecodedPacket,
  type Packet,
  type RecordType,
} from "dns-packet";
import { isPlainQuery } from "../../net/dns/index.ts";
import type { DnsRecord, ZoneAnswer } from "./zone.ts";

/** The time to live of cluster names, as in CoreDNS. It is short, because endpoints change. */
const ttlSeconds = 5;
const plainUdpBytes = 512;
/** The maximum length of a message over TCP. The length field has 16 bits. */
const maxTcpBytes = 65_535;
/** The minimum size of a record beyond the letters of its name: ten bytes before its data, and one byte of data. */
const leastRecordBytes = 11;
/** The maximum size of a UDP answer. Usual network paths do not fragment messages of this size (DNS Flag Day 2020). */
const edns = 1232;

const rcodes = { noError: 0, serverFailure: 2, noSuchName: 3, notImplemented: 4, refused: 5 } as const;

export interface Question {
  readonly packet: DecodedPacket;
  /** The name, spelled as in the question. The answer repeats it. The look-up uses lower case. */
  readonly name: string;
  readonly type: string;
}

/** Parses a query. Returns undefined if the bytes are an answer or not a DNS message. */
export function parseQuestion(bytes: Buffer): Question | undefined {
  if (!isPlainQuery(bytes)) return undefined;
  try {
    const packet = decode(bytes);
    const [question] = packet.questions ?? [];
    if (question === undefined) return undefined;
    return { packet, name: question.name, type: question.type };
  } catch {
    return undefined;
  }
}

export function encodeQuestion({ packet, type }: Question, name: string): Buffer {
  return encode({
    type: "query",
    id: packet.id ?? 0,
    flags: RECURSION_DESIRED,
    questions: [{ type: type as RecordType, name }],
  });
}

/**
 * The address and alias records in a name server's answer. The list is empty if there are none, or if the answer is
 * unreadable.
 */
export function recordsOf(bytes: Buffer): DnsRecord[] {
  try {
    return (decode(bytes).answers ?? []).flatMap((answer): DnsRecord[] =>
      answer.type === "A" || answer.type === "AAAA" || answer.type === "CNAME"
        ? [{ type: answer.type, name: answer.name, data: answer.data }]
        : [],
    );
  } catch {
    return [];
  }
}

/**
 * Encodes the zone's answer. If the records do not fit into the message, a UDP answer is marked as truncated and
 * contains the first ten records, or none if these do not fit either. The client then repeats its query over TCP. A TCP
 * answer contains half of the records until they fit, because the client has no other way to ask.
 */
export function encodeAnswer(question: Question, domain: string, answer: ZoneAnswer, transport: "udp" | "tcp"): Buffer {
  const negative = answer.answers.length === 0;
  const rcode = answer.outcome === "found" ? rcodes.noError : rcodes.noSuchName;
  const authorities = negative && answer.outcome !== "unknown" ? [startOfAuthority(domain)] : [];
  const flags = answer.outcome === "unknown" ? 0 : AUTHORITATIVE_ANSWER;
  const limit = transport === "tcp" ? maxTcpBytes : udpLimit(question);
  // First estimate the length, to avoid encoding a long list that cannot fit.
  if (answer.answers.reduce((sum, { name }) => sum + name.length + leastRecordBytes, 0) <= limit) {
    const full = build(question, flags, rcode, {
      answers: answer.answers.map(toRecord),
      authorities,
      additionals: answer.additionals.map(toRecord),
    });
    if (full.length <= limit) return full;
  }
  const { answers } = answer;
  if (transport === "tcp" && answers.length > 1)
    return encodeAnswer(question, domain, { ...answer, answers: answers.slice(0, answers.length / 2) }, transport);
  const half = build(question, flags | TRUNCATED_RESPONSE, rcode, {
    answers: answer.answers.slice(0, 10).map(toRecord),
  });
  return half.length <= limit ? half : build(question, flags | TRUNCATED_RESPONSE, rcode);
}

export function encodeFailure(question: Question): Buffer {
  return build(question, 0, rcodes.serverFailure);
}

interface Sections {
  readonly answers?: Answer[];
  readonly authorities?: Answer[];
  readonly additionals?: Answer[];
}

function build(
  question: Question,
  flags: number,
  rcode: number,
  { answers = [], authorities = [], additionals = [] }: Sections = {},
): Buffer {
  const { packet } = question;
  const usesEdns = packet.additionals?.some(({ type }) => type === "OPT") === true;
  const option = {
    type: "OPT",
    name: ".",
    udpPayloadSize: edns,
    extendedRcode: 0,
    ednsVersion: 0,
    flags: 0,
    flag_do: false,
    options: [],
  } as unknown as Answer;
  const message: Packet = {
    type: "response",
    id: packet.id ?? 0,
    flags: flags | rcode | RECURSION_AVAILABLE | ((packet.flags ?? 0) & RECURSION_DESIRED),
    questions: packet.questions ?? [],
    answers,
    authorities,
    additionals: usesEdns ? [...additionals, option] : additionals,
  };
  return encode(message);
}

function udpLimit({ packet }: Question): number {
  const option = packet.additionals?.find(({ type }) => type === "OPT") as { udpPayloadSize?: number } | undefined;
  return option?.udpPayloadSize === undefined
    ? plainUdpBytes
    : Math.max(plainUdpBytes, Math.min(edns, option.udpPayloadSize));
}

function toRecord(record: DnsRecord): Answer {
  const common = { name: record.name, ttl: ttlSeconds, class: "IN" } as const;
  if (record.type === "SRV")
    return { ...common, type: "SRV", data: { priority: 0, weight: 100, port: record.port, target: record.target } };
  return { ...common, type: record.type, data: record.data };
}

function startOfAuthority(domain: string): Answer {
  const data = {
    mname: `ns.dns.${domain}`,
    rname: `hostmaster.${domain}`,
    serial: 1,
    refresh: 7200,
    retry: 1800,
    expire: 86_400,
    minimum: ttlSeconds,
  };
  return { type: "SOA", name: domain, ttl: ttlSeconds, class: "IN", data };
}
