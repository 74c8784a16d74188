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

/** Serves a bound UDP descriptor, which it takes over. */
export async function serveDnsUdp(fd: number, isIpv6: boolean, answer: AnswerQuery, log: Logger): Promise<{ close(): void }> {
  const socket = createSocket(isIpv6 ? "udp6" : "udp4");
  socket.on("error", (error) => log.warn("the DNS socket failed", { error: messageOf(error) }));
  let closed = false;
  socket.on("message", (query, from) => {
    void answer(query, "udp").then((response) => {
      if (response !== undefined && !closed) socket.send(response, from.port, from.address);
    });
  });
  // With a descriptor the event comes inside the call.
  const listening = once(socket, "listening");
  socket.bind({ fd });
  await listening;
  return {
    close: () => {
      closed = true;
      socket.close();
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
