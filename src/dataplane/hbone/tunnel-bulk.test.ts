import assert from "node:assert/strict";
import { test } from "node:test";
import { connectTcp, listenTcp, type ByteListener, type ByteStream, type SecureStream } from "../../net/index.ts";
import { relay } from "../relay.ts";
import { HbonePool } from "./hbone-pool.ts";
import { serveHbone } from "./hbone-server.ts";

const tunnels = 8;
const bytesEach = 6 << 20;
const timeoutMs = 5000;
const identity = "spiffe://cluster.local/ns/default/sa/bulk";
/** The length is not a multiple of a buffer's length, so that bytes in the wrong place are noticed. */
const pattern = Buffer.from(Array.from({ length: 65_521 }, (_, index) => (index * 31 + (index >> 8)) & 0xff));

function asSecure(stream: ByteStream): SecureStream {
  return Object.defineProperties(stream, {
    peerIdentity: { value: identity },
    alpnProtocol: { value: "h2" },
  }) as SecureStream;
}

interface ReceivedBytes {
  readonly length: number;
  /** The position of the first wrong byte. -1: there is none. */
  readonly wrongAt: number;
}

/**
 * Reads all bytes, with a pause before each chunk if `slow`. Returns how many bytes arrived, and where the first wrong
 * one is.
 */
function check(stream: ByteStream, isSlow: boolean): Promise<ReceivedBytes> {
  const { promise, resolve } = Promise.withResolvers<ReceivedBytes>();
  const received = { length: 0, wrongAt: -1 };
  stream.setHandler({
    data: (chunk) => {
      for (let at = 0; at < chunk.length && received.wrongAt < 0;) {
        const from = (received.length + at) % pattern.length;
        const length = Math.min(chunk.length - at, pattern.length - from);
        if (chunk.compare(pattern, from, from + length, at, at + length) !== 0) received.wrongAt = received.length + at;
        at += length;
      }
      received.length += chunk.length;
      if (!isSlow) return;
      stream.pause();
      setImmediate(() => stream.resume());
    },
    end: () => stream.end(),
    drain() {},
    close: () => resolve(received),
  });
  stream.resume();
  return promise;
}

/** Writes the pattern over and over, then ends. */
function pour(stream: ByteStream): void {
  let left = bytesEach;
  let at = 0;
  const more = (): void => {
    while (left > 0) {
      const from = at % pattern.length;
      const part = pattern.subarray(from, Math.min(pattern.length, from + left));
      left -= part.length;
      at += part.length;
      if (!stream.write(part) && left > 0) return;
    }
    stream.end();
  };
  stream.setHandler({ data() {}, end() {}, drain: more, close() {} });
  stream.resume();
  more();
}

async function listen(accept: (stream: ByteStream) => void): Promise<ByteListener> {
  return await listenTcp({ address: "127.0.0.1", port: 0 }, accept);
}

test("streams that share a connection get their bytes in order, even while readers pause", async () => {
  const sums: Promise<ReceivedBytes>[] = [];
  const sink = await listen((stream) => void sums.push(check(stream, sums.length % 2 === 0)));
  const far = await listen((connection) =>
    serveHbone(asSecure(connection), {
      onConnect: (request) =>
        void connectTcp({ address: "127.0.0.1", port: sink.address.port, timeoutMs }).then((application) =>
          relay(request.accept(), application),
        ),
    }),
  );
  const pool = new HbonePool({
    dial: async ({ address, port }) => asSecure(await connectTcp({ address, port, timeoutMs })),
  });
  const target = {
    sourceIdentity: identity,
    address: "127.0.0.1",
    port: far.address.port,
    expectedIdentities: [],
    authority: "sink:1",
    headers: [],
    timeoutMs,
  };
  const near = await listen((client) => void pool.connect(target).then((tunnel) => relay(client, tunnel)));
  try {
    for (let index = 0; index < tunnels; index += 1)
      pour(await connectTcp({ address: "127.0.0.1", port: near.address.port, timeoutMs }));
    while (sums.length < tunnels) await new Promise((resolve) => setTimeout(resolve, 5));
    assert.deepEqual(
      await Promise.all(sums),
      Array.from({ length: tunnels }, () => ({ length: bytesEach, wrongAt: -1 })),
    );
    assert.equal(pool.connections, 1);
  } finally {
    pool.close();
    for (const listener of [sink, far, near]) listener.close();
  }
});
