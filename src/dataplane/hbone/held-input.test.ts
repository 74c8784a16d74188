import assert from "node:assert/strict";
import { test } from "node:test";
import type { ByteStreamHandler, SecureStream } from "../../net/index.ts";
import { errorCodeName, FrameReader, FrameWriter, hpackEncode, type FrameHandler } from "../../wire/http2/index.ts";
import { heldInput, HeldInput, heldInputBytes, type HeldStream, type InputHolder } from "./held-input.ts";
import { serveHbone } from "./hbone-server.ts";
import { hboneLimits } from "./limits.ts";

const nothing = (): void => undefined;

class ModelHolder implements InputHolder {
  readonly peer: string;
  readonly heldStreams: HeldStream[];
  readonly lost: number[] = [];

  constructor(peer: string, sizes: readonly number[], input: HeldInput) {
    this.peer = peer;
    const left = [...sizes];
    const report = (): void =>
      input.changed(
        this,
        left.reduce((sum, bytes) => sum + bytes, 0),
      );
    this.heldStreams = sizes.map((size, index) => ({
      get heldBytes() {
        return left[index] ?? 0;
      },
      shed: () => {
        this.lost.push(size);
        left[index] = 0;
        report();
      },
    }));
    report();
  }
}

test("above the limit, the peer that holds the most loses its largest streams, and others keep theirs", () => {
  const input = new HeldInput(() => 800);
  const greedy = [
    new ModelHolder("10.0.0.1", [100, 20, 100], input),
    new ModelHolder("10.0.0.1", [90, 10, 100, 100], input),
  ];
  const others = [new ModelHolder("10.0.0.2", [250], input), new ModelHolder("10.0.0.3", [100], input)];
  assert.equal(input.bytes, 870);
  input.flush();
  assert.deepEqual(
    [...greedy, ...others].map(({ lost }) => lost),
    [[100, 100], [], [], []],
  );
  assert.equal(input.bytes, 670);
});

test("peers that hold equal amounts lose equal amounts, until there is room", () => {
  const input = new HeldInput(() => 1000);
  const peers = Array.from({ length: 100 }, (_, index) => new ModelHolder(`10.0.0.${index}`, [5, 5, 4], input));
  input.flush();
  assert.ok(input.bytes <= 875 && input.bytes > 800, `${input.bytes}`);
  const lost = new Set(peers.map(({ lost: streams }) => streams.length));
  assert.ok(Math.max(...lost) - Math.min(...lost) <= 1, [...lost].join());
});

test("a client that holds little at each address of its IPv6 network loses its streams, and others keep theirs", () => {
  const input = new HeldInput(() => 4000);
  const address = (index: number): string => `2001:db8::${index.toString(16)}`;
  const greedy = Array.from({ length: 1000 }, (_, index) => new ModelHolder(address(index), [4], input));
  const honest = new ModelHolder("192.0.2.1", [40], input);
  input.flush();
  assert.deepEqual(honest.lost, []);
  assert.ok(greedy.some(({ lost }) => lost.length > 0));
  assert.ok(input.bytes <= 3500, `${input.bytes}`);
});

test("a connection whose streams have ended already does not hold up the others", () => {
  const input = new HeldInput(() => 100);
  input.changed({ peer: "10.0.0.1", heldStreams: [] }, 200);
  const other = new ModelHolder("10.0.0.2", [50, 50], input);
  input.flush();
  assert.deepEqual(other.lost, [50, 50]);
});

test("the limit follows the memory of the container, and the threads share it", () => {
  const mebibyte = 1_048_576;
  assert.deepEqual(
    [heldInputBytes(2 ** 64, 1), heldInputBytes(0, 2), heldInputBytes(1024 * mebibyte, 1)],
    [512 * mebibyte, 256 * mebibyte, 256 * mebibyte],
  );
});

test("all threads together hold at most a quarter of a small container, and each can hold two full streams", () => {
  const mebibyte = 1_048_576;
  for (const threads of [1, 2, 4]) assert.equal(threads * heldInputBytes(128 * mebibyte, threads), 32 * mebibyte);
  const least = heldInputBytes(mebibyte, 9);
  assert.equal(least, 2 * hboneLimits.streamWindowBytes);
  const input = new HeldInput(() => least);
  const full = hboneLimits.streamWindowBytes;
  const holder = new ModelHolder("10.0.0.1", [full, full], input);
  input.flush();
  assert.deepEqual(holder.lost, []);
});

/** An HBONE peer. Its tunnels have no reader here. */
class Sender implements FrameHandler {
  readonly writer = new FrameWriter();
  readonly resets: string[] = [];
  handler: ByteStreamHandler | undefined;

  /** `answer` is the data that the server sends through each tunnel. */
  constructor(address: string, answer = Buffer.alloc(0)) {
    const reader = new FrameReader(this, { maxFrameSize: hboneLimits.maxFrameBytes, expectPreface: false });
    const stream: SecureStream = {
      local: { address: "127.0.0.1", port: 15_008 },
      remote: { address, port: 1 },
      fd: -1,
      receivedBytes: 0,
      sentBytes: 0,
      bufferedBytes: 0,
      peerIdentity: "spiffe://cluster.local/ns/default/sa/sender",
      alpnProtocol: "h2",
      peerCertificate: undefined,
      peerVerified: true,
      tlsVersion: "TLSv1.3",
      cipher: "",
      setHandler: (handler) => (this.handler = handler),
      write: (bytes) => (reader.push(Buffer.from(bytes)), true),
      end: nothing,
      destroy: nothing,
      pause: nothing,
      resume: nothing,
    };
    serveHbone(stream, { onConnect: (request) => void request.accept().write(answer) });
    this.writer.preface();
    this.writer.settings([]);
    this.send();
  }

  send(): void {
    const bytes = Buffer.from(this.writer.view());
    this.writer.reuse();
    this.handler?.data(bytes);
  }

  fill(id: number, bytes: number): void {
    this.writer.headers(id, hpackEncode([":method", "CONNECT", ":authority", "10.0.0.1:80"]), false, 16_384);
    const block = Buffer.alloc(bytes);
    this.writer.data(id, block, 0, bytes, false);
    this.send();
  }

  rstStream(streamId: number, code: number): void {
    this.resets.push(`${streamId} ${errorCodeName(code)}`);
  }

  readonly data = nothing;
  readonly padding = nothing;
  readonly headers = nothing;
  readonly settings = nothing;
  readonly settingsAck = nothing;
  readonly ping = nothing;
  readonly pingAck = nothing;
  readonly goaway = nothing;
  readonly windowUpdate = nothing;
}

test("a peer that fills many connections loses tunnels before the process holds too much, and another peer none", async () => {
  // With so many threads, the limit is the minimum of a thread.
  const before = heldInput.bytes;
  heldInput.shareAmong(1_000_000);
  try {
    const limit = heldInputBytes(0, 1_000_000);
    const honest = new Sender("10.0.0.2");
    honest.fill(1, 1_048_576);
    const greedy = Array.from({ length: 10 }, () => new Sender("10.0.0.1"));
    for (const sender of greedy) {
      for (let id = 1; id <= 15; id += 2) sender.fill(id, 1_048_576);
      await new Promise((resolve) => setImmediate(resolve));
      await new Promise((resolve) => setImmediate(resolve));
      assert.ok(heldInput.bytes <= limit, `${heldInput.bytes}`);
    }
    assert.ok(greedy.some(({ resets }) => resets.includes("1 CANCEL")));
    assert.deepEqual(honest.resets, []);
    for (const sender of [honest, ...greedy]) sender.handler?.close(undefined);
    assert.equal(heldInput.bytes, before);
  } finally {
    heldInput.shareAmong(1);
  }
});

test("a peer that reads nothing from many tunnels loses some, and another peer none", async () => {
  const before = heldInput.bytes;
  heldInput.shareAmong(1_000_000);
  try {
    const limit = heldInputBytes(0, 1_000_000);
    const answer = Buffer.alloc(1_048_576);
    const honest = new Sender("10.0.0.2", answer);
    honest.fill(1, 1);
    assert.ok(heldInput.bytes > before + 900_000, `${heldInput.bytes}`);
    const greedy = Array.from({ length: 3 }, () => new Sender("10.0.0.1", answer));
    for (const sender of greedy) {
      for (let id = 1; id <= 15; id += 2) sender.fill(id, 1);
      await new Promise((resolve) => setImmediate(resolve));
      await new Promise((resolve) => setImmediate(resolve));
      assert.ok(heldInput.bytes <= limit, `${heldInput.bytes}`);
    }
    assert.ok(greedy.some(({ resets }) => resets.some((reset) => reset.endsWith(" CANCEL"))));
    assert.deepEqual(honest.resets, []);
    for (const sender of [honest, ...greedy]) sender.handler?.close(undefined);
    assert.equal(heldInput.bytes, before);
  } finally {
    heldInput.shareAmong(1);
  }
});
