import { createSocket } from "node:dgram";
import { once } from "node:events";
import { messageOf } from "../../base/index.ts";
import { listenTcp, type ByteStream } from "../../net/index.ts";
import type { PodContext } from "../proxy/pod-context.ts";
import { lengthOf } from "./dns-resolver.ts";

/** A pod's port 53, redirected to us. */
export const DnsListener = {
  /** Takes a bound UDP descriptor over. */
  async udp(pod: PodContext, fd: number, ipv6: boolean): Promise<{ close(): void }> {
    const { dns, log } = pod.environment;
    const socket = createSocket(ipv6 ? "udp6" : "udp4");
    socket.on("error", (error) => log.warn("the DNS socket failed", { uid: pod.uid, error: messageOf(error) }));
    let closed = false;
    socket.on("message", (query, from) => {
      void dns.answer(query, pod.info, "udp").then((response) => {
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
  },

  /** Takes a listening TCP descriptor over. */
  async tcp(pod: PodContext, fd: number): Promise<{ close(): void }> {
    return await listenTcp({ fd }, (stream) => serveTcp(pod, stream));
  },
};

/** Queries one after the other, each with its length in front; an idle client is closed by its own end only. */
function serveTcp(pod: PodContext, stream: ByteStream): void {
  let received = Buffer.alloc(0);
  let busy = false;
  const next = () => {
    if (busy || received.length < 2 || received.length < 2 + received.readUInt16BE(0)) return;
    const query = received.subarray(2, 2 + received.readUInt16BE(0));
    received = received.subarray(2 + query.length);
    busy = true;
    void pod.environment.dns.answer(query, pod.info, "tcp").then((response) => {
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
      // A client may ask ahead, but not without end.
      if (received.length > 65_537 * 2) stream.destroy();
      else next();
    },
    end: () => stream.end(),
    drain() {},
    close() {},
  });
  stream.resume();
}
