import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { transientError } from "../../base/index.ts";
import { bindUdpInNamespace, connectTcp, ipFamilyOf, type ByteStream } from "../../net/index.ts";
import { lengthOf } from "./dns-framing.ts";

export type DnsTransport = "udp" | "tcp";

export interface DnsForwarderOptions {
  /** The name servers, the preferred one first. */
  readonly nameservers: readonly string[];
  /** The SO_MARK of its packets, which a redirect exempts. */
  readonly mark?: number;
}

const forwardTimeoutMs = 2_000;
const maxForwarded = 1_000;
const dnsPort = 53;
const headerBytes = 12;

/** Forwards queries unchanged to name servers. */
export class DnsForwarder {
  readonly #options: DnsForwarderOptions;
  #waiting = 0;

  constructor(options: DnsForwarderOptions) {
    this.#options = options;
  }

  /** The first server's answer. Throws if no server answers, or if too many queries wait. */
  async forward(query: Buffer, transport: DnsTransport): Promise<Buffer> {
    if (this.#waiting >= maxForwarded) throw transientError("dns-busy", `${maxForwarded} queries are waiting already`);
    this.#waiting += 1;
    try {
      let last: unknown = transientError("dns-no-server", "no name server is configured", {
        hint: "look at /etc/resolv.conf",
      });
      for (const server of this.#options.nameservers) {
        try {
          return await (transport === "udp" ? this.#askUdp(server, query) : this.#askTcp(server, query));
        } catch (error) {
          last = error;
        }
      }
      throw last;
    } finally {
      this.#waiting -= 1;
    }
  }

  async #askUdp(server: string, query: Buffer): Promise<Buffer> {
    const socket = await this.#udpSocket(server);
    return await new Promise((resolve, reject) => {
      const timer = setTimeout(() => done(transientError("timeout", `${server} did not answer`)), forwardTimeoutMs);
      const done = (result: Buffer | Error): void => {
        clearTimeout(timer);
        socket.close();
        if (result instanceof Error) reject(result);
        else resolve(result);
      };
      socket.on("error", done);
      socket.on("message", (message) => {
        // The socket is connected, so the message is from that server. The id shows that it belongs to this query.
        if (message.length >= headerBytes && message.readUInt16BE(0) === query.readUInt16BE(0)) done(message);
      });
      socket.connect(dnsPort, server, () => socket.send(query));
    });
  }

  async #udpSocket(server: string): Promise<Socket> {
    const isIpv6 = ipFamilyOf(server) === "ipv6";
    const socket = createSocket(isIpv6 ? "udp6" : "udp4");
    const { mark } = this.#options;
    if (mark === undefined) return socket;
    const listening = once(socket, "listening");
    socket.bind({ fd: bindUdpInNamespace(undefined, { address: isIpv6 ? "::" : "0.0.0.0", port: 0, mark }) });
    await listening;
    return socket;
  }

  async #askTcp(server: string, query: Buffer): Promise<Buffer> {
    const { mark } = this.#options;
    const stream = await connectTcp({
      address: server,
      port: dnsPort,
      timeoutMs: forwardTimeoutMs,
      ...(mark === undefined ? {} : { mark }),
    });
    const timer = setTimeout(() => stream.destroy(), forwardTimeoutMs);
    try {
      return await oneAnswer(stream, query, server);
    } finally {
      clearTimeout(timer);
      stream.destroy();
    }
  }
}

function oneAnswer(stream: ByteStream, query: Buffer, server: string): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    let received = Buffer.alloc(0);
    const fail = (): void => reject(transientError("connection-closed", `${server} closed before it answered`));
    stream.setHandler({
      data: (chunk) => {
        received = Buffer.concat([received, chunk]);
        if (received.length < 2 || received.length < 2 + received.readUInt16BE(0)) return;
        resolve(received.subarray(2, 2 + received.readUInt16BE(0)));
      },
      end: fail,
      drain: () => undefined,
      close: fail,
    });
    stream.resume();
    stream.write(Buffer.concat([lengthOf(query), query]));
  });
}
