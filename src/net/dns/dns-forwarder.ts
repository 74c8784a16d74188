import { randomInt } from "node:crypto";
import type { Duplex } from "node:stream";
import { ConnectionLimit, onAbort, transientError, type Clock, type SerinError } from "../../base/index.ts";
import { headerBytes, isAnswerTo, isTruncated, withId, withLength } from "./dns-message.ts";
import { plainDnsSockets, type DnsSockets, type NameServer } from "./dns-sockets.ts";
import { UdpQuestion } from "./udp-question.ts";

export type DnsTransport = "udp" | "tcp";

export interface DnsForwarderOptions {
  /** The name servers, the preferred one first. */
  readonly servers: readonly NameServer[];
  /** How long a server has for its answer, in milliseconds. */
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly sockets?: DnsSockets;
  /** Returns random numbers below 65536, which must be unpredictable for others. The default is a secure source. */
  readonly randomId?: () => number;
}

/**
 * The maximum number of queries that wait for name servers. A name server may take seconds for an unknown name, so a
 * single client could fill the limit with such names. At the limit, a query of a client with fewer waiting queries
 * therefore replaces the oldest query of the client with the most.
 */
const maxWaiting = 1_000;
const ids = 0x1_0000;
const lengthBytes = 2;

/**
 * Forwards queries to name servers. Against forged answers, each datagram and each connection has a random id and its
 * own port, and only an answer from the queried server counts.
 */
export class DnsForwarder {
  readonly #options: DnsForwarderOptions;
  readonly #randomId: () => number;
  readonly #waiting = new ConnectionLimit(maxWaiting);

  constructor(options: DnsForwarderOptions) {
    this.#options = options;
    this.#randomId = options.randomId ?? (() => randomInt(ids));
  }

  /**
   * Returns the answer of the first server that answers, with the query's own id. An answer over UDP may be truncated.
   * Throws an error if no server answers, or if too many queries wait and no other client has more of them.
   */
  async forward(query: Buffer, transport: DnsTransport, client = ""): Promise<Buffer> {
    if (query.length < headerBytes) throw transientError("bad-request", "the query has no header");
    const displaced = new AbortController();
    using place = this.#waiting.admit({ destroy: () => displaced.abort() }, client);
    if (place === undefined) throw tooManyWait();
    return await this.#askInTurn(query, transport, displaced.signal);
  }

  /** Like {@link forward} over UDP, but repeats the query over TCP if the answer is truncated. */
  async ask(query: Buffer, client = ""): Promise<Buffer> {
    const answer = await this.forward(query, "udp", client);
    return isTruncated(answer) ? await this.forward(query, "tcp", client) : answer;
  }

  async #askInTurn(query: Buffer, transport: DnsTransport, displaced: AbortSignal): Promise<Buffer> {
    const { servers } = this.#options;
    let last: unknown = transientError("dns-no-server", "no name server is configured", {
      hint: "check /etc/resolv.conf",
    });
    for (const server of servers) {
      try {
        const answer = await (transport === "udp"
          ? this.#askUdp(server, query, displaced)
          : this.#askTcp(server, query, displaced));
        return withId(answer, query.readUInt16BE(0));
      } catch (error) {
        if (displaced.aborted) throw error;
        last = error;
      }
    }
    throw last;
  }

  async #askUdp(server: NameServer, query: Buffer, displaced: AbortSignal): Promise<Buffer> {
    const { clock, sockets = plainDnsSockets } = this.#options;
    using question = new UdpQuestion(query, { server, sockets, clock, randomId: this.#randomId });
    return await this.#inTime(server, question.answer(), displaced);
  }

  async #askTcp(server: NameServer, queryBytes: Buffer, displaced: AbortSignal): Promise<Buffer> {
    const query = withId(queryBytes, this.#randomId());
    const opening = (this.#options.sockets ?? plainDnsSockets).tcp(server);
    const stream = await this.#inTime(server, opening, displaced).catch((error: unknown) => {
      // Close a connection that opens too late, because nobody else does.
      void opening.then(
        (late) => late.destroy(),
        () => undefined,
      );
      throw error;
    });
    try {
      return await this.#inTime(server, answerOver(stream, query, server), displaced);
    } finally {
      stream.destroy();
    }
  }

  /** Waits for `work`. Rejects if the server's time is over, or if a query of another client has replaced this one. */
  async #inTime<Result>({ address }: NameServer, work: Promise<Result>, displaced: AbortSignal): Promise<Result> {
    const { clock, timeoutMs } = this.#options;
    const late = Promise.withResolvers<never>();
    using _timer = clock.after(timeoutMs, () => late.reject(transientError("timeout", `${address} did not answer`)));
    using _place = onAbort(displaced, () => late.reject(tooManyWait()));
    return await Promise.race([work, late.promise]);
  }
}

function tooManyWait(): SerinError {
  return transientError("busy", `${maxWaiting} queries are waiting already`);
}

function answerOver(stream: Duplex, query: Buffer, { address }: NameServer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const fail = (): void => reject(transientError("connection-closed", `${address} closed before it answered`));
    let received = Buffer.alloc(0);
    stream.on("error", reject);
    stream.on("end", fail);
    stream.on("close", fail);
    stream.on("data", (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      if (received.length < lengthBytes) return;
      const end = lengthBytes + received.readUInt16BE(0);
      if (received.length < end) return;
      const answer = received.subarray(lengthBytes, end);
      if (isAnswerTo(query, answer)) resolve(answer);
      else fail();
    });
    stream.write(withLength(query));
  });
}
