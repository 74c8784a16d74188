import assert from "node:assert/strict";
import { test } from "node:test";
import { until } from "../base/testing/index.ts";
import { bytePath } from "./byte-path.ts";
import type { ByteStream } from "./byte-stream.ts";
import { largeBuffers, largeBoundsOf } from "./read-buffer.ts";
import { TestAuthority } from "./testing/certificates.ts";
import { TlsContext } from "./tls-context.ts";
import { secureClient, secureServer } from "./tls.ts";

const found = bytePath("libuv");
assert.ok(found !== undefined, "this node must have the libuv byte path");
const path = found;
const mebibyte = 1_048_576;
const much = Buffer.alloc(2 * mebibyte, "x");

function withBounds(owned: number, all: number): Disposable {
  const before = largeBuffers.bounds;
  largeBuffers.bounds = { owned, all };
  return { [Symbol.dispose]: () => void (largeBuffers.bounds = before) };
}

interface Pair extends AsyncDisposable {
  readonly near: ByteStream;
  readonly far: ByteStream;
}

type Ends = Pick<Pair, "near" | "far">;

const { certificateChain, privateKey, roots } = await (await TestAuthority.create()).issue({ dns: "server.test" });
const context = TlsContext.create({ certificateChain, privateKey, roots });

async function secured({ near, far }: Ends): Promise<Ends> {
  const options = { alpn: [], timeoutMs: 20_000 };
  const [client, server] = await Promise.all([
    secureClient(near, context, { ...options, verify: { by: "none" } }),
    secureServer(far, () => context, { ...options, clientCertificate: "none" }),
  ]);
  return { near: client, far: server };
}

async function connected(onFar: (bytes: Buffer) => void = () => undefined, isSecure = false): Promise<Pair> {
  const accepted = Promise.withResolvers<ByteStream>();
  const listener = await path.listenTcp({ address: "127.0.0.1", port: 0 }, accepted.resolve);
  const client = await path.connectTcp({ address: "127.0.0.1", port: listener.address.port, timeoutMs: 5000 });
  const ends = { near: client, far: await accepted.promise };
  const { near, far } = isSecure ? await secured(ends) : ends;
  listener.close();
  let closed = 0;
  const others = { end() {}, drain() {}, close: () => void (closed += 1) };
  near.setHandler({ data() {}, ...others });
  far.setHandler({ data: onFar, ...others });
  return {
    near,
    far,
    [Symbol.asyncDispose]: async () => {
      near.destroy();
      far.destroy();
      await until(() => closed === 2, "both ends close");
    },
  };
}

for (const isSecure of [false, true])
  test(`streams over ${isSecure ? "TLS" : "TCP"} that have read much and then wait give their memory to others, and still read`, async () => {
    using _ = withBounds(mebibyte, 64 * mebibyte);
    const before = largeBuffers.bytes;
    {
      await using pairs = new AsyncDisposableStack();
      const transfers: (() => Promise<void>)[] = [];
      for (let count = 0; count < 12; count += 1) {
        let received = 0;
        const { near, far } = pairs.use(await connected((bytes) => void (received += bytes.length), isSecure));
        far.resume();
        const transfer = async (): Promise<void> => {
          const goal = received + much.length;
          near.write(much);
          await until(() => received === goal, "all bytes arrive");
        };
        transfers.push(transfer);
        await transfer();
        assert.ok(largeBuffers.bytes <= mebibyte, `${largeBuffers.bytes} bytes after ${count + 1} transfers`);
      }
      assert.ok(largeBuffers.bytes > before, "the latest ones have large buffers");
      // The first streams have given up their large buffers by now, and must get new ones.
      for (const transfer of transfers) await transfer();
      assert.ok(largeBuffers.bytes <= mebibyte, `${largeBuffers.bytes}`);
    }
    assert.equal(largeBuffers.bytes, before);
  });

test("streams whose bytes wait for a slow reader read little at a time once such bytes fill the bound", async () => {
  using _ = withBounds(mebibyte, 2 * mebibyte);
  const before = largeBuffers.bytes;
  {
    await using pairs = new AsyncDisposableStack();
    for (let count = 0; count < 12; count += 1) {
      const deaf = pairs.use(await connected());
      let received = 0;
      let isPaused = false;
      const { near, far } = pairs.use(
        await connected((bytes) => {
          received += bytes.length;
          // Read the first bytes, so that the buffer grows.
          if (received < mebibyte || isPaused || deaf.near.write(bytes)) return;
          isPaused = true;
          far.pause();
        }),
      );
      far.resume();
      for (let sent = 0; sent < 8; sent += 1) near.write(much);
      await until(() => isPaused, "the reader waits");
      assert.ok(largeBuffers.bytes <= 2 * mebibyte, `${largeBuffers.bytes} bytes for ${count + 1} waiting streams`);
    }
  }
  await until(() => largeBuffers.bytes === before, "all memory is free");
});

test("the large buffers of a thread use an eighth of a small container's memory", () => {
  assert.deepEqual(
    [0, 512 * mebibyte, 64 * mebibyte, 8192 * mebibyte].map((memory) => {
      const { owned, all } = largeBoundsOf(memory);
      return [owned / mebibyte, all / mebibyte];
    }),
    [
      [64, 256],
      [16, 64],
      [8, 32],
      [64, 256],
    ],
  );
});
