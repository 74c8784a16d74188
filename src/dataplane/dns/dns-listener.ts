import { createSocket } from "node:dgram";
import { once } from "node:events";
import { messageOf, type Logger } from "../../base/index.ts";
import { listenTcp, type ByteStream, type ByteStreamHandler, type ListenOptions } from "../../net/index.ts";
import { type DnsTransport, withLength } from "../../net/dns/index.ts";

/** Returns the response to a query as a DNS message, or undefined if there is none. */
export type AnswerQuery = (query: Buffer, transport: DnsTransport) => Promise<Buffer | undefined>;

/**
 * Counts a connection towards the limit of its process. If the limit is reached, it closes the connection and returns
 * undefined.
 */
export type AdmitConnection = (stream: ByteStream) => Disposable | undefined;

const lengthBytes = 2;
/**
 * The maximum number of received bytes that wait while an earlier query is answered. A client may pipeline its queries.
 */
const maxReceived = 65_537 * 2;

/** How long a closed listener may still answer, in milliseconds. Resolvers retry after that time. */
const maxLingerMs = 5000;

export interface DnsServer {
  close(): void;
  /** Resolves when the listener has been closed and has answered the queries that it had read. */
  readonly ended: Promise<void>;
}

/**
 * Serves a bound UDP descriptor, and takes ownership of it. A closed server first answers the queries that it has read.
 * Another process may serve the same socket by then, but it has not seen these queries.
 */
export async function serveDnsUdp(fd: number, isIpv6: boolean, answer: AnswerQuery, log: Logger): Promise<DnsServer> {
  const socket = createSocket(isIpv6 ? "udp6" : "udp4");
  socket.on("error", (error) => log.warn("the DNS socket failed", { error: messageOf(error) }));
  let pending = 0;
  let closing = false;
  let closed = false;
  const ended = Promise.withResolvers<void>();
  const closeWhenAnswered = (): void => {
    if (closed || !closing || pending > 0) return;
    closed = true;
    socket.close();
    ended.resolve();
  };
  socket.on("message", (query, from) => {
    // Only a forged datagram has source port 0. It cannot be answered.
    if (from.port === 0) return;
    pending += 1;
    void answer(query, "udp")
      .then(async (response) => {
        if (response === undefined || closed) return;
        await new Promise((resolve) => {
          socket.send(response, from.port, from.address, resolve);
        });
      })
      .catch((error: unknown) => log.error("a DNS query failed unexpectedly", { error: messageOf(error) }))
      .finally(() => {
        pending -= 1;
        closeWhenAnswered();
      });
  });
  // Listen for the event before the call of `bind`, because `bind` emits it at once for a descriptor.
  const listening = once(socket, "listening");
  socket.bind({ fd });
  await listening;
  return {
    ended: ended.promise,
    close: () => {
      closing = true;
      closeWhenAnswered();
      setTimeout(() => {
        pending = 0;
        closeWhenAnswered();
      }, maxLingerMs).unref();
    },
  };
}

/**
 * Serves on an address, or on a listening descriptor, whose ownership it takes. A closed server first answers the
 * queries that it has read, and ends each connection after its last answer.
 */
export async function serveDnsTcp(
  where: ListenOptions,
  answer: AnswerQuery,
  admit: AdmitConnection,
): Promise<DnsServer> {
  const open = new Set<DnsConnection>();
  let closing = false;
  const ended = Promise.withResolvers<void>();
  const endIfDone = (): void => {
    if (closing && open.size === 0) ended.resolve();
  };
  const listener = await listenTcp(where, (stream) => {
    const place = admit(stream);
    if (place === undefined) return;
    const left = (): void => {
      place[Symbol.dispose]();
      open.delete(connection);
      endIfDone();
    };
    const connection = serveDnsConnection(stream, answer, { [Symbol.dispose]: left });
    open.add(connection);
  });
  return {
    ended: ended.promise,
    close: () => {
      if (closing) return;
      closing = true;
      listener.close();
      for (const connection of open) connection.leave();
      setTimeout(() => {
        for (const connection of open) connection.destroy();
      }, maxLingerMs).unref();
      endIfDone();
    },
  };
}

/** Answers the queries of one connection. Disposes the connection's place when the connection has closed. */
export function serveDnsConnection(stream: ByteStream, answer: AnswerQuery, place: Disposable): DnsConnection {
  const connection = new DnsConnection(stream, answer, place);
  stream.setHandler(connection);
  stream.resume();
  return connection;
}

/**
 * Answers the queries of one connection, one after another. Each message is preceded by its length. The next query is
 * read only after the client has read the previous answer. While the listener is open, only the client closes an idle
 * connection.
 */
class DnsConnection implements ByteStreamHandler {
  readonly #stream: ByteStream;
  readonly #answer: AnswerQuery;
  readonly #place: Disposable;
  #received: Buffer = Buffer.alloc(0);
  #isBusy = false;
  /** Whether no further query will be read, because the client has ended its side or the listener is closed. */
  #takesNoMore = false;

  constructor(stream: ByteStream, answer: AnswerQuery, place: Disposable) {
    this.#stream = stream;
    this.#answer = answer;
    this.#place = place;
  }

  /** Ends the connection after the answers to the queries that were read. */
  leave(): void {
    this.#takesNoMore = true;
    this.#next();
  }

  destroy(): void {
    this.#stream.destroy();
  }

  data(chunk: Buffer): void {
    // Drop the query. The client sends it again over another connection.
    if (this.#takesNoMore) return;
    this.#received = Buffer.concat([this.#received, chunk]);
    if (this.#received.length > maxReceived) this.#stream.destroy();
    else this.#next();
  }

  end(): void {
    this.leave();
  }

  drain(): void {
    this.#isBusy = false;
    this.#next();
  }

  close(): void {
    this.#place[Symbol.dispose]();
  }

  #next(): void {
    if (this.#isBusy) return;
    const query = this.#takeQuery();
    if (query !== undefined) {
      this.#isBusy = true;
      this.#stream.pause();
      void this.#serve(query);
      return;
    }
    if (this.#takesNoMore) this.#stream.end();
    this.#stream.resume();
  }

  #takeQuery(): Buffer | undefined {
    const received = this.#received;
    const end = received.length < lengthBytes ? Infinity : lengthBytes + received.readUInt16BE(0);
    if (received.length < end) return undefined;
    this.#received = received.subarray(end);
    return received.subarray(lengthBytes, end);
  }

  /**
   * Answers one query. The next query waits until the client has read this answer, because unread answers would fill
   * the memory.
   */
  async #serve(query: Buffer): Promise<void> {
    let message: Buffer | undefined;
    try {
      const response = await this.#answer(query, "tcp");
      message = response === undefined ? undefined : withLength(response);
    } catch {
      // Close the connection without an answer, so that the client repeats the query.
    }
    if (message === undefined) {
      this.#stream.destroy();
      return;
    }
    this.#isBusy = !this.#stream.write(message);
    this.#next();
  }
}
