import { createSocket } from "node:dgram";
import { once } from "node:events";
import { messageOf, type Logger } from "../../base/index.ts";
import { listenTcp, type ByteStream, type ListenOptions } from "../../net/index.ts";
import type { DnsTransport } from "./dns-forwarder.ts";
import { lengthOf } from "./dns-framing.ts";

/** The answer to a query as bytes; undefined when there is none to give. */
export type AnswerQuery = (query: Buffer, transport: DnsTransport) => Promise<Buffer | undefined>;

/** A client may ask ahead, but not without end. */
const maxReceived = 65_537 * 2;

/** How long a closed listener may still answer: resolvers ask again after that. */
const maxLingerMs = 5000;

/**
 * Serves a bound UDP descriptor, which it takes over. Closed, it first answers what it has read: the socket may have another
 * owner by now, but these queries have not.
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
  // With a descriptor the event comes inside the call.
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

/** Serves on an address, or on a listening descriptor, which it takes over. */
export async function serveDnsTcp(where: ListenOptions, answer: AnswerQuery): Promise<{ close(): void }> {
  return await listenTcp(where, (stream) => serveStream(stream, answer));
}

/** Queries one after the other, each with its length in front; an idle client is closed by its own end only. */
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
      stream.write(Buffer.concat([lengthOf(response), response]));
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
