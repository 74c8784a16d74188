import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { systemClock, type Clock } from "../../base/index.ts";
import { HandClock } from "../../base/testing/index.ts";
import { heldInput } from "../../dataplane/index.ts";
import type { ByteStream, ByteStreamHandler } from "../../net/index.ts";
import {
  errorCode,
  errorCodeName,
  FrameReader,
  FrameWriter,
  hpackEncode,
  setting,
  type FrameHandler,
} from "../../wire/http2/index.ts";
import { Http2Connection, type Http2ConnectionHandler } from "./http2-connection.ts";
import { http2Limits } from "./http2-limits.ts";
import type { Http2Stream, Http2StreamHandler } from "./http2-stream.ts";

const turn = async (): Promise<void> => await new Promise((resolve) => setImmediate(resolve));

class Pipe implements ByteStream {
  handler: ByteStreamHandler | undefined;
  sent: Buffer[] = [];
  ended = false;
  /** Whether written bytes wait in this pipe, as with a peer that does not read. */
  stuck = false;
  bufferedBytes = 0;
  readonly local = { address: "127.0.0.1", port: 1 };
  readonly remote = { address: "127.0.0.1", port: 2 };
  readonly fd = -1;
  readonly receivedBytes = 0;
  sentBytes = 0;
  setHandler(handler: ByteStreamHandler): void {
    this.handler = handler;
  }
  write(bytes: Uint8Array): boolean {
    this.sent.push(Buffer.from(bytes));
    this.sentBytes += bytes.length;
    if (this.stuck) this.bufferedBytes += bytes.length;
    return !this.stuck;
  }
  end(): void {
    this.ended = true;
  }
  destroyed = false;
  destroy(): void {
    this.ended = true;
    this.destroyed = true;
  }
  isPaused = false;
  pause(): void {
    this.isPaused = true;
  }
  resume(): void {
    this.isPaused = false;
  }
}

class RecordedFrames implements FrameHandler {
  readonly events: string[] = [];
  data(streamId: number, chunk: Buffer, endStream: boolean): void {
    this.events.push(`data ${streamId} ${chunk.length}${endStream ? " end" : ""}`);
  }
  padding(): void {}
  headers(streamId: number, fields: string[], endStream: boolean): void {
    this.events.push(`headers ${streamId} ${fields.join(" ")}${endStream ? " end" : ""}`);
  }
  rstStream(streamId: number, code: number): void {
    this.events.push(`rst ${streamId} ${errorCodeName(code)}`);
  }
  settings(): void {
    this.events.push("settings");
  }
  settingsAck(): void {
    this.events.push("settings ack");
  }
  ping(): void {
    this.events.push("ping");
  }
  pingAck(): void {
    this.events.push("pong");
  }
  goaway(lastStreamId: number, code: number): void {
    this.events.push(`goaway ${lastStreamId === 2 ** 31 - 1 ? "all" : lastStreamId} ${errorCodeName(code)}`);
  }
  windowUpdate(streamId: number, increment: number): void {
    this.events.push(`window ${streamId} ${increment}`);
  }
}

interface WatchedStream {
  readonly id: number;
  readonly stream: Http2Stream;
  readonly events: string[];
  body: Buffer;
}

/** A connection of ours, by default as a server, and the peer that the test plays. */
class Peer {
  readonly pipe = new Pipe();
  readonly streams = new Map<number, WatchedStream>();
  readonly connection: Http2Connection;
  readonly writer = new FrameWriter();
  readonly received = new RecordedFrames();
  readonly #reader: FrameReader;
  goaways = 0;
  closed = 0;

  constructor(server = true, maxStreams = 10, clock: Clock = systemClock) {
    const handler: Http2ConnectionHandler = {
      opened: (stream) => this.watch(stream),
      goaway: () => (this.goaways += 1),
      streamsChanged: () => undefined,
      closed: () => (this.closed += 1),
    };
    this.connection = new Http2Connection({
      stream: this.pipe,
      server,
      handler,
      clock,
      maxHeaderListBytes: 8192,
      maxStreams,
      pingIntervalMs: 0,
      pingTimeoutMs: 0,
    });
    this.#reader = new FrameReader(this.received, { maxFrameSize: http2Limits.maxFrameBytes, expectPreface: !server });
    this.connection.start();
  }

  watch(stream: Http2Stream): WatchedStream {
    const watched: WatchedStream = { id: stream.id, stream, events: [], body: Buffer.alloc(0) };
    const handler: Http2StreamHandler = {
      headers: (fields, endStream) => void watched.events.push(`headers ${fields.join(" ")}${endStream ? " end" : ""}`),
      data: (bytes, endStream) => {
        watched.body = Buffer.concat([watched.body, bytes]);
        if (endStream) watched.events.push("end");
      },
      drained: () => void watched.events.push("drained"),
      aborted: (failure) =>
        void watched.events.push(
          `aborted by ${failure.by} ${errorCodeName(failure.code)}${failure.unprocessed ? " unprocessed" : ""}`,
        ),
    };
    stream.handler = handler;
    this.streams.set(stream.id, watched);
    return watched;
  }

  greet(values: readonly (readonly [number, number])[] = []): this {
    this.writer.preface();
    this.writer.settings(values);
    return this.push();
  }

  push(): this {
    const bytes = Buffer.from(this.writer.view());
    this.writer.reuse();
    this.pipe.handler?.data(bytes);
    return this;
  }

  raw(hex: string): this {
    this.pipe.handler?.data(Buffer.from(hex.replaceAll(" ", ""), "hex"));
    return this;
  }

  request(streamId: number, endStream = true): this {
    this.writer.headers(
      streamId,
      hpackEncode([":method", "GET", ":scheme", "http", ":path", "/", ":authority", "a"]),
      endStream,
      16_384,
    );
    return this.push();
  }

  async takeFrames(): Promise<string[]> {
    await turn();
    for (const bytes of this.pipe.sent.splice(0)) this.#reader.push(bytes);
    return this.received.events.splice(0);
  }
}

const frame = (type: number, flags: number, streamId: number, payload = ""): string => {
  const length = payload.replaceAll(" ", "").length / 2;
  return `${length.toString(16).padStart(6, "0")}${type.toString(16).padStart(2, "0")}${flags.toString(16).padStart(2, "0")}${streamId.toString(16).padStart(8, "0")}${payload}`;
};

/** The peer sends the bytes of each entry after the greeting and a request with a body on stream 1. */
const connectionErrors: readonly (readonly [title: string, bytes: string, code: keyof typeof errorCode])[] = [
  ["DATA on stream 0", frame(0, 0, 0, "00"), "protocolError"],
  ["DATA on a stream that was never opened", frame(0, 0, 5, "00"), "protocolError"],
  ["DATA with more padding than bytes", frame(0, 8, 1, "05 00"), "protocolError"],
  [
    "DATA larger than we allow",
    `${(http2Limits.maxFrameBytes + 1).toString(16).padStart(6, "0")}000000000001`,
    "frameSizeError",
  ],
  ["HEADERS on stream 0", frame(1, 4, 0, "82"), "protocolError"],
  ["HEADERS on a stream of ours", frame(1, 4, 2, "82"), "protocolError"],
  ["HEADERS with more padding than bytes", frame(1, 0xc, 3, "05 82"), "protocolError"],
  [
    "a header block that another frame interrupts",
    frame(1, 0, 3, "82") + frame(6, 0, 0, "0000000000000000"),
    "protocolError",
  ],
  ["CONTINUATION without HEADERS", frame(9, 4, 1, "82"), "protocolError"],
  ["a header block that cannot be decoded", frame(1, 4, 3, "ff ff ff ff ff"), "compressionError"],
  [
    "endless CONTINUATION",
    frame(1, 0, 3, "82") + Array.from({ length: 70 }, () => frame(9, 0, 3, "")).join(""),
    "enhanceYourCalm",
  ],
  [
    "a header list far above what we announce",
    frame(1, 0, 3, `40 01 61 7f e9 83 01 ${"62".repeat(8000)}`) + frame(9, 4, 3, "62".repeat(9000)),
    "enhanceYourCalm",
  ],
  ["RST_STREAM on a stream that was never opened", frame(3, 0, 7, "00000008"), "protocolError"],
  ["RST_STREAM of a wrong size", frame(3, 0, 1, "000008"), "frameSizeError"],
  ["SETTINGS of a wrong size", frame(4, 0, 0, "000300"), "frameSizeError"],
  ["SETTINGS on a stream", frame(4, 0, 1), "protocolError"],
  ["SETTINGS with too large a window", frame(4, 0, 0, "0004 80000000"), "flowControlError"],
  ["SETTINGS with too small frames", frame(4, 0, 0, "0005 00000001"), "protocolError"],
  ["PUSH_PROMISE", frame(5, 4, 1, "00000002 82"), "protocolError"],
  ["PING of a wrong size", frame(6, 0, 0, "00"), "frameSizeError"],
  ["PING on a stream", frame(6, 0, 1, "0000000000000000"), "protocolError"],
  ["PRIORITY of a wrong size", frame(2, 0, 1, "00000000"), "frameSizeError"],
  ["GOAWAY that is too short", frame(7, 0, 0, "00000000"), "frameSizeError"],
  ["WINDOW_UPDATE by 0", frame(8, 0, 0, "00000000"), "protocolError"],
  ["WINDOW_UPDATE above the largest window", frame(8, 0, 0, "7fffffff"), "flowControlError"],
  ["WINDOW_UPDATE on a stream that was never opened", frame(8, 0, 9, "00000001"), "protocolError"],
];

for (const [title, bytes, code] of connectionErrors) {
  test(`a connection ends by ${errorCodeName(errorCode[code])}: ${title}`, async () => {
    const peer = new Peer().greet().request(1, false);
    peer.raw(bytes);
    const frames = await peer.takeFrames();
    assert.ok(frames.includes(`goaway 1 ${errorCodeName(errorCode[code])}`), frames.join(", "));
    assert.equal(peer.pipe.ended, true);
    assert.ok(peer.streams.get(1)?.events.at(-1)?.startsWith("aborted by connection"));
  });
}

test("a peer must begin with the preface and SETTINGS", async () => {
  const noPreface = new Peer();
  noPreface.pipe.handler?.data(Buffer.from("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
  assert.ok((await noPreface.takeFrames()).includes("goaway 0 PROTOCOL_ERROR"));
  const noSettings = new Peer();
  noSettings.writer.preface();
  noSettings.writer.ping(Buffer.alloc(8), false);
  noSettings.push();
  assert.ok((await noSettings.takeFrames()).includes("goaway 0 PROTOCOL_ERROR"));
});

/** The peer sends the bytes of each entry on stream 1, after the head of a request that announces a body of 5 bytes. */
const streamErrors: readonly (readonly [title: string, bytes: string, code: keyof typeof errorCode])[] = [
  ["more DATA than content-length", frame(0, 0, 1, "0102030405 06"), "protocolError"],
  ["less DATA than content-length", frame(0, 1, 1, "01020304"), "protocolError"],
  ["trailers before all of the body", frame(1, 5, 1, "40 01 61 01 62"), "protocolError"],
  ["DATA after its end", frame(0, 1, 1, "0102030405") + frame(0, 0, 1, "01"), "streamClosed"],
  ["HEADERS after its end", frame(0, 1, 1, "0102030405") + frame(1, 5, 1, "40 01 61 01 62"), "streamClosed"],
  ["WINDOW_UPDATE above the largest window", frame(8, 0, 1, "7fffffff"), "flowControlError"],
];

for (const [title, bytes, code] of streamErrors) {
  test(`a stream ends by ${errorCodeName(errorCode[code])}, and the connection goes on: ${title}`, async () => {
    const peer = new Peer().greet().request(1, false);
    const watched = peer.streams.get(1) ?? assert.fail();
    watched.stream.expectedBytes = 5;
    peer.raw(bytes);
    assert.ok((await peer.takeFrames()).includes(`rst 1 ${errorCodeName(errorCode[code])}`));
    assert.ok(watched.events.at(-1)?.startsWith("aborted by protocol"));
    peer.request(3);
    assert.deepEqual(peer.streams.get(3)?.events.length, 1);
    assert.equal(peer.connection.closed, false);
  });
}

test("padding is removed and counts for the windows, and a body may be all padding", async () => {
  const peer = new Peer().greet().request(1, false);
  peer.raw(frame(0, 8, 1, "03 61 62 000000")).raw(frame(0, 9, 1, "02 0000"));
  const watched = peer.streams.get(1) ?? assert.fail();
  assert.deepEqual([watched.body.toString(), watched.events.at(-1)], ["ab", "end"]);
  assert.ok((await peer.takeFrames()).every((event) => !event.startsWith("goaway")));
});

test("nothing is sent while the window of the stream or the connection is zero, and everything afterwards", async () => {
  const peer = new Peer().greet([[setting.initialWindowSize, 0]]).request(1);
  const watched = peer.streams.get(1) ?? assert.fail();
  watched.stream.sendHeaders([":status", "200"], false);
  assert.equal(watched.stream.write(Buffer.alloc(100_000), false), false);
  watched.stream.write(Buffer.alloc(0), true);
  await peer.takeFrames();
  peer.writer.windowUpdate(1, 10);
  peer.push();
  assert.deepEqual(await peer.takeFrames(), ["data 1 10"]);
  peer.writer.settings([[setting.initialWindowSize, 20]]);
  peer.push();
  assert.deepEqual(await peer.takeFrames(), ["settings ack", "data 1 20"]);
  // The stream's window is large now, so the connection's window of 65,535 bytes runs out next.
  peer.writer.windowUpdate(1, 200_000);
  peer.push();
  const until = (await peer.takeFrames())
    .map((event) => Number(event.split(" ")[2]))
    .reduce((sum, bytes) => sum + bytes, 30);
  assert.equal(until, 65_535);
  peer.writer.windowUpdate(0, 200_000);
  peer.push();
  const rest = await peer.takeFrames();
  assert.equal(rest.at(-1)?.endsWith("end"), true);
  assert.equal(
    rest.map((event) => Number(event.split(" ")[2])).reduce((sum, bytes) => sum + bytes, until),
    100_000,
  );
});

test("a window that SETTINGS made negative must be refilled first", async () => {
  const peer = new Peer().greet([[setting.initialWindowSize, 100]]).request(1);
  const watched = peer.streams.get(1) ?? assert.fail();
  watched.stream.write(Buffer.alloc(100), false);
  peer.writer.settings([[setting.initialWindowSize, 40]]);
  peer.push();
  watched.stream.write(Buffer.alloc(10), true);
  peer.writer.windowUpdate(1, 60);
  peer.push();
  assert.ok(!(await peer.takeFrames()).some((event) => event.endsWith("end")));
  peer.writer.windowUpdate(1, 10);
  peer.push();
  assert.deepEqual(await peer.takeFrames(), ["data 1 10 end"]);
});

test("a peer that exceeds the window of a stream or connection gets FLOW_CONTROL_ERROR", async () => {
  const peer = new Peer().greet().request(1, false);
  peer.streams.get(1)?.stream.pause();
  const block = Buffer.alloc(http2Limits.maxFrameBytes);
  for (let sent = 0; sent <= http2Limits.streamWindowBytes; sent += block.length)
    peer.writer.data(1, block, 0, block.length, false);
  peer.push();
  assert.ok((await peer.takeFrames()).includes("rst 1 FLOW_CONTROL_ERROR"));
});

test("held input of all connections has a limit, and a stream that is shed for it gets ENHANCE_YOUR_CALM", async () => {
  const before = heldInput.bytes;
  const peer = new Peer().greet().request(1, false);
  const watched = peer.streams.get(1) ?? assert.fail();
  watched.stream.pause();
  peer.writer.data(1, Buffer.alloc(1000), 0, 1000, false);
  peer.push();
  assert.deepEqual([heldInput.bytes - before, watched.stream.heldBytes], [1000, 1000]);
  assert.deepEqual([peer.connection.peer, [...peer.connection.heldStreams]], ["127.0.0.1", [watched.stream]]);
  await peer.takeFrames();
  watched.stream.shed();
  assert.deepEqual(await peer.takeFrames(), ["rst 1 ENHANCE_YOUR_CALM"]);
  assert.equal(watched.events.at(-1), "aborted by connection ENHANCE_YOUR_CALM");
  assert.equal(heldInput.bytes, before);
});

test("a paused stream keeps its data and trailers in order, and returns its window only when it is read", async () => {
  const peer = new Peer().greet().request(1, false);
  const watched = peer.streams.get(1) ?? assert.fail();
  await peer.takeFrames();
  watched.stream.pause();
  const block = Buffer.alloc(50_000, 1);
  for (let index = 0; index < 4; index += 1) peer.writer.data(1, block, 0, block.length, false);
  peer.writer.headers(1, hpackEncode(["x-end", "yes"]), true, 16_384);
  peer.push();
  assert.deepEqual(
    [watched.body.length, (await peer.takeFrames()).filter((event) => event.startsWith("window 1"))],
    [0, []],
  );
  watched.stream.resume();
  assert.deepEqual([watched.body.length, watched.events.at(-1)], [200_000, "headers x-end yes end"]);
});

test("a paused stream joins small frames, so that a window of single bytes costs little more than one of large frames", () => {
  const peer = new Peer().greet().request(1, false);
  const { stream } = peer.streams.get(1) ?? assert.fail();
  stream.pause();
  let [pieces, bytes] = [0, 0];
  stream.handler = {
    headers: () => undefined,
    drained: () => undefined,
    aborted: () => undefined,
    data: (chunk) => {
      pieces += 1;
      bytes += chunk.length;
    },
  };
  const frames = 50_000;
  for (let sent = 0; sent < frames; sent += 1) peer.writer.data(1, Buffer.alloc(1), 0, 1, false);
  peer.push();
  stream.resume();
  assert.equal(bytes, frames);
  assert.ok(pieces < frames / 1000, `${pieces} pieces`);
});

test("streams beyond the limit are refused as unprocessed", async () => {
  const peer = new Peer(true, 2).greet().request(1).request(3).request(5);
  assert.ok((await peer.takeFrames()).includes("rst 5 REFUSED_STREAM"));
  assert.deepEqual([...peer.streams.keys()], [1, 3]);
});

test("a drain sends two GOAWAYs: the second, after a round trip, names the last stream, and the connection ends with that stream", async () => {
  const peer = new Peer().greet().request(1);
  await peer.takeFrames();
  peer.connection.drain();
  assert.deepEqual(await peer.takeFrames(), ["goaway all NO_ERROR", "ping"]);
  peer.request(3);
  peer.writer.ping(Buffer.from("goaway!!"), true);
  peer.push();
  assert.deepEqual(await peer.takeFrames(), ["goaway 3 NO_ERROR"]);
  peer.request(5);
  assert.deepEqual([...peer.streams.keys()], [1, 3]);
  for (const { stream } of peer.streams.values()) stream.sendHeaders([":status", "204"], true);
  await peer.takeFrames();
  assert.equal(peer.pipe.ended, true);
});

test("GOAWAY tells a client which of its streams were not processed", async () => {
  const peer = new Peer(false);
  const watched = [1, 2, 3].map(() => peer.watch(peer.connection.open()));
  for (const { stream } of watched)
    stream.sendHeaders([":method", "GET", ":scheme", "http", ":path", "/", ":authority", "a"], true);
  peer.writer.settings([]);
  peer.writer.goaway(3, errorCode.noError);
  peer.push();
  assert.deepEqual(
    watched.map((one) => one.events),
    [[], [], ["aborted by connection NO_ERROR unprocessed"]],
  );
  assert.deepEqual([peer.goaways, peer.connection.takesStream, peer.connection.closed], [1, false, false]);
  peer.writer.headers(1, hpackEncode([":status", "200"]), true, 16_384);
  peer.writer.headers(3, hpackEncode([":status", "200"]), true, 16_384);
  peer.push();
  await peer.takeFrames();
  assert.equal(peer.pipe.ended, true);
});

test("frames for a stream that this end has reset are dropped, and their window is returned", async () => {
  const peer = new Peer().greet().request(1, false);
  peer.streams.get(1)?.stream.reset(errorCode.cancel);
  const block = Buffer.alloc(http2Limits.maxFrameBytes);
  for (let sent = 0; sent < http2Limits.connectionWindowBytes; sent += block.length)
    peer.writer.data(1, block, 0, block.length, false);
  peer.writer.headers(1, hpackEncode(["x-end", "yes"]), true, 16_384);
  peer.writer.rstStream(1, errorCode.cancel);
  peer.writer.windowUpdate(1, 100);
  peer.push();
  const frames = await peer.takeFrames();
  assert.ok(
    frames.some((event) => event.startsWith("window 0")) && frames.every((event) => !event.startsWith("goaway")),
    frames.join(", "),
  );
});

test("a peer that only pings, or never reads our answers, is cut off", async () => {
  const flood = new Peer().greet();
  for (let index = 0; index <= http2Limits.maxIdleFramesPerSecond; index += 1)
    flood.writer.ping(Buffer.alloc(8), false);
  flood.push();
  assert.ok((await flood.takeFrames()).includes("goaway 0 ENHANCE_YOUR_CALM"));
  const deaf = new Peer(true, 1000).greet();
  await deaf.takeFrames();
  deaf.pipe.stuck = true;
  deaf.request(1, false);
  const watched = deaf.streams.get(1) ?? assert.fail();
  deaf.writer.windowUpdate(0, 2 ** 30);
  deaf.writer.windowUpdate(1, 2 ** 30);
  deaf.push();
  await turn();
  let written = 0;
  while (watched.stream.write(Buffer.alloc(16_384), false)) written += 16_384;
  assert.ok(written <= 2 * http2Limits.outputHighWaterBytes, `writers were told to wait after ${written} bytes`);
});

test("DATA of only padding, or for a stream that has ended, counts as a flood", async () => {
  for (const bytes of [frame(0, 8, 1, "00"), frame(0, 1, 3, "")]) {
    const flood = new Peer().greet().request(1, false).request(3, false);
    flood.streams.get(3)?.stream.reset(errorCode.cancel);
    flood.raw(bytes.repeat(http2Limits.maxIdleFramesPerSecond + 20));
    assert.ok((await flood.takeFrames()).includes("goaway 3 ENHANCE_YOUR_CALM"));
  }
});

test("after a connection breaks off, requests in the same bytes are not started", async () => {
  const peer = new Peer().greet().request(1);
  peer.writer.rstStream(1, errorCode.cancel);
  peer.writer.headers(
    3,
    hpackEncode([":method", "GET", ":scheme", "http", ":path", "/", ":authority", "a"]),
    true,
    16_384,
  );
  const { stream } = peer.streams.get(1) ?? assert.fail();
  const { handler } = stream;
  if (handler === undefined) assert.fail();
  stream.handler = {
    ...handler,
    aborted: () => peer.connection.fail(errorCode.enhanceYourCalm, "too many requests were taken back"),
  };
  peer.push();
  assert.ok((await peer.takeFrames()).includes("goaway 1 ENHANCE_YOUR_CALM"));
  assert.deepEqual([...peer.streams.keys()], [1]);
});

test("the remaining response must make progress, else its stream is reset", async () => {
  const peer = new Peer().greet([[setting.initialWindowSize, 10]]).request(1);
  const { stream } = peer.streams.get(1) ?? assert.fail();
  stream.write(Buffer.alloc(100), true);
  stream.leave();
  for (let second = 0; second <= http2Limits.flushTimeoutMs / 1000; second += 1) {
    assert.equal(stream.closed, false);
    peer.connection.sweep(0);
  }
  assert.ok((await peer.takeFrames()).includes("rst 1 CANCEL"));
  assert.equal(peer.connection.activeStreams, 0);
});

test("a connection that has ended waits for a peer that reads slowly, and for others only a moment", async () => {
  for (const [waits, cutOffMs] of [
    [false, http2Limits.closeGraceMs],
    [true, http2Limits.closeGraceMs + http2Limits.flushTimeoutMs],
  ] as const) {
    const clock = new HandClock();
    const peer = new Peer(true, 10, clock).greet().request(1);
    peer.connection.drain();
    peer.writer.ping(Buffer.from("goaway!!"), true);
    peer.push();
    await peer.takeFrames();
    if (waits) peer.pipe.bufferedBytes = 100;
    peer.streams.get(1)?.stream.sendHeaders([":status", "204"], true);
    await peer.takeFrames();
    assert.deepEqual([peer.pipe.ended, peer.pipe.destroyed], [true, false]);
    const { closeGraceMs } = http2Limits;
    for (let passedMs = closeGraceMs; passedMs < cutOffMs; passedMs += closeGraceMs) {
      clock.pass(closeGraceMs);
      assert.equal(peer.pipe.destroyed, false, `after ${passedMs} ms`);
    }
    clock.pass(closeGraceMs);
    assert.equal(peer.pipe.destroyed, true);
  }
});

test("an answer leaves although the client ends its direction in the same turn, and then the connection ends", async () => {
  const clock = new HandClock();
  const peer = new Peer(true, 10, clock).greet().request(1);
  await peer.takeFrames();
  peer.pipe.bufferedBytes = 100;
  peer.streams.get(1)?.stream.sendHeaders([":status", "200"], true);
  peer.pipe.handler?.end();
  assert.deepEqual(await peer.takeFrames(), ["headers 1 :status 200 end"]);
  clock.pass(http2Limits.closeGraceMs);
  assert.deepEqual([peer.pipe.ended, peer.pipe.destroyed], [true, false], "the client may still read");
  for (let passedMs = 0; passedMs <= http2Limits.flushTimeoutMs; passedMs += http2Limits.closeGraceMs)
    clock.pass(http2Limits.closeGraceMs);
  assert.equal(peer.pipe.destroyed, true);
});

test("a client that ends its direction and reads none of the last frames is cut off", async () => {
  const clock = new HandClock();
  const peer = new Peer(true, 10, clock).greet().request(1);
  await peer.takeFrames();
  peer.pipe.stuck = true;
  const stream = peer.streams.get(1)?.stream;
  stream?.sendHeaders([":status", "200"], false);
  await turn();
  stream?.write(Buffer.from("x"), true);
  peer.pipe.handler?.end();
  await turn();
  assert.deepEqual([peer.connection.activeStreams, peer.pipe.ended], [0, false], "frames still wait");
  clock.pass(http2Limits.flushTimeoutMs);
  assert.deepEqual([peer.pipe.destroyed, peer.closed], [true, 1]);
});

test("when the peer shrinks the HPACK table, the next header block announces our table as empty", async () => {
  const peer = new Peer().greet([[setting.headerTableSize, 0]]).request(1);
  await peer.takeFrames();
  peer.streams.get(1)?.stream.sendHeaders([":status", "204"], true);
  await turn();
  const bytes = Buffer.concat(peer.pipe.sent);
  assert.equal(bytes[9], 0x20);
});

test("bodies arrive whole however frames are cut, padded and mixed, through windows of any size", () => {
  const pieces = fc.array(
    fc.record({
      stream: fc.constantFrom(1, 3, 5),
      bytes: fc.uint8Array({ maxLength: 300 }),
      padding: fc.integer({ min: -1, max: 20 }),
    }),
    { maxLength: 40 },
  );
  fc.assert(
    fc.property(
      pieces,
      fc.array(fc.integer({ min: 1, max: 400 }), { maxLength: 20 }),
      fc.boolean(),
      (frames, cuts, pauses) => {
        const peer = new Peer().greet().request(1, false).request(3, false).request(5, false);
        const expected = new Map<number, Buffer[]>([
          [1, []],
          [3, []],
          [5, []],
        ]);
        if (pauses) peer.streams.get(3)?.stream.pause();
        for (const { stream, bytes, padding } of frames) {
          expected.get(stream)?.push(Buffer.from(bytes));
          if (padding < 0) peer.writer.data(stream, bytes, 0, bytes.length, false);
          else peer.writer.frame(0, 8, stream, Buffer.concat([Buffer.from([padding]), bytes, Buffer.alloc(padding)]));
        }
        for (const stream of expected.keys()) peer.writer.data(stream, Buffer.alloc(0), 0, 0, true);
        const all = Buffer.from(peer.writer.view());
        let at = 0;
        for (const cut of cuts) {
          peer.pipe.handler?.data(Buffer.from(all.subarray(at, at + cut)));
          at = Math.min(all.length, at + cut);
        }
        if (at < all.length) peer.pipe.handler?.data(all.subarray(at));
        peer.streams.get(3)?.stream.resume();
        for (const [stream, parts] of expected) {
          const watched = peer.streams.get(stream) ?? assert.fail();
          assert.deepEqual(watched.body, Buffer.concat(parts));
          assert.equal(watched.events.at(-1), "end");
        }
      },
    ),
    { numRuns: 60 },
  );
});

test("a client that opens many streams at once is served in turns, and input beyond the waiting streams is not read", async () => {
  const peer = new Peer(true, 1000).greet();
  const count = 5 * http2Limits.streamsPerTurn;
  const head = hpackEncode([":method", "GET", ":scheme", "http", ":path", "/", ":authority", "a"]);
  for (let index = 0; index < count; index += 1) peer.writer.headers(2 * index + 1, head, true, 16_384);
  peer.push();
  const states: [streams: number, isPaused: boolean][] = [];
  for (let turns = 0; turns < 5; turns += 1) {
    states.push([peer.streams.size / http2Limits.streamsPerTurn, peer.pipe.isPaused]);
    await turn();
  }
  assert.deepEqual(states, [
    [1, true],
    [2, true],
    [3, true],
    [4, true],
    [5, false],
  ]);
});

test("a client that wastes streams is not read until its next stream may open, however many turns pass", async () => {
  const clock = new HandClock();
  const peer = new Peer(true, 1000, clock).greet();
  const head = hpackEncode([":method", "GET", ":scheme", "http", ":path", "/", ":authority", "a"]);
  for (let index = 0; index < 100; index += 1) {
    peer.writer.headers(2 * index + 1, head, true, 16_384);
    peer.writer.rstStream(2 * index + 1, errorCode.cancel);
  }
  peer.push();
  for (let turns = 0; turns < 5; turns += 1) await turn();
  const atOnce = 20;
  const states: [streams: number, isPaused: boolean][] = [[peer.streams.size, peer.pipe.isPaused]];
  for (const waitMs of [1.9, 0.2, 2.2]) {
    clock.pass(waitMs);
    for (let turns = 0; turns < 5; turns += 1) await turn();
    states.push([peer.streams.size, peer.pipe.isPaused]);
  }
  assert.deepEqual(states, [
    [atOnce, true],
    [atOnce, true],
    [atOnce + 1, true],
    [atOnce + 2, true],
  ]);
  clock.pass(2000);
  while (peer.pipe.isPaused) {
    clock.pass(50);
    await turn();
  }
  assert.deepEqual([peer.streams.size, peer.connection.closed], [100, false]);
});

test("no further input is read from a peer that was cut off and continues to send", async () => {
  const peer = new Peer().greet();
  peer.raw(frame(0, 0, 0, "00"));
  assert.ok((await peer.takeFrames()).includes("goaway 0 PROTOCOL_ERROR"));
  const block = Buffer.alloc(http2Limits.maxDroppedBytes / 4);
  const results: boolean[] = [];
  for (let count = 0; count < 5; count += 1) {
    peer.pipe.handler?.data(block);
    results.push(peer.pipe.isPaused);
  }
  assert.deepEqual(results, [false, false, false, false, true]);
});

test("a request that waits for its upstream and gets invalid trailers is reset at once", async () => {
  const peer = new Peer().greet().request(1, false);
  const watched = peer.streams.get(1) ?? assert.fail();
  watched.stream.pause();
  peer.writer.data(1, Buffer.from("x"), 0, 1, false);
  peer.writer.headers(1, hpackEncode([":path", "/late"]), true, 16_384);
  peer.push();
  assert.ok((await peer.takeFrames()).includes("rst 1 PROTOCOL_ERROR"));
  assert.equal(watched.events.at(-1), "aborted by protocol PROTOCOL_ERROR");
});

test("a connection that ends while its input waits does not read the rest", async () => {
  const peer = new Peer(true, 1000).greet();
  const head = hpackEncode([":method", "GET", ":scheme", "http", ":path", "/", ":authority", "a"]);
  for (let index = 0; index < 100; index += 1) peer.writer.headers(2 * index + 1, head, true, 16_384);
  peer.push();
  peer.connection.destroy(new Error("gone"));
  await turn();
  await turn();
  assert.equal(peer.streams.size, http2Limits.streamsPerTurn);
});
