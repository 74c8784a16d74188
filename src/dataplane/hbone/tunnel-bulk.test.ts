import assert from "node:assert/strict";
import { after, test } from "node:test";
import { silentLogger } from "../../base/index.ts";
import { until } from "../../base/testing/index.ts";
import {
  connectTcp,
  listenTcp,
  secureServer,
  type ByteListener,
  type ByteStream,
  type ByteStreamHandler,
  type SecureStream,
} from "../../net/index.ts";
import { CertificateManager } from "../certificates/certificate-manager.ts";
import { FakeCertificateAuthority } from "../certificates/fake-certificate-authority.ts";
import { relay } from "../relay.ts";
import { hboneDialer } from "./hbone-dialer.ts";
import { HbonePool, type HboneDialer } from "./hbone-pool.ts";
import { serveHbone } from "./hbone-server.ts";

const tunnels = 8;
const bytesEach = 6 << 20;
const timeoutMs = 5000;
const identity = "spiffe://cluster.local/ns/default/sa/bulk";
/** The length is not a multiple of a buffer's length, so that the test notices bytes in the wrong place. */
const pattern = Buffer.from(Array.from({ length: 65_521 }, (_, index) => (index * 31 + (index >> 8)) & 0xff));

function asSecure(stream: ByteStream): SecureStream {
  return Object.defineProperties(stream, {
    peerIdentity: { value: identity },
    alpnProtocol: { value: "h2" },
  }) as SecureStream;
}

interface ReceivedBytes {
  readonly length: number;
  /** The position of the first wrong byte, or -1 if all bytes are right. */
  readonly wrongAt: number;
}

/** Reads all bytes, with a pause before each chunk if `isSlow`. */
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

/** Writes `bytesEach` bytes of the pattern, then ends. */
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

/** Functions that make both ends of the tunnel's connection from plain streams. */
interface Ends {
  readonly accept: (stream: ByteStream) => Promise<SecureStream>;
  readonly dial: HboneDialer;
}

const plain: Ends = {
  accept: (stream) => Promise.resolve(asSecure(stream)),
  dial: async ({ address, port }) => asSecure(await connectTcp({ address, port, timeoutMs })),
};

const certificates = new CertificateManager({ authority: new FakeCertificateAuthority(), log: silentLogger });
const mutualTls: Ends = {
  accept: (stream) =>
    secureServer(stream, async () => (await certificates.fetch(identity)).context, {
      alpn: ["h2"],
      timeoutMs,
      clientCertificate: "require",
    }),
  dial: hboneDialer(certificates),
};

/** Opens a client's connection to a relay, whose tunnel ends at the sink. */
async function openPath(ends: Ends, accept: (sink: ByteStream) => void, onRead: (client: ByteStream) => ByteStream) {
  const sink = await listen(accept);
  const far = await listen(
    (connection) =>
      void ends.accept(connection).then((secured) =>
        serveHbone(secured, {
          onConnect: (request) =>
            void connectTcp({ address: "127.0.0.1", port: sink.address.port, timeoutMs }).then((application) =>
              relay(request.accept(), application),
            ),
        }),
      ),
  );
  const pool = new HbonePool({ dial: ends.dial });
  const target = {
    sourceIdentity: identity,
    address: "127.0.0.1",
    port: far.address.port,
    expectedIdentities: [],
    authority: "sink:1",
    headers: [],
    timeoutMs,
  };
  const near = await listen((client) => void pool.connect(target).then((tunnel) => relay(onRead(client), tunnel)));
  return {
    pool,
    dial: () => connectTcp({ address: "127.0.0.1", port: near.address.port, timeoutMs }),
    close: () => {
      pool.close();
      for (const listener of [sink, far, near]) listener.close();
    },
  };
}

for (const [name, ends] of Object.entries({ plain, "mutual TLS": mutualTls }))
  test(`streams that share a connection (${name}) get their bytes in order, even while readers pause`, async () => {
    const sums: Promise<ReceivedBytes>[] = [];
    const path = await openPath(
      ends,
      (stream) => void sums.push(check(stream, sums.length % 2 === 0)),
      (client) => client,
    );
    try {
      for (let index = 0; index < tunnels; index += 1) pour(await path.dial());
      await until(() => sums.length >= tunnels);
      assert.deepEqual(
        await Promise.all(sums),
        Array.from({ length: tunnels }, () => ({ length: bytesEach, wrongAt: -1 })),
      );
      assert.equal(path.pool.connections, 1);
    } finally {
      path.close();
    }
  });

test("TLS encrypts large chunks of a lone stream from the memory into which they were read", async () => {
  const readInto = new Set<ArrayBufferLike>();
  let inPlaceBytes = 0;
  const sums: Promise<ReceivedBytes>[] = [];
  const dial: HboneDialer = async (...options) => {
    const secured = await mutualTls.dial(...options);
    const write = secured.write.bind(secured);
    return Object.defineProperty(secured, "write", {
      value: (bytes: Uint8Array) => {
        if (readInto.has(bytes.buffer)) inPlaceBytes += bytes.length;
        return write(bytes);
      },
    });
  };
  const onRead = (client: ByteStream): ByteStream => {
    const setHandler = client.setHandler.bind(client);
    return Object.defineProperty(client, "setHandler", {
      value: (handler: ByteStreamHandler) =>
        setHandler({
          data: (chunk) => {
            readInto.add(chunk.buffer);
            handler.data(chunk);
          },
          end: () => handler.end(),
          drain: () => handler.drain(),
          close: (error) => handler.close(error),
        }),
    });
  };
  const path = await openPath({ ...mutualTls, dial }, (stream) => void sums.push(check(stream, false)), onRead);
  try {
    pour(await path.dial());
    await until(() => sums.length >= 1);
    assert.deepEqual(await sums[0], { length: bytesEach, wrongAt: -1 });
    assert.ok(inPlaceBytes > bytesEach / 2, `${inPlaceBytes} of ${bytesEach} bytes were written in place`);
  } finally {
    path.close();
  }
});

for (const streams of [1, 2])
  test(`a message of ${streams === 1 ? "a lone stream is written at once" : "one of two streams waits for the end of the turn"}`, async () => {
    let written = 0;
    const writtenInCallback: number[] = [];
    const dial: HboneDialer = async (...options) => {
      const secured = await mutualTls.dial(...options);
      const write = secured.write.bind(secured);
      return Object.defineProperty(secured, "write", {
        value: (bytes: Uint8Array) => {
          written += 1;
          return write(bytes);
        },
      });
    };
    const onRead = (client: ByteStream): ByteStream => {
      const setHandler = client.setHandler.bind(client);
      return Object.defineProperty(client, "setHandler", {
        value: (handler: ByteStreamHandler) =>
          setHandler({
            data: (chunk) => {
              const before = written;
              handler.data(chunk);
              writtenInCallback.push(written - before);
            },
            end: () => handler.end(),
            drain: () => handler.drain(),
            close: (error) => handler.close(error),
          }),
      });
    };
    const arrived: string[] = [];
    const sink = (stream: ByteStream): void => {
      const data = (chunk: Buffer): void => void arrived.push(chunk.toString());
      stream.setHandler({ data, end: () => stream.end(), drain() {}, close() {} });
      stream.resume();
      opened += 1;
    };
    let opened = 0;
    const path = await openPath({ ...mutualTls, dial }, sink, onRead);
    const clients: ByteStream[] = [];
    try {
      for (let index = 0; index < streams; index += 1) {
        clients.push(await path.dial());
        await until(() => opened > index);
      }
      for (const message of ["one", "two", "three"]) {
        clients[0]?.write(Buffer.from(message));
        await until(() => arrived.at(-1) === message);
      }
      assert.deepEqual(arrived, ["one", "two", "three"]);
      assert.deepEqual(writtenInCallback, streams === 1 ? [1, 1, 1] : [0, 0, 0]);
    } finally {
      for (const client of clients) client.destroy();
      path.close();
    }
  });

after(() => certificates.close());
