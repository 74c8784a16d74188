import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock, type Clock } from "../../base/index.ts";
import type { ByteStream, ByteStreamHandler, SecureStream } from "../../net/index.ts";
import { MetricsRegistry, renderPrometheus } from "../../telemetry/index.ts";
import {
  errorCode,
  errorCodeName,
  FrameReader,
  FrameWriter,
  hpackEncode,
  setting,
  type FrameHandler,
} from "../../wire/http2/index.ts";
import { hboneCutOffs } from "./hbone-metrics.ts";
import { serveHbone } from "./hbone-server.ts";
import type { HboneRequest } from "./hbone-types.ts";
import { hboneLimits } from "./limits.ts";

const { maxIdleFramesPerSecond: limit } = hboneLimits;
const longestPauseMs = hboneLimits.wastedStreams * hboneLimits.pausePerWastedStreamMs;
const noBytes = Buffer.alloc(0);
const connect = hpackEncode([":method", "CONNECT", ":authority", "10.0.0.1:80"]);
const padded = 8;
const priorityType = 2;
const continuationType = 9;

/** A server, and its client, which the test plays frame by frame. */
class Flooder implements FrameHandler {
  readonly writer = new FrameWriter();
  readonly requests: HboneRequest[] = [];
  readonly withdrawn = new Set<HboneRequest>();
  readonly reasons: string[] = [];
  readonly sentFrames: string[] = [];
  nowMs = 0;
  /** Whether written bytes wait, as with a peer that does not read. */
  stuck = false;
  ended = false;
  paused = false;
  /** The number of bytes of DATA from the server. */
  received = 0;
  #handler: ByteStreamHandler | undefined;
  #buffered = 0;

  constructor(answer: (request: HboneRequest) => void = () => undefined) {
    const reader = new FrameReader(this, { maxFrameSize: hboneLimits.maxFrameBytes, expectPreface: false });
    const address = { address: "127.0.0.1", port: 1 };
    const bufferedBytes = (): number => this.#buffered;
    const stream: SecureStream = {
      local: address,
      remote: address,
      fd: -1,
      receivedBytes: 0,
      sentBytes: 0,
      get bufferedBytes() {
        return bufferedBytes();
      },
      peerIdentity: "spiffe://cluster.local/ns/default/sa/flooder",
      alpnProtocol: "h2",
      peerCertificate: undefined,
      peerVerified: true,
      tlsVersion: "TLSv1.3",
      cipher: "",
      setHandler: (handler) => (this.#handler = handler),
      write: (bytes) => {
        if (this.stuck) this.#buffered += bytes.length;
        else reader.push(Buffer.from(bytes));
        return !this.stuck;
      },
      end: () => (this.ended = true),
      destroy: () => (this.ended = true),
      pause: () => (this.paused = true),
      resume: () => (this.paused = false),
    };
    const clock: Clock = {
      ...systemClock,
      steadyMs: () => this.nowMs,
      after: (ms, run) => {
        // Short waits are the pauses between the streams of a client that wastes streams.
        if (ms <= longestPauseMs)
          setImmediate(() => {
            this.nowMs += ms;
            run();
          });
        return { [Symbol.dispose]: () => undefined };
      },
    };
    const onConnect = (request: HboneRequest): void => {
      this.requests.push(request);
      answer(request);
    };
    serveHbone(stream, { onConnect, onCutOff: (reason) => this.reasons.push(reason), clock });
    this.writer.preface();
    this.writer.settings([]);
    this.send();
  }

  send(): this {
    const bytes = Buffer.from(this.writer.view());
    this.writer.reuse();
    this.#handler?.data(bytes);
    return this;
  }

  /** Resolves with the number of turns after which the server has read everything. */
  async read(): Promise<number> {
    this.send();
    let turns = 0;
    for (; this.paused && !this.ended; turns += 1) await new Promise((resolve) => setImmediate(resolve));
    return turns;
  }

  open(id: number): this {
    this.writer.headers(id, connect, false, 16_384);
    return this;
  }

  /** The GOAWAY with which the server ended the connection. It is undefined while the connection is open. */
  get verdict(): string | undefined {
    return this.sentFrames.find((event) => event.startsWith("goaway"));
  }

  data(_streamId: number, chunk: Buffer): void {
    this.received += chunk.length;
  }
  padding(): void {}
  headers(streamId: number, fields: string[]): void {
    this.sentFrames.push(`headers ${streamId} ${fields.join(" ")}`);
  }
  rstStream(streamId: number, code: number): void {
    this.sentFrames.push(`rst ${streamId} ${errorCodeName(code)}`);
  }
  settings(): void {}
  settingsAck(): void {}
  ping(): void {}
  pingAck(): void {}
  goaway(_lastStreamId: number, code: number): void {
    this.sentFrames.push(`goaway ${errorCodeName(code)}`);
  }
  windowUpdate(): void {}
}

const floods: Readonly<Record<string, (writer: FrameWriter, index: number) => void>> = {
  PING: (writer) => writer.ping(Buffer.alloc(8), false),
  "answers to PINGs that nobody sent": (writer) => writer.ping(Buffer.alloc(8), true),
  SETTINGS: (writer) => writer.settings([[setting.initialWindowSize, 65_535]]),
  "acknowledged SETTINGS": (writer) => writer.settingsAck(),
  PRIORITY: (writer) => writer.frame(priorityType, 0, 1, Buffer.alloc(5)),
  "frames of an unknown type": (writer) => writer.frame(0xbe, 0, 0, noBytes),
  "empty DATA": (writer) => writer.data(1, noBytes, 0, 0, false),
  "empty DATA that ends a stream which is gone": (writer) => writer.data(3, noBytes, 0, 0, true),
  "DATA that is all padding": (writer) => writer.frame(0, padded, 1, Buffer.from([0])),
  "WINDOW_UPDATE of the connection": (writer) => writer.windowUpdate(0, 1),
  "WINDOW_UPDATE of a tunnel": (writer) => writer.windowUpdate(1, 1),
  "RST_STREAM of a stream that is gone": (writer) => writer.rstStream(3, errorCode.cancel),
  "trailers without end": (writer) => writer.headers(1, connect, false, 16_384),
  "HEADERS of a stream that is gone": (writer) => writer.headers(3, connect, false, 16_384),
  GOAWAY: (writer) => writer.goaway(0, errorCode.noError),
};

/** A flooder with an open tunnel (stream 1) and an ended one (stream 3). */
function withTunnel(): Flooder {
  const flooder = new Flooder((request) => void request.accept()).open(1).open(3);
  flooder.writer.rstStream(3, errorCode.cancel);
  return flooder.send();
}

for (const [title, frame] of Object.entries(floods)) {
  test(`a peer whose frames do not advance a tunnel is cut off by ENHANCE_YOUR_CALM, but not a slow one: ${title}`, () => {
    const slow = withTunnel();
    for (let second = 1; second <= 3; second += 1) {
      slow.nowMs = second * 1_000;
      for (let index = 0; index < limit - 10; index += 1) frame(slow.writer, index);
      slow.send();
    }
    assert.deepEqual([slow.verdict, slow.reasons], [undefined, []]);
    const flooder = withTunnel();
    for (let index = 0; index < limit + 20; index += 1) frame(flooder.writer, index);
    flooder.send();
    assert.deepEqual(
      [flooder.verdict, flooder.reasons, flooder.ended],
      ["goaway ENHANCE_YOUR_CALM", ["idle_frames"], true],
    );
  });
}

test("WINDOW_UPDATEs in proportion to a tunnel's sent bytes do not count as a flood", async () => {
  let tunnel: ByteStream | undefined;
  const flooder = new Flooder((request) => (tunnel = request.accept())).open(1).send();
  const block = Buffer.alloc(65_536);
  const updateBytes = 4_096;
  let updates = 0;
  while (updates < 4 * limit) {
    tunnel?.write(block);
    await new Promise((resolve) => setImmediate(resolve));
    // Return the whole window in small steps, for the stream and for the connection.
    for (; (updates + 2) * (updateBytes / 2) <= flooder.received; updates += 2) {
      flooder.writer.windowUpdate(0, updateBytes);
      flooder.writer.windowUpdate(1, updateBytes);
    }
    flooder.send();
  }
  assert.deepEqual([flooder.verdict, flooder.reasons], [undefined, []]);
});

test("a tunnel whose reader pauses joins small frames, so that single bytes do not fill the memory", () => {
  let tunnel: ByteStream | undefined;
  const flooder = new Flooder((request) => (tunnel = request.accept())).open(1).send();
  let [pieces, bytes] = [0, 0];
  tunnel?.setHandler({
    data: (chunk) => {
      pieces += 1;
      bytes += chunk.length;
    },
    end: () => undefined,
    drain: () => undefined,
    close: () => undefined,
  });
  const frames = 50_000;
  for (let sent = 0; sent < frames; sent += 1) flooder.writer.data(1, Buffer.alloc(1), 0, 1, false);
  flooder.send();
  tunnel?.resume();
  assert.equal(bytes, frames);
  assert.ok(pieces < frames / 1000, `${pieces} pieces`);
});

test("a client that cancels most requests at once is disconnected, and its later bytes are ignored", async () => {
  const { wastedStreams } = hboneLimits;
  const flooder = new Flooder();
  for (let index = 0; index < 2 * wastedStreams; index += 1) {
    flooder.open(index * 2 + 1);
    flooder.writer.rstStream(index * 2 + 1, errorCode.cancel);
  }
  await flooder.read();
  assert.deepEqual([flooder.verdict, flooder.reasons], ["goaway ENHANCE_YOUR_CALM", ["resets"]]);
  assert.equal(flooder.requests.length, wastedStreams);
});

const breaches: Readonly<Record<string, (writer: FrameWriter, id: number) => void>> = {
  "WINDOW_UPDATE above the largest window": (writer, id) => writer.windowUpdate(id, 2 ** 31 - 1),
  "DATA after the end": (writer, id) => {
    writer.data(id, noBytes, 0, 0, true);
    writer.data(id, Buffer.from("x"), 0, 1, false);
  },
  "HEADERS after the end": (writer, id) => {
    writer.data(id, noBytes, 0, 0, true);
    writer.headers(id, connect, true, 16_384);
  },
};

for (const [title, breach] of Object.entries(breaches)) {
  test(`a client that provokes resets of its tunnels is cut off, and their requests are cancelled: ${title}`, async () => {
    const flooder = new Flooder();
    for (let index = 0; index < hboneLimits.wastedStreams; index += 1) {
      flooder.open(index * 2 + 1);
      breach(flooder.writer, index * 2 + 1);
    }
    await flooder.read();
    assert.deepEqual([flooder.verdict, flooder.reasons], ["goaway ENHANCE_YOUR_CALM", ["broken_streams"]]);
    assert.ok(flooder.requests.length <= hboneLimits.wastedStreams / 5, `${flooder.requests.length} requests`);
    assert.ok(flooder.requests.every((request) => flooder.withdrawn.has(request) || flooder.ended));
  });
}

const malformed: Readonly<Record<string, readonly string[]>> = {
  "a header of an HTTP/1.1 connection": ["connection", "close"],
  "a header name in upper case": ["Baggage", "a=b"],
  "a pseudo header that comes twice": [":authority", "10.0.0.2:80"],
  "an unknown pseudo header": [":protocol", "websocket"],
  "a line break in a value": ["baggage", "a=b\r\nc: d"],
};

for (const [title, fields] of Object.entries(malformed)) {
  test(`a malformed CONNECT is reset, opens no tunnel, and a flood of them is cut off: ${title}`, async () => {
    const flooder = new Flooder();
    const head = hpackEncode([":method", "CONNECT", ":authority", "10.0.0.1:80", ...fields]);
    flooder.writer.headers(1, head, true, 16_384);
    flooder.send();
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual([flooder.sentFrames.at(-1), flooder.verdict], ["rst 1 PROTOCOL_ERROR", undefined]);
    for (let id = 3; id < 2 * hboneLimits.wastedStreams; id += 2) flooder.writer.headers(id, head, true, 16_384);
    await flooder.read();
    assert.deepEqual([flooder.verdict, flooder.reasons], ["goaway ENHANCE_YOUR_CALM", ["broken_streams"]]);
    assert.equal(flooder.requests.length, 0);
  });
}

test("a tunnel that was used for a long time does not count as wasted, so a few broken ones in between are allowed", () => {
  const flooder = new Flooder((request) => request.reject(503));
  for (let id = 1; id < 20 * hboneLimits.wastedStreams; id += 2) {
    flooder.open(id);
    if (id % 21 === 0) flooder.writer.windowUpdate(id, 2 ** 31 - 1);
    flooder.send();
  }
  assert.deepEqual([flooder.verdict, flooder.reasons], [undefined, []]);
});

test("tunnels that were answered, or that waited for a long time, may be reset at any rate", () => {
  const answered = new Flooder((request) => void request.accept());
  const patient = new Flooder();
  for (let id = 1; id < 4 * hboneLimits.wastedStreams; id += 2) {
    answered.open(id).writer.rstStream(id, errorCode.cancel);
    answered.send();
    patient.open(id).send();
    patient.nowMs += hboneLimits.prematureResetMs;
    patient.writer.rstStream(id, errorCode.cancel);
    patient.send();
  }
  assert.deepEqual([answered.reasons, patient.reasons], [[], []]);
});

test("streams above a connection's limit are refused, and a flood of them is cut off", async () => {
  const flooder = new Flooder();
  for (let index = 0; index < hboneLimits.acceptedStreams; index += 1) flooder.open(index * 2 + 1);
  const turns = await flooder.read();
  assert.equal(turns, Math.floor((hboneLimits.acceptedStreams - 1) / hboneLimits.streamsPerTurn));
  const ids = Array.from({ length: 10 * limit }, (_, index) => (hboneLimits.acceptedStreams + index) * 2 + 1);
  for (const id of ids) flooder.open(id);
  // If all were refused in one turn, other connections would have to wait.
  const refusals = await flooder.read();
  assert.ok(refusals >= limit / hboneLimits.streamsPerTurn, `${refusals} turns`);
  assert.equal(flooder.requests.length, hboneLimits.acceptedStreams);
  assert.deepEqual(flooder.reasons, ["refused_streams"]);
});

test("an endless header block in CONTINUATION frames of any size is cut off", () => {
  for (const size of [0, 1, 10_000]) {
    const flooder = new Flooder();
    flooder.writer.frame(1, 0, 1, connect);
    for (let index = 0; index < 100; index += 1) flooder.writer.frame(continuationType, 0, 1, Buffer.alloc(size, 0x20));
    flooder.send();
    assert.deepEqual(
      [flooder.verdict, flooder.reasons],
      ["goaway ENHANCE_YOUR_CALM", ["header_block"]],
      `${size} bytes each`,
    );
  }
});

test("a peer that lets answers pile up is cut off", async () => {
  const flooder = new Flooder((request) => request.reject(401, [["x-long", "x".repeat(4_000)]]));
  await new Promise((resolve) => setImmediate(resolve));
  flooder.stuck = true;
  for (let id = 1; flooder.reasons.length === 0 && id < 20_000; id += 2) {
    flooder.open(id).send();
    if (id === 1) await new Promise((resolve) => setImmediate(resolve));
  }
  assert.deepEqual([flooder.reasons, flooder.ended], [["unread_answers"], true]);
});

test("no further input is read from a peer that was cut off and continues to send", () => {
  const flooder = new Flooder();
  flooder.writer.windowUpdate(0, 2 ** 31 - 1);
  flooder.send();
  assert.deepEqual([flooder.ended, flooder.paused], [true, false]);
  for (let bytes = 0; bytes <= hboneLimits.maxDroppedBytes; bytes += 16_384) {
    assert.equal(flooder.paused, false);
    flooder.writer.raw(Buffer.alloc(16_384));
    flooder.send();
  }
  assert.equal(flooder.paused, true);
});

test("data beyond the connection's window ends it, which bounds the memory of many paused tunnels", () => {
  const flooder = new Flooder((request) => void request.accept());
  const block = Buffer.alloc(hboneLimits.maxFrameBytes);
  const tunnels = hboneLimits.maxQueuedBytes / hboneLimits.streamWindowBytes + 8;
  for (let id = 1; id <= 2 * tunnels; id += 2) {
    flooder.open(id);
    for (let sent = 0; sent < hboneLimits.streamWindowBytes; sent += block.length)
      flooder.writer.data(id, block, 0, block.length, false);
    flooder.send();
  }
  assert.equal(flooder.verdict, "goaway FLOW_CONTROL_ERROR");
  assert.deepEqual(flooder.reasons, []);
});

test("each cut-off is counted by its reason", () => {
  const registry = new MetricsRegistry();
  const count = hboneCutOffs(registry);
  count("resets");
  count("resets");
  count("idle_frames");
  const text = renderPrometheus(registry);
  assert.match(text, /serin_hbone_cut_off_total\{reason="resets"\} 2/);
  assert.match(text, /serin_hbone_cut_off_total\{reason="idle_frames"\} 1/);
});
