import { createSocket } from "node:dgram";
import { once } from "node:events";
import { messageOf, type Logger } from "../../base/index.ts";
import { listenTcp, type ByteStream, type ByteStreamHandler, type ListenOptions } from "../../net/index.ts";
import { type DnsTransport, withLength } from "../../net/dns/index.ts";

/** Returns the answer to a query in bytes. Undefined if there is none. */
export type AnswerQuery = (query: Buffer, transport: DnsTransport) => Promise<Buffer | undefined>;

/**
 * Counts a connection towards the limit of its process. Returns undefined if there was no room; the connection is then
 * closed.
 */
export type AdmitConnection = (stream: ByteStream) => Disposable | undefined;

const lengthBytes = 2;
/**
 * The maximum number of received bytes that wait for an answer to an earlier query, if a client pipelines its queries.
 */
const maxReceived = 65_537 * 2;

/** How long a closed listener may still answer. Resolvers retry after that time. */
const maxLingerMs = 5000;

export interface DnsServer {
  close(): void;
  /** Resolves when the listener has been closed and has answered the queries that it had read. */
  readonly ended: Promise<void>;
}

/**
 * Serves a bound UDP descriptor, and takes ownership of it. When closed, it first answers the queries that it has read.
 * Another process may own the socket by then, but it has not seen these queries.
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
    // Only a forged datagram has no source port. It cannot be answered.
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
  // Listen for the event before the call of `bind`, which emits it at once for a descriptor.
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
 * Serves on an address, or on a listening descriptor, whose ownership it takes. When closed, it first answers the
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

/** Disposes the connection's place when it has closed. */
export function serveDnsConnection(stream: ByteStream, answer: AnswerQuery, place: Disposable): DnsConnection {
  const connection = new DnsConnection(stream, answer, place);
  stream.setHandler(connection);
  stream.resume();
  return connection;
}

/**
 * Answers the queries of one connection, one after another. Each message is preceded by its length. No further query is
 * read while an answer is missing or unread. While the listener is open, only the client closes an idle connection.
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
    // Drop the query: the client asks again over another connection.
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

  /** Reads no further query before the client has read its answer, because unread answers would fill the memory. */
  async #serve(query: Buffer): Promise<void> {
    let message: Buffer | undefined;
    try {
      const response = await this.#answer(query, "tcp");
      message = response === undefined ? undefined : withLength(response);
    } catch {
      // Close the connection without an answer, so that the client asks again.
    }
    if (message === undefined) {
      this.#stream.destroy();
      return;
    }
    this.#isBusy = !this.#stream.write(message);
    this.#next();
  }
}
