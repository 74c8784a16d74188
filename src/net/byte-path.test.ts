import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { SerinError } from "../base/index.ts";
import { collectGarbage, oldBytes } from "../base/testing/index.ts";
import { bytePath, type BytePath } from "./byte-path.ts";
import type { ByteListener, ByteStream } from "./byte-stream.ts";
import { forgetAddresses, readInSmallChunks, readLargeMessages, writeAll, writeFramed } from "./handle-stream.ts";
import { libc, linux } from "./libc.ts";
import { partsAfter, writeFramedNow, type FramedBytes } from "./framed-write.ts";
import {
  closeDescriptor,
  hasUnreadInput,
  listenTcpInNamespace,
  openTcpSocketInNamespace,
  peerOf,
  socketName,
} from "./namespace-socket.ts";
import { Recorder, relay, pattern } from "./testing/recorder.ts";

interface Pair {
  readonly near: ByteStream;
  readonly far: ByteStream;
  readonly listener: ByteListener;
}

async function connectedPair(path: BytePath): Promise<Pair> {
  const accepted = Promise.withResolvers<ByteStream>();
  const listener = await path.listenTcp({ address: "127.0.0.1", port: 0 }, accepted.resolve);
  const near = await path.connectTcp({ address: "127.0.0.1", port: listener.address.port, timeoutMs: 5000 });
  return { near, far: await accepted.promise, listener };
}

for (const kind of ["libuv", "node"] as const) {
  const path = bytePath(kind);
  assert.ok(path !== undefined, `this node must have the ${kind} byte path`);

  suite(`byte path on ${kind}`, () => {
    test("bytes go both ways, each side ends independently, and both close without error", async () => {
      const { near, far, listener } = await connectedPair(path);
      const [left, right] = [new Recorder(near), new Recorder(far)];
      near.write(Buffer.from("ping"));
      near.end();
      assert.equal((await right.ended).toString(), "ping");
      far.write(Buffer.from("pong"));
      far.end();
      assert.equal((await left.ended).toString(), "pong");
      assert.deepEqual(await Promise.all([left.closed, right.closed]), [undefined, undefined]);
      assert.deepEqual([near.sentBytes, near.receivedBytes, near.fd], [4, 4, -1]);
      listener.close();
    });

    test("what a peer sends is seen before the event loop reads it, and a refused write counts as not sent", async () => {
      const { near, far, listener } = await connectedPair(path);
      const closed = new Recorder(near).closed;
      assert.equal(hasUnreadInput(near), false);
      far.write(Buffer.from("x"));
      assert.equal(hasUnreadInput(near), true);
      far.destroy({ reset: true });
      near.write(Buffer.from("ping"));
      // Node's own sockets notice the failure only later.
      if (kind === "libuv") assert.equal(near.sentBytes, 0);
      assert.ok((await closed) instanceof Error);
      assert.equal(hasUnreadInput(near), false);
      listener.close();
    });

    test("addresses are those of the two ends", async () => {
      const { near, far, listener } = await connectedPair(path);
      assert.deepEqual(near.remote, listener.address);
      assert.deepEqual(near.local, far.remote);
      assert.deepEqual([peerOf(near), peerOf(far)], [near.remote, far.remote]);
      assert.ok(near.fd > 0);
      near.destroy();
      far.destroy();
      listener.close();
    });

    test("a handler that is set after the close gets the close event", async () => {
      const { near, far, listener } = await connectedPair(path);
      const [first, other] = [new Recorder(near), new Recorder(far)];
      const reason = new Error("no longer needed");
      near.destroy({ reset: true, error: reason });
      assert.equal(await first.closed, reason);
      assert.ok((await other.closed) instanceof Error);
      const late = Promise.withResolvers<Error | undefined>();
      near.setHandler({ data() {}, end() {}, drain() {}, close: late.resolve });
      assert.equal(await late.promise, reason);
      listener.close();
    });

    test("a stream starts paused, and a paused one delivers nothing", async () => {
      const { near, far, listener } = await connectedPair(path);
      const right = new Recorder(far, { paused: true });
      near.write(Buffer.from("early"));
      const left = new Recorder(near);
      far.write(Buffer.from("echo"));
      await left.received(4);
      assert.equal(right.bytes.length, 0);
      far.resume();
      await right.received(5);
      far.pause();
      near.write(Buffer.from("late"));
      far.write(Buffer.from("echo"));
      await left.received(8);
      assert.equal(right.bytes.toString(), "early");
      far.resume();
      await right.received(9);
      near.destroy();
      far.destroy();
      listener.close();
    });

    test("a relay forwards 32 MB of chunks unchanged, with back pressure", async () => {
      const upstream = Promise.withResolvers<ByteStream>();
      const target = await path.listenTcp({ address: "127.0.0.1", port: 0 }, upstream.resolve);
      const middle = await path.listenTcp({ address: "127.0.0.1", port: 0 }, (stream) => {
        void path
          .connectTcp({ address: "127.0.0.1", port: target.address.port, timeoutMs: 5000 })
          .then((other) => relay(stream, other));
      });
      const near = await path.connectTcp({ address: "127.0.0.1", port: middle.address.port, timeoutMs: 5000 });
      const left = new Recorder(near);
      const total = 32 << 20;
      let sent = 0;
      let refusals = 0;
      const pump = (): void => {
        while (sent < total) {
          const bytes = pattern(sent, Math.min(100_003, total - sent));
          sent += bytes.length;
          if (near.write(bytes)) continue;
          refusals += 1;
          return;
        }
        near.end();
      };
      left.onDrain = pump;
      pump();
      const far = await upstream.promise;
      const right = new Recorder(far, { verifyPattern: true });
      await right.ended;
      assert.equal(right.count, total);
      assert.equal(right.mismatchAt, undefined);
      assert.ok(refusals > 0, "the kernel's buffers are smaller than 32 MB");
      far.end();
      await left.ended;
      target.close();
      middle.close();
    });

    test("an end leaves at once behind the bytes before it, if libc is loaded", async () => {
      const { near, far, listener } = await connectedPair(path);
      const [left, right] = [new Recorder(near), new Recorder(far, { paused: true })];
      assert.equal(hasUnreadInput(far), false);
      near.end();
      // Sockets of node:net send the end in a later turn.
      if (kind === "libuv") assert.equal(hasUnreadInput(far), true);
      far.resume();
      assert.equal((await right.ended).length, 0);
      far.write(Buffer.from("pong"));
      far.end();
      assert.equal((await left.ended).toString(), "pong");
      assert.deepEqual(await Promise.all([left.closed, right.closed]), [undefined, undefined]);
      listener.close();
    });

    test("chunks of one write arrive whole and in order, even if they wait and no other code keeps them", async () => {
      const { near, far, listener } = await connectedPair(path);
      const total = 24 << 20;
      let sent = 0;
      const next = (size: number): Buffer => {
        const bytes = pattern(sent, Math.min(size, total - sent));
        sent += bytes.length;
        return bytes;
      };
      const left = new Recorder(near);
      const pump = (): void => {
        for (;;) {
          const isFull = !writeAll(near, [next(9), next(65_536), next(9), next(200_000)]);
          if (isFull) near.write(next(70_000));
          if (sent >= total) return near.end();
          if (isFull) return;
        }
      };
      left.onDrain = pump;
      pump();
      // Provoke garbage collection. If the stream did not keep references to its buffers, other bytes would overwrite
      // them.
      for (let count = 0; count < 50; count += 1) Buffer.alloc(1 << 20, 0xaa);
      const right = new Recorder(far, { verifyPattern: true });
      await right.ended;
      assert.deepEqual([right.count, right.mismatchAt, near.sentBytes], [total, undefined, total]);
      assert.equal(writeAll(far, []), true);
      far.end();
      await left.ended;
      listener.close();
    });

    test("a body arrives whole with a head in front of each piece, however much of it the kernel takes at once", async () => {
      const { near, far, listener } = await connectedPair(path);
      const total = 24 << 20;
      const pieceBytes = 16_384;
      let sent = 0;
      // The heads and the pieces continue one pattern. One system call takes fewer than 70 pieces.
      const next = (pieces: number): FramedBytes => {
        const heads: Buffer[] = [];
        const body: Buffer[] = [];
        const headEnds: number[] = [];
        for (let piece = 0; piece < pieces; piece += 1) {
          const length = piece === pieces - 1 ? 5000 : pieceBytes;
          heads.push(pattern(sent, 9));
          body.push(pattern(sent + 9, length));
          headEnds.push(9 * heads.length);
          sent += 9 + length;
        }
        return { heads: Buffer.concat(heads), headEnds, body: Buffer.concat(body), pieceBytes };
      };
      const left = new Recorder(near);
      const pump = (): void => {
        for (let count = 0; ; count += 1) {
          const isFull = !writeFramed(near, next([1, 17, 70][count % 3] ?? 1));
          if (isFull) writeFramed(near, next(3));
          if (sent >= total) return near.end();
          if (isFull) return;
        }
      };
      left.onDrain = pump;
      pump();
      for (let count = 0; count < 50; count += 1) Buffer.alloc(1 << 20, 0xaa);
      const right = new Recorder(far, { verifyPattern: true });
      await right.ended;
      assert.deepEqual([right.count, right.mismatchAt, near.sentBytes], [sent, undefined, sent]);
      far.end();
      await left.ended;
      listener.close();
    });

    test("a framed write to a peer that has reset the connection ends the stream with the error", async () => {
      const { near, far, listener } = await connectedPair(path);
      const left = new Recorder(near, { paused: true });
      const right = new Recorder(far);
      far.destroy({ reset: true });
      await right.closed;
      const framed = { heads: pattern(0, 9), headEnds: [9], body: pattern(9, 16_384), pieceBytes: 16_384 };
      writeFramed(near, framed);
      writeFramed(near, framed);
      assert.match((await left.closed)?.message ?? "", /EPIPE|ECONNRESET/);
      listener.close();
    });

    test("one large write arrives whole, even if it waits and no other code keeps its bytes", async () => {
      const { near, far, listener } = await connectedPair(path);
      const left = new Recorder(near);
      const total = 16 << 20;
      near.write(pattern(0, total));
      near.end();
      // Memory without a reference is collected now, and other bytes overwrite it.
      for (let count = 0; count < 100; count += 1) Buffer.alloc(1 << 20, 0xaa);
      const right = new Recorder(far, { verifyPattern: true });
      await right.ended;
      assert.deepEqual([right.count, right.mismatchAt], [total, undefined]);
      far.end();
      assert.equal(await left.closed, undefined);
      listener.close();
    });

    if (kind === "libuv") {
      test("a framed write needs one system call", async () => {
        const { near, far, listener } = await connectedPair(path);
        const right = new Recorder(far);
        const framed = {
          heads: pattern(0, 9),
          headEnds: [3, 9],
          body: pattern(9, 20_000),
          pieceBytes: 16_384,
        };
        assert.equal(writeFramedNow(near.fd, framed), 20_009);
        await right.received(20_009);
        assert.deepEqual(right.bytes, Buffer.concat(partsAfter(framed, 0)));
        near.destroy();
        far.destroy();
        await right.closed;
        assert.equal(writeFramedNow(-1, framed), 0, "an error is left to the next write");
        listener.close();
      });

      test("a closed stream still has its addresses, unless it may forget them", async () => {
        const { near, far, listener } = await connectedPair(path);
        forgetAddresses(far);
        const [left, right] = [new Recorder(near), new Recorder(far)];
        near.destroy();
        far.destroy();
        await Promise.all([left.closed, right.closed]);
        assert.deepEqual(near.remote, listener.address);
        assert.deepEqual(far.remote, { address: "", port: 0 });
        listener.close();
      });

      test("the handler of a closed stream is collected before it reaches the old space", async () => {
        const listener = await path.listenTcp({ address: "127.0.0.1", port: 0 }, (stream) => {
          stream.setHandler({ data() {}, end: () => stream.end(), drain() {}, close() {} });
          stream.resume();
        });
        const { port } = listener.address;
        const connect = async (): Promise<void> => {
          const stream = await path.connectTcp({ address: "127.0.0.1", port, timeoutMs: 5000 });
          const held = Array.from({ length: 5000 }, (_, index) => index);
          const closed = Promise.withResolvers<number>();
          stream.setHandler({ data() {}, end() {}, drain() {}, close: () => closed.resolve(held.length) });
          stream.resume();
          stream.end();
          await closed.promise;
        };
        for (let count = 0; count < 20; count += 1) await connect();
        const before = oldBytes();
        for (let count = 0; count < 200; count += 1) {
          await connect();
          if (count % 10 === 0) collectGarbage("minor");
        }
        // If the process kept all closed streams, they would take 8 MB.
        assert.ok(oldBytes() - before < 2_000_000, `${oldBytes() - before} bytes became old`);
        listener.close();
      });

      /** The largest chunk that a stream delivers, of several MiB that arrive at once. */
      const largestChunk = async (prepare: (stream: ByteStream) => void): Promise<number> => {
        const { near, far, listener } = await connectedPair(path);
        prepare(far);
        let largest = 0;
        const total = 8 << 20;
        const all = new Promise<void>((resolve) => {
          let count = 0;
          const data = (chunk: Buffer): void => {
            largest = Math.max(largest, chunk.length);
            count += chunk.length;
            if (count === total) resolve();
          };
          far.setHandler({ data, end() {}, drain() {}, close() {} });
        });
        near.setHandler({ data() {}, end() {}, drain() {}, close() {} });
        near.write(pattern(0, total));
        far.resume();
        await all;
        near.destroy();
        far.destroy();
        listener.close();
        return largest;
      };

      test("a stream with a chunk size limit reads small chunks, however much arrives at once", async () => {
        assert.equal(await largestChunk(readInSmallChunks), 4096);
      });

      test("a stream of messages reads a body of a power of two with its head, and others read 256 KiB", async () => {
        const usual = await largestChunk(() => undefined);
        assert.ok(usual > 65_536 && usual <= 262_144, `${usual}`);
        const ofMessages = await largestChunk(readLargeMessages);
        assert.ok(ofMessages > 262_144 && ofMessages <= 262_144 + 4096, `${ofMessages}`);
      });
    }

    test("many small writes in one event-loop turn keep their order", async () => {
      const { near, far, listener } = await connectedPair(path);
      const right = new Recorder(far);
      const left = new Recorder(near);
      let expected = "";
      for (let index = 0; index < 20_000; index += 1) {
        expected += `${index},`;
        near.write(Buffer.from(`${index},`));
      }
      near.end();
      assert.equal((await right.ended).toString(), expected);
      far.end();
      assert.equal(await left.closed, undefined);
      listener.close();
    });

    test("the peer of a reset gets connection-reset", async () => {
      const { near, far, listener } = await connectedPair(path);
      const [left, right] = [new Recorder(near), new Recorder(far)];
      near.destroy({ reset: true });
      assert.equal(await left.closed, undefined);
      const error = await right.closed;
      assert.ok(error instanceof SerinError);
      assert.deepEqual([error.kind, error.code], ["transient", "connection-reset"]);
      listener.close();
    });

    test("destroy with an error hands that error to close, once", async () => {
      const { near, far, listener } = await connectedPair(path);
      const left = new Recorder(near);
      const right = new Recorder(far);
      const reason = new Error("enough");
      near.destroy({ error: reason });
      near.destroy();
      assert.equal(await left.closed, reason);
      assert.equal(left.closes, 1);
      await right.ended;
      far.destroy();
      listener.close();
    });

    test("a closed port gives connection-refused, and an aborted signal aborted", async () => {
      const { near, far, listener } = await connectedPair(path);
      const { port } = listener.address;
      near.destroy();
      far.destroy();
      listener.close();
      await assert.rejects(path.connectTcp({ address: "127.0.0.1", port, timeoutMs: 5000 }), {
        kind: "transient",
        code: "connection-refused",
      });
      const signal = AbortSignal.abort(new Error("stop"));
      await assert.rejects(
        path.connectTcp({ address: "127.0.0.1", port, timeoutMs: 5000, signal }),
        /aborted|ECONNREFUSED/,
      );
    });

    test("a connect from a given address waits for the peer, or fails with the reason why there is no connection", async () => {
      const sourceAddress = "127.0.0.1";
      // When one connection waits to be accepted, the kernel drops further attempts, and repeats them after a second.
      const fd = listenTcpInNamespace(undefined, { address: "127.0.0.1", port: 0, backlog: 0 });
      const { port } = socketName(fd);
      const dial = (timeoutMs: number): Promise<ByteStream> =>
        path.connectTcp({ address: "127.0.0.1", port, sourceAddress, timeoutMs });
      const first = await dial(5000);
      assert.equal(first.remote.port, port);
      await assert.rejects(dial(100), { kind: "transient", code: "timeout" });
      const second = dial(10_000);
      const accepted = libc().accept4(fd, null, null, 0);
      const [left, right] = [
        new Recorder(await second),
        new Recorder(path.adoptTcp(libc().accept4(fd, null, null, 0))),
      ];
      (await second).write(Buffer.from("hello"));
      await right.received(5);
      assert.equal(right.bytes.toString(), "hello");
      const third = await dial(5000);
      const last = dial(10_000);
      closeDescriptor(fd);
      await assert.rejects(last, { kind: "transient", code: "connection-refused" });
      for (const stream of [first, await second, third]) stream.destroy();
      await left.closed;
      closeDescriptor(accepted);
      await assert.rejects(dial(5000), { kind: "transient", code: "connection-refused" });
    });

    test("a connect that its user gives up is aborted", async () => {
      const { near, far, listener } = await connectedPair(path);
      const { port } = listener.address;
      const onStart = (giveUp: (reason: Error) => void) => giveUp(new Error("enough"));
      await assert.rejects(
        path.connectTcp({ address: "127.0.0.1", port, timeoutMs: 5000, onStart }),
        (error) => error instanceof SerinError && error.code === "aborted",
      );
      near.destroy();
      far.destroy();
      listener.close();
    });

    test("both ends send small writes without delay", async () => {
      const { near, far, listener } = await connectedPair(path);
      const value = Buffer.alloc(4);
      const length = Buffer.from([4, 0, 0, 0]);
      for (const { fd } of [near, far]) {
        assert.equal(libc().getsockopt(fd, linux.levelTcp, linux.noDelay, value.fill(0), length), 0);
        assert.equal(value.readInt32LE(0), 1);
      }
      near.destroy();
      far.destroy();
      listener.close();
    });

    test("everything that is written before the end arrives, however much it is", async () => {
      const { near, far, listener } = await connectedPair(path);
      const [left, right] = [new Recorder(near), new Recorder(far)];
      near.end();
      await right.ended;
      const bytes = Buffer.alloc(3_000_000, "x");
      far.write(bytes);
      far.end();
      assert.equal((await left.ended).length, bytes.length);
      assert.deepEqual(await Promise.all([left.closed, right.closed]), [undefined, undefined]);
      listener.close();
    });

    test("a second listener on a port is address-in-use unless both share it", async () => {
      const first = await path.listenTcp({ address: "127.0.0.1", port: 0, reusePort: true }, (stream) =>
        stream.destroy(),
      );
      const { port } = first.address;
      await assert.rejects(
        path.listenTcp({ address: "127.0.0.1", port }, () => undefined),
        { kind: "user", code: "address-in-use" },
      );
      const second = await path.listenTcp({ address: "127.0.0.1", port, reusePort: true }, (stream) =>
        stream.destroy(),
      );
      first.close();
      second.close();
    });

    test("a connected descriptor can be adopted", async () => {
      const accepted = Promise.withResolvers<ByteStream>();
      const listener = await path.listenTcp({ address: "127.0.0.1", port: 0 }, accepted.resolve);
      const fd = openTcpSocketInNamespace(undefined, { family: "ipv4" });
      const address = Buffer.alloc(16);
      address.writeUInt16LE(2, 0);
      address.writeUInt16BE(listener.address.port, 2);
      Buffer.from([127, 0, 0, 1]).copy(address, 4);
      // The socket does not block. A connect over loopback begins at once, and ends when the other side accepts.
      libc().connect(fd, address, address.length);
      const far = await accepted.promise;
      const near = path.adoptTcp(fd);
      const right = new Recorder(far);
      near.write(Buffer.from("taken"));
      near.end();
      assert.equal((await right.ended).toString(), "taken");
      far.end();
      listener.close();
      near.destroy();
    });

    test("IPv6 works like IPv4", async () => {
      const accepted = Promise.withResolvers<ByteStream>();
      const listener = await path.listenTcp({ address: "::1", port: 0 }, accepted.resolve);
      const near = await path.connectTcp({ address: "::1", port: listener.address.port, timeoutMs: 5000 });
      const far = await accepted.promise;
      assert.equal(far.remote.address, "::1");
      assert.deepEqual([peerOf(near), peerOf(far)], [near.remote, far.remote]);
      near.destroy();
      far.destroy();
      listener.close();
    });
  });
}
