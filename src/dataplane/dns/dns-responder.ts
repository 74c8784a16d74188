import {
  AUTHORITATIVE_ANSWER,
  decode,
  encode,
  encodingLength,
  RECURSION_AVAILABLE,
  RECURSION_DESIRED,
  type Answer,
  type Packet,
} from "dns-packet";
import { messageOf, type Logger } from "../../base/index.ts";
import { ipFamilyOf } from "../../net/index.ts";
import { dnsHeaderBytes, isPlainQuery, isResponse, type DnsForwarder, type DnsTransport } from "../../net/dns/index.ts";

export interface FoundName {
  readonly addresses: readonly string[];
  /** The canonical name, if the requested name is another one. The answer contains it as CNAME. */
  readonly alias?: string;
}

/** Looks up a name in lower case and without a trailing dot. Returns undefined if the mesh does not know it. */
export type FindName = (name: string) => FoundName | undefined;

/** Receives each query's record type (such as `A`), and the time in seconds that a name server took. */
export interface DnsObserver {
  requested(type: string): void;
  forwarded(type: string, seconds: number, failed: boolean): void;
}

const timeToLiveSeconds = 30;
/**
 * The maximum sizes of an answer in bytes: over UDP to a client without EDNS, over UDP in general (IPv4), and over TCP,
 * where the length field has 16 bits.
 */
const plainUdpBytes = 512;
const maxUdpBytes = 65_507;
const maxTcpBytes = 65_535;
const serverFailure = 2;
const truncated = 0x200;
/** The flags of a query that an error response repeats: the opcode, and "recursion desired". */
const keptFlags = 0x7800 | RECURSION_DESIRED;

/**
 * The minimum time in milliseconds between two warnings about the same client. A pod that floods the name servers must
 * not flood the log too.
 */
const warnEveryMs = 10_000;
/** The maximum number of clients whose last warning is remembered. A node has fewer pods. */
const maxWarnedClients = 1000;

/** Answers queries for the mesh's names, and forwards others to name servers. */
export class DnsResponder {
  readonly #forwarder: Pick<DnsForwarder, "forward">;
  readonly #log: Logger;
  readonly #nowMs: () => number;
  /**
   * For each client, when the log last warned about it, and how many failures have followed. The oldest warning comes
   * first.
   */
  readonly #warned = new Map<string, { readonly atMs: number; since: number }>();

  constructor(forwarder: Pick<DnsForwarder, "forward">, log: Logger, nowMs = () => performance.now()) {
    this.#forwarder = forwarder;
    this.#log = log;
    this.#nowMs = nowMs;
  }

  /**
   * Returns the response as a DNS message, or undefined if the input is not a query. `client` names the pod that sent
   * the query. All pods share the limit of queries that wait for name servers, and the forwarder divides it among them.
   */
  async answer(
    query: Buffer,
    transport: DnsTransport,
    find: FindName,
    { observer, client = "" }: { readonly observer?: DnsObserver | undefined; readonly client?: string } = {},
  ): Promise<Buffer | undefined> {
    if (query.length < dnsHeaderBytes || isResponse(query)) return undefined;
    let packet: Packet | undefined;
    try {
      if (isPlainQuery(query)) packet = decode(query);
    } catch {
      return undefined;
    }
    const type = packet?.questions?.[0]?.type ?? "";
    observer?.requested(type);
    const known = packet === undefined ? undefined : answerOf(packet, find);
    if (packet !== undefined && known !== undefined) return fit(known, packet, transport);
    const startedMs = performance.now();
    const reportForward = (failed: boolean): void =>
      observer?.forwarded(type, (performance.now() - startedMs) / 1000, failed);
    try {
      const answer = await this.#forwarder.forward(query, transport, client);
      reportForward(false);
      return answer;
    } catch (error) {
      reportForward(true);
      this.#report(client, { name: packet?.questions?.[0]?.name ?? "", error: messageOf(error) });
      return encode(failureOf(query, packet));
    }
  }

  #report(client: string, fields: { readonly name: string; readonly error: string }): void {
    const message = "a DNS query could not be forwarded";
    const nowMs = this.#nowMs();
    const warned = this.#warned.get(client);
    if (warned !== undefined && nowMs - warned.atMs < warnEveryMs) {
      warned.since += 1;
      this.#log.debug(message, { client, ...fields });
      return;
    }
    this.#log.warn(message, { client, ...fields, failedSince: warned?.since ?? 0 });
    this.#warned.delete(client);
    const [earliest] = this.#warned.keys();
    if (earliest !== undefined && this.#warned.size >= maxWarnedClients) this.#warned.delete(earliest);
    this.#warned.set(client, { atMs: nowMs, since: 0 });
  }
}

/** `packet` is the decoded query. It is undefined if the query could not be decoded. */
function failureOf(query: Buffer, packet: Packet | undefined): Packet {
  const failure: Packet = {
    type: "response",
    id: query.readUInt16BE(0),
    flags: (query.readUInt16BE(2) & keptFlags) | RECURSION_AVAILABLE | serverFailure,
    questions: packet?.questions ?? [],
  };
  return withOption(failure, packet);
}

/**
 * Answers a query for a name of the mesh. If the name has no address of the requested family, the answer is empty: the
 * name exists, so no other server needs to be queried. Returns undefined if the mesh does not know the name, or if the
 * query is not a single question for A or AAAA.
 */
function answerOf(packet: Packet, find: FindName): Packet | undefined {
  const [question, ...more] = packet.questions ?? [];
  if (question === undefined || more.length > 0 || (question.type !== "A" && question.type !== "AAAA"))
    return undefined;
  const found = find(question.name.toLowerCase().replace(/\.$/, ""));
  if (found === undefined) return undefined;
  const family = question.type === "A" ? "ipv4" : "ipv6";
  const answers: Answer[] = [];
  let { name } = question;
  if (found.alias !== undefined) {
    answers.push({ type: "CNAME", name, ttl: timeToLiveSeconds, data: found.alias });
    name = found.alias;
  }
  for (const address of found.addresses) {
    if (ipFamilyOf(address) === family)
      answers.push({ type: question.type, name, ttl: timeToLiveSeconds, data: address });
  }
  const recursionFlag = (packet.flags ?? 0) & RECURSION_DESIRED;
  return {
    type: "response",
    id: packet.id ?? 0,
    flags: AUTHORITATIVE_ANSWER | RECURSION_AVAILABLE | recursionFlag,
    questions: [question],
    answers,
  };
}

/** The largest payload of a datagram that is not fragmented on any usual path (DNS Flag Day 2020). */
const ednsBytes = 1_232;
/** The OPT record that shows clients that this server knows EDNS (RFC 6891, 6.1.1). */
const ednsOption = {
  type: "OPT",
  name: ".",
  udpPayloadSize: ednsBytes,
  extendedRcode: 0,
  ednsVersion: 0,
  flags: 0,
  flag_do: false,
  options: [],
} as unknown as Answer;

function optionOf(query: Packet | undefined): Answer | undefined {
  return query?.additionals?.find((record) => record.type === "OPT");
}

function withOption(response: Packet, query: Packet | undefined): Packet {
  return optionOf(query) === undefined ? response : { ...response, additionals: [ednsOption] };
}

/**
 * Encodes an answer. If it exceeds the client's UDP limit, the message has no addresses, and a flag that makes the
 * client retry over TCP. An answer over TCP has as many addresses as fit into a message.
 */
function fit(answer: Packet, query: Packet, transport: DnsTransport): Buffer {
  const response = withOption(answer, query);
  const limit = transport === "tcp" ? maxTcpBytes : udpLimitOf(query);
  if (encodingLength(response) <= limit) return encode(response);
  if (transport === "tcp") return encode({ ...response, answers: answersWithin(response, limit) });
  return encode({ ...response, flags: (response.flags ?? 0) | truncated, answers: [] });
}

function udpLimitOf(query: Packet): number {
  const extended = optionOf(query);
  if (extended === undefined || !("udpPayloadSize" in extended)) return plainUdpBytes;
  return Math.min(maxUdpBytes, Math.max(plainUdpBytes, extended.udpPayloadSize));
}

function answersWithin(response: Packet, limit: number): Answer[] {
  const { answers = [], ...rest } = response;
  const headBytes = encodingLength({ type: "response" });
  let leftBytes = limit - encodingLength(rest);
  const within = answers.findIndex((answer) => {
    leftBytes -= encodingLength({ type: "response", answers: [answer] }) - headBytes;
    return leftBytes < 0;
  });
  return answers.slice(0, within);
}
