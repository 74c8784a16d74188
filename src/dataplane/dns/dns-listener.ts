import { createSocket } from "node:dgram";
import { once } from "node:events";
import { messageOf, type Logger } from "../../base/index.ts";
import { listenTcp, type ByteStream, type ListenOptions } from "../../net/index.ts";
import { type DnsTransport, withLength } from "../../net/dns/index.ts";

/** Returns the answer to a query in bytes. Undefined if there is none. */
export type AnswerQuery = (query: Buffer, transport: DnsTransport) => Promise<Buffer | undefined>;

/** The limit of pipelined queries from one client. */
const maxReceived = 65_537 * 2;

/** The time that a closed listener may still answer. Resolvers retry after that. */
const maxLingerMs = 5000;

/**
 * Serves a bound UDP descriptor, and takes ownership of it. When closed, it first answers the queries that it has read.
 * Another process may own the socket by then, but it has not seen these queries.
 */
export async function serveDnsUdp(
  fd: number,
  isIpv6: boolean,
  answer: AnswerQuery,
  log: Logger,
): Promise<{ close(): void }> {
  const socket = createSocket(isIpv6 ? "udp6" : "udp4");
  socket.on("error", (error) => log.warn("the DNS socket failed", { error: messageOf(error) }));
  let pending = 0;
  let closing = false;
  let closed = false;
  const closeWhenAnswered = (): void => {
    if (closed || !closing || pending > 0) return;
    closed = true;
    socket.close();
  };
  socket.on("message", (query, from) => {
    pending += 1;
    void answer(query, "udp")
      .then(async (response) => {
        if (response === undefined || closed) return;
        await new Promise((resolve) => {
          socket.send(response, from.port, from.address, resolve);
        });
      })
      .finally(() => {
        pending -= 1;
        closeWhenAnswered();
      });
  });
  // With a descriptor, the event occurs during the call.
  const listening = once(socket, "listening");
  socket.bind({ fd });
  await listening;
  return {
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

/** Serves on an address, or on a listening descriptor, whose ownership it takes. */
export async function serveDnsTcp(where: ListenOptions, answer: AnswerQuery): Promise<{ close(): void }> {
  return await listenTcp(where, (stream) => serveStream(stream, answer));
}

/** Serves queries in sequence. Each one is preceded by its length. Only the client closes an idle connection. */
function serveStream(stream: ByteStream, answer: AnswerQuery): void {
  let received = Buffer.alloc(0);
  let busy = false;
  const next = (): void => {
    if (busy || received.length < 2 || received.length < 2 + received.readUInt16BE(0)) return;
    const query = received.subarray(2, 2 + received.readUInt16BE(0));
    received = received.subarray(2 + query.length);
    busy = true;
    void answer(query, "tcp").then((response) => {
      busy = false;
      if (response === undefined) {
        stream.destroy();
        return;
      }
      stream.write(withLength(response));
      next();
    });
  };
  stream.setHandler({
    data: (chunk) => {
      received = Buffer.concat([received, chunk]);
      if (received.length > maxReceived) stream.destroy();
      else next();
    },
    end: () => stream.end(),
    drain() {},
    close() {},
  });
  stream.resume();
}
