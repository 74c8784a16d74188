import { serveHbone } from "../../../src/dataplane/hbone/hbone-server.ts";
import type { ByteStreamHandler, SecureStream } from "../../../src/net/index.ts";
import {
  parseAuthority,
  parseBaggage,
  parseForwardedHost,
  formatAuthority,
  formatBaggage,
  headerValue,
} from "../../../src/wire/hbone/index.ts";
import { FrameWriter, hpackEncode } from "../../../src/wire/http2/index.ts";
import { expect, type FuzzTarget } from "../target.ts";

const address = { address: "10.0.0.1", port: 15_008 };
const maxHeldBytes = 8 << 20;

/** A connection whose peer never reads. */
class Connection implements SecureStream {
  handler: ByteStreamHandler | undefined;
  readonly peerIdentity = "spiffe://cluster.local/ns/a/sa/b";
  readonly alpnProtocol = "h2";
  readonly peerCertificate = undefined;
  readonly peerVerified = true;
  readonly tlsVersion = "TLSv1.3";
  readonly cipher = "TLS_AES_128_GCM_SHA256";
  readonly local = address;
  readonly remote = address;
  readonly fd = -1;
  readonly receivedBytes = 0;
  bufferedBytes = 0;
  closed = false;

  get sentBytes(): number {
    return this.bufferedBytes;
  }

  setHandler(handler: ByteStreamHandler): void {
    this.handler = handler;
  }

  write(bytes: Uint8Array): boolean {
    this.bufferedBytes += bytes.length;
    return this.bufferedBytes < 1 << 16;
  }

  end(): void {
    this.closed = true;
  }

  destroy(): void {
    this.closed = true;
  }

  pause(): void {}
  resume(): void {}
}

const clock = {
  nowMs: () => 0,
  steadyMs: () => 0,
  after: () => ({ [Symbol.dispose]: () => undefined }),
  sleep: async () => await new Promise<void>(() => undefined),
};

function readHeaders(value: string): void {
  const authority = parseAuthority(value);
  if (authority !== undefined) {
    expect(authority.port >= 1 && authority.port <= 65_535, "a port is one");
    const again = parseAuthority(formatAuthority(authority.host, authority.port));
    expect(again?.host === authority.host && again.isAddress === authority.isAddress, "an authority reads back");
  }
  const baggage = parseBaggage(value);
  expect(JSON.stringify(parseBaggage(formatBaggage(baggage))) === JSON.stringify(baggage), "baggage reads back");
  parseForwardedHost(value);
}

function input(write: (writer: FrameWriter) => void): Buffer {
  const writer = new FrameWriter();
  writer.preface();
  writer.settings([]);
  write(writer);
  return Buffer.from(writer.view());
}

const connect = hpackEncode([
  ":method",
  "CONNECT",
  ":authority",
  "10.0.0.2:80",
  "baggage",
  "k8s.pod.name=a,k8s.namespace.name=b",
  "forwarded",
  'for="10.0.0.9:1";host=a.b',
]);

export const target: FuzzTarget = {
  title: "HBONE: a tunnel server's connection, and what a CONNECT says",
  seeds: [
    input((writer) => {
      writer.headers(1, connect, false, 16_384);
      writer.data(1, Buffer.from("hello"), 0, 5, true);
    }),
    input((writer) => {
      writer.headers(1, connect, true, 16_384);
      writer.headers(3, hpackEncode([":method", "GET", ":path", "/", ":authority", "[::1]:80"]), true, 16_384);
      writer.windowUpdate(1, 2 ** 31 - 1);
      writer.headers(1, hpackEncode(["x", "y"]), true, 16_384);
    }),
  ],
  words: ["k8s.deployment.name=", "service.name=", "cloud.region=", "host=", "[::1]:15008", ".svc.cluster.local:80"],
  run: (bytes) => {
    const stream = new Connection();
    const server = serveHbone(stream, {
      clock,
      onConnect: (request) => {
        readHeaders(request.authority);
        for (const name of ["baggage", "forwarded"]) readHeaders(headerValue(request.headers, name) ?? "");
        if (parseAuthority(request.authority) === undefined) request.reject(400);
        else {
          const tunnel = request.accept();
          tunnel.setHandler({
            data: (chunk) => void tunnel.write(Buffer.from(chunk)),
            end: () => tunnel.end(),
            drain: () => undefined,
            close: () => undefined,
          });
          tunnel.resume();
        }
      },
    });
    for (let at = 0; at < bytes.length && !stream.closed; at += 64) stream.handler?.data(bytes.subarray(at, at + 64));
    expect(server.activeStreams <= 10_000 && stream.bufferedBytes < maxHeldBytes, "what a peer causes is bounded");
    stream.handler?.close(undefined);
    expect(server.activeStreams === 0, "no tunnel outlives its connection");
  },
};
