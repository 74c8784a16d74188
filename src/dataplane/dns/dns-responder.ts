import {
  AUTHORITATIVE_ANSWER,
  decode,
  encode,
  RECURSION_AVAILABLE,
  RECURSION_DESIRED,
  type Answer,
  type Packet,
} from "dns-packet";
import { messageOf, type Logger } from "../../base/index.ts";
import { ipFamilyOf } from "../../net/index.ts";
import type { DnsForwarder, DnsTransport } from "../../net/dns/index.ts";

/** A name of the mesh. */
export interface FoundName {
  readonly addresses: readonly string[];
  /** The canonical name, if another name was requested. The answer contains it as CNAME. */
  readonly alias?: string;
}

/** Looks up a name in lower case and without a trailing dot. Undefined if the mesh does not know it. */
export type FindName = (name: string) => FoundName | undefined;

/** Called with a query's type (`A`), and with the time that a name server took. */
export interface DnsObserver {
  requested(type: string): void;
  forwarded(type: string, seconds: number, failed: boolean): void;
}

const timeToLiveSeconds = 30;
/** The UDP limit of clients without EDNS. */
const plainUdpBytes = 512;
const serverFailure = 2;
const truncated = 0x200;

/** Answers queries for the mesh's names, and forwards others to name servers. */
export class DnsResponder {
  readonly #forwarder: DnsForwarder;
  readonly #log: Logger;

  constructor(forwarder: DnsForwarder, log: Logger) {
    this.#forwarder = forwarder;
    this.#log = log;
  }

  /** The answer to a query in bytes. Undefined if it is not a query. */
  async answer(
    query: Buffer,
    transport: DnsTransport,
    find: FindName,
    observer?: DnsObserver,
  ): Promise<Buffer | undefined> {
    let packet: Packet;
    try {
      packet = decode(query);
    } catch {
      return undefined;
    }
    if (packet.type !== "query") return undefined;
    const type = packet.questions?.[0]?.type ?? "";
    observer?.requested(type);
    const known = answerOf(packet, find);
    if (known !== undefined) return fit(known, packet, transport);
    const startedMs = performance.now();
    const reportForward = (failed: boolean): void =>
      observer?.forwarded(type, (performance.now() - startedMs) / 1000, failed);
    try {
      const answer = await this.#forwarder.forward(query, transport);
      reportForward(false);
      return answer;
    } catch (error) {
      reportForward(true);
      this.#log.warn("a DNS query could not be forwarded", {
        name: packet.questions?.[0]?.name ?? "",
        error: messageOf(error),
      });
      return encode({
        type: "response",
        id: packet.id ?? 0,
        flags: (packet.flags ?? 0) | RECURSION_AVAILABLE | serverFailure,
        questions: packet.questions ?? [],
      });
    }
  }
}

/**
 * A known name without addresses of the requested family gets an empty answer. The name exists, so no other server
 * needs to be queried.
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

/** Truncates an answer to the client's UDP limit, with the flag that makes it retry over TCP. */
function fit(response: Packet, query: Packet, transport: DnsTransport): Buffer {
  const bytes = encode(response);
  if (transport === "tcp") return bytes;
  const extended = query.additionals?.find((record) => record.type === "OPT");
  const limit =
    extended !== undefined && "udpPayloadSize" in extended
      ? Math.max(plainUdpBytes, extended.udpPayloadSize)
      : plainUdpBytes;
  if (bytes.length <= limit) return bytes;
  return encode({ ...response, flags: (response.flags ?? 0) | truncated, answers: [] });
}
