import { createSocket, type RemoteInfo, type Socket as UdpSocket } from "node:dgram";
import { createServer, type Server, type Socket } from "node:net";
import {
  aborted,
  limitConnections,
  messageOf,
  userError,
  type Clock,
  type Logger,
  type Random,
} from "../../base/index.ts";
import { DnsForwarder, type DnsTransport, type NameServer, withLength } from "../../net/dns/index.ts";
import { encodeAnswer, encodeFailure, encodeQuestion, parseQuestion, recordsOf, type Question } from "./message.ts";
import { answerZone, maxRecords, type DnsRecord, type ZoneAnswer, type ZoneSource } from "./zone.ts";

export interface DnsServerOptions {
  readonly address: string;
  readonly port: number;
  /** The domain of the cluster's names, such as `cluster.local`. */
  readonly domain: string;
  readonly source: ZoneSource;
  /** Resolves when the source has its objects. Until then, the server answers every question with SERVFAIL. */
  readonly ready: Promise<void>;
  /** The resolver for names outside the cluster. Without one, the server answers that such names do not exist. */
  readonly upstream?: NameServer;
  readonly log: Logger;
  readonly clock: Clock;
  readonly random: Random;
}

const upstreamTimeoutMs = 3_000;
const maxTcpConnections = 256;
const tcpIdleMs = 10_000;
/** The maximum number of queries of one connection that the server answers at the same time. */
const maxTcpQueries = 8;
/** The maximum length of a chain of ExternalName Services. The answer for a longer chain contains no address. */
const maxAliases = 8;

export class DnsServer {
  readonly #options: DnsServerOptions;
  readonly #forwarder: DnsForwarder | undefined;
  #ready = false;
  #port = 0;

  constructor(options: DnsServerOptions) {
    this.#options = options;
    const { upstream, clock } = options;
    this.#forwarder =
      upstream === undefined
        ? undefined
        : new DnsForwarder({ servers: [upstream], timeoutMs: upstreamTimeoutMs, clock });
  }

  /** The port in use. It differs from the option's port only if that is 0. */
  get port(): number {
    return this.#port;
  }

  async run(signal: AbortSignal, listening: () => void = () => undefined): Promise<void> {
    // Listen on TCP first. If the port is 0, the kernel chooses it for TCP, and UDP uses the same port. Outgoing
    // connections use many TCP ports, so a port that is free for UDP may not be free for TCP.
    const tcp = await this.#listenTcp();
    let udp: UdpSocket;
    try {
      udp = await this.#listenUdp(signal);
    } catch (error) {
      tcp.close();
      throw error;
    }
    void this.#options.ready.then(() => (this.#ready = true));
    this.#options.log.info("serving DNS", { address: this.#options.address, port: this.#port });
    listening();
    await aborted(signal);
    udp.close();
    tcp.close();
  }

  async #listenUdp(signal: AbortSignal): Promise<UdpSocket> {
    const { address } = this.#options;
    const socket = createSocket({ type: address.includes(":") ? "udp6" : "udp4", recvBufferSize: 1 << 20 });
    await new Promise<void>((resolve, reject) => {
      socket.once("error", reject);
      socket.bind(this.#port, address, () => resolve());
    }).catch((error: unknown) => {
      throw this.#cannotListen("UDP", error);
    });
    socket.on("error", (error) => this.#options.log.warn("the UDP socket failed", { error: messageOf(error) }));
    socket.on("message", (query: Buffer, from: RemoteInfo) => {
      // Only a forged datagram has the source port 0. It cannot be answered.
      if (from.port === 0) return;
      void this.#answer(query, "udp", from.address).then((answer) => {
        // Ignore errors of sending, because the client may be gone.
        if (answer !== undefined && !signal.aborted) socket.send(answer, from.port, from.address, () => undefined);
      });
    });
    return socket;
  }

  async #listenTcp(): Promise<Server> {
    // A client may end its sending side and still read the answers to its queries.
    const server = createServer({ allowHalfOpen: true }, (socket) => this.#serveTcp(socket));
    limitConnections(server, maxTcpConnections);
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(this.#options.port, this.#options.address, () => resolve());
    }).catch((error: unknown) => {
      throw this.#cannotListen("TCP", error);
    });
    const bound = server.address();
    if (bound !== null && typeof bound === "object") this.#port = bound.port;
    return server;
  }

  #cannotListen(protocol: string, cause: unknown): Error {
    const { address, port } = this.#options;
    return userError("cannot-listen", `cannot serve DNS on ${address}:${port}/${protocol}: ${messageOf(cause)}`, {
      cause,
    });
  }

  #serveTcp(socket: Socket): void {
    socket.setTimeout(tcpIdleMs, () => socket.destroy());
    socket.on("error", () => socket.destroy());
    void this.#answerStream(socket).catch(() => socket.destroy());
  }

  /**
   * Answers the queries of a TCP connection. The length of each message precedes it, in two bytes (RFC 1035, 4.2.2).
   * Answers may come in another order than the queries (RFC 7766, 6.2.1.1). The server reads no further query while it
   * makes {@link maxTcpQueries} answers, or while the client has not read earlier ones. A query of 40 bytes may have an
   * answer of 65,535 bytes.
   */
  async #answerStream(socket: Socket): Promise<void> {
    const waiting = new Set<Promise<void>>();
    let received: Buffer = Buffer.alloc(0);
    for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
      received = Buffer.concat([received, chunk as Buffer]);
      while (received.length >= 2 && received.length >= 2 + received.readUInt16BE(0)) {
        const end = 2 + received.readUInt16BE(0);
        const query = received.subarray(2, end);
        received = received.subarray(end);
        const answered = this.#answerOver(socket, query).finally(() => waiting.delete(answered));
        waiting.add(answered);
        if (waiting.size >= maxTcpQueries) await Promise.race(waiting);
        if (socket.writableNeedDrain) await drained(socket);
        if (socket.destroyed) return;
      }
    }
    await Promise.all(waiting);
    socket.end();
  }

  async #answerOver(socket: Socket, query: Buffer): Promise<void> {
    try {
      const answer = await this.#answer(query, "tcp", socket.remoteAddress ?? "");
      if (answer !== undefined && !socket.destroyed) socket.write(withLength(answer));
    } catch {
      socket.destroy();
    }
  }

  async #answer(query: Buffer, transport: DnsTransport, client: string): Promise<Buffer | undefined> {
    const question = parseQuestion(query);
    if (question === undefined) return undefined;
    if (!this.#ready) return encodeFailure(question);
    const { source, domain } = this.#options;
    const name = question.name.toLowerCase().replace(/\.$/, "");
    let answer: ZoneAnswer;
    try {
      answer = answerZone(source, domain, name, question.type, maxRecords[transport]);
    } catch (error) {
      this.#options.log.error("a DNS query failed", { name, type: question.type, error: messageOf(error) });
      return encodeFailure(question);
    }
    if (answer.outcome === "unknown" && this.#forwarder !== undefined) {
      return await this.#forwarder.forward(query, transport, client).catch(() => encodeFailure(question));
    }
    const answers = await this.#followAliases(question, this.#rotate(answer.answers), client);
    return encodeAnswer(question, domain, { ...answer, answers }, transport);
  }

  /**
   * Adds the addresses of the name behind an alias. Clients do not query that name themselves, because the C library
   * treats an answer without an address as a missing name.
   */
  async #followAliases(
    question: Question,
    answers: readonly DnsRecord[],
    client: string,
  ): Promise<readonly DnsRecord[]> {
    if (question.type !== "A" && question.type !== "AAAA") return answers;
    const all = [...answers];
    for (let aliases = 0; aliases < maxAliases; aliases += 1) {
      const last = all.at(-1);
      if (last?.type !== "CNAME") return all;
      const target = last.data.toLowerCase();
      const next = answerZone(this.#options.source, this.#options.domain, target, question.type);
      if (next.outcome === "unknown") {
        const foreign = await this.#forwarder?.ask(encodeQuestion(question, target), client).catch(() => undefined);
        return foreign === undefined ? all : [...all, ...recordsOf(foreign)];
      }
      if (next.answers.length === 0) return all;
      all.push(...this.#rotate(next.answers));
    }
    return all;
  }

  /**
   * Rotates the answers by a random number for each query. Clients use the first answer, so this spreads them over all
   * endpoints.
   */
  #rotate<Item>(items: readonly Item[]): readonly Item[] {
    if (items.length < 2) return items;
    const start = Math.floor(this.#options.random() * items.length);
    return [...items.slice(start), ...items.slice(0, start)];
  }
}

/** Resolves when the client has read everything that was sent to it, or when it is gone. */
async function drained(socket: Socket): Promise<void> {
  await new Promise<void>((resolve) => {
    const settle = (): void => {
      socket.off("drain", settle).off("close", settle);
      resolve();
    };
    socket.on("drain", settle).on("close", settle);
  });
}
