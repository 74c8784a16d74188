import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { clientPreface, errorCode, frameType, Http2ConnectionError } from "./constants.ts";
import { FrameReader, type FrameHandler } from "./frame-reader.ts";
import { FrameWriter } from "./frame-writer.ts";
import { hpackEncode } from "./hpack-encoder.ts";

type Event = readonly (string | number | boolean)[];

/** Records the reader's events as text. The boundaries of pieces do not matter, so it joins the DATA of one stream. */
class Recorder implements FrameHandler {
  readonly events: Event[] = [];

  data(streamId: number, chunk: Buffer, endStream: boolean): void {
    const last = this.events.at(-1);
    if (last?.[0] === "data" && last[1] === streamId && last[3] === false) {
      this.events.pop();
      this.events.push(["data", streamId, `${last[2]}${chunk.toString("hex")}`, endStream]);
    } else this.events.push(["data", streamId, chunk.toString("hex"), endStream]);
  }
  padding(streamId: number, length: number): void {
    if (length > 0) this.events.push(["padding", streamId, length]);
  }
  headers(streamId: number, fields: string[], endStream: boolean): void {
    this.events.push(["headers", streamId, fields.join("|"), endStream]);
  }
  rstStream(streamId: number, code: number): void {
    this.events.push(["rst", streamId, code]);
  }
  settings(values: ReadonlyMap<number, number>): void {
    this.events.push(["settings", [...values].join(";")]);
  }
  settingsAck(): void {
    this.events.push(["settings ack"]);
  }
  ping(opaque: Buffer): void {
    this.events.push(["ping", opaque.toString("hex")]);
  }
  pingAck(opaque: Buffer): void {
    this.events.push(["pong", opaque.toString("hex")]);
  }
  goaway(lastStreamId: number, code: number, debug: string): void {
    this.events.push(["goaway", lastStreamId, code, debug]);
  }
  windowUpdate(streamId: number, increment: number): void {
    this.events.push(["window", streamId, increment]);
  }
}

function read(bytes: Buffer, cuts: readonly number[]): readonly Event[] {
  const recorder = new Recorder();
  const reader = new FrameReader(recorder, { maxFrameSize: 1_048_576, expectPreface: true });
  let at = 0;
  for (const cut of [...cuts].sort((a, b) => a - b)) {
    if (cut <= at || cut >= bytes.length) continue;
    reader.push(bytes.subarray(at, cut));
    at = cut;
  }
  reader.push(bytes.subarray(at));
  return recorder.events;
}

function session(): { readonly bytes: Buffer; readonly events: readonly Event[] } {
  const writer = new FrameWriter();
  const opaque = Buffer.from("0102030405060708", "hex");
  writer.preface();
  writer.settings([
    [4, 4_194_304],
    [5, 1_048_576],
  ]);
  writer.settingsAck();
  writer.windowUpdate(0, 1000);
  const fields = [":method", "CONNECT", ":authority", "10.0.0.1:80", "baggage", "k".repeat(200)];
  writer.headers(1, hpackEncode(fields), false, 64);
  writer.data(1, Buffer.alloc(40_000, 7), 0, 40_000, false);
  writer.ping(opaque, false);
  writer.ping(opaque, true);
  // A padded DATA frame: 3 bytes, 2 of padding, with END_STREAM.
  writer.frame(0, 0x9, 1, Buffer.from([2, 1, 2, 3, 0, 0]));
  writer.frame(0x77, 0, 0, Buffer.from("unknown"));
  writer.rstStream(3, 8);
  writer.goaway(1, 0, "bye");
  return {
    bytes: Buffer.from(writer.view()),
    events: [
      ["settings", "4,4194304;5,1048576"],
      ["settings ack"],
      ["window", 0, 1000],
      ["headers", 1, fields.join("|"), false],
      ["data", 1, "07".repeat(40_000), false],
      ["ping", "0102030405060708"],
      ["pong", "0102030405060708"],
      ["padding", 1, 1],
      ["data", 1, "010203", false],
      ["padding", 1, 2],
      ["data", 1, "", true],
      ["rst", 3, 8],
      ["goaway", 1, 0, "bye"],
    ],
  };
}

test("frames survive a round trip, however the bytes are split", () => {
  const { bytes, events } = session();
  const squash = (list: readonly Event[]) => {
    const out: Event[] = [];
    for (const event of list) {
      const last = out.at(-1);
      if (event[0] === "padding" && last?.[0] === "padding")
        out.splice(-1, 1, ["padding", event[1] ?? 0, Number(last[2]) + Number(event[2])]);
      else out.push(event);
    }
    return out;
  };
  assert.deepEqual(read(bytes, []), events);
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: bytes.length }), { maxLength: 30 }), (cuts) => {
      assert.deepEqual(squash(read(bytes, cuts)), events);
    }),
    { numRuns: 60 },
  );
  const edges = Array.from({ length: 500 }, (_, index) => index);
  assert.deepEqual(squash(read(bytes, [...edges, ...edges.map((edge) => bytes.length - edge)])), events);
});

test("a DATA frame written in pieces equals one written at once", () => {
  const [pieces, single] = [new FrameWriter(), new FrameWriter()];
  const bytes = Buffer.from("all of it");
  pieces.dataHead(3, bytes.length, true);
  pieces.raw(bytes.subarray(0, 4));
  pieces.raw(bytes.subarray(4));
  single.data(3, bytes, 0, bytes.length, true);
  assert.deepEqual(pieces.view(), single.view());
});

test("random bytes are frames or a connection error", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
      const first = new FrameWriter();
      first.settings([]);
      const reader = new FrameReader(new Recorder(), { maxFrameSize: 16_384, expectPreface: false });
      try {
        reader.push(Buffer.concat([first.view(), bytes]));
      } catch (error) {
        assert.ok(error instanceof Http2ConnectionError, String(error));
      }
    }),
    { numRuns: 500 },
  );
});

test("protocol violations end with the code of RFC 9113", () => {
  const code = (build: (writer: FrameWriter) => void, settings = true) => {
    const writer = new FrameWriter();
    if (settings) writer.settings([]);
    build(writer);
    try {
      new FrameReader(new Recorder(), { maxFrameSize: 16_384, expectPreface: false }).push(writer.view());
    } catch (error) {
      return error instanceof Http2ConnectionError ? error.code : error;
    }
    return undefined;
  };
  assert.equal(
    code((writer) => writer.windowUpdate(0, 1), false),
    errorCode.protocolError,
  );
  assert.equal(
    code((writer) => writer.windowUpdate(0, 0)),
    errorCode.protocolError,
  );
  assert.equal(
    code((writer) => writer.data(0, Buffer.alloc(1), 0, 1, false)),
    errorCode.protocolError,
  );
  assert.equal(
    code((writer) => writer.data(1, Buffer.alloc(16_385), 0, 16_385, false)),
    errorCode.frameSizeError,
  );
  assert.equal(
    code((writer) => writer.frame(6, 0, 0, Buffer.alloc(7))),
    errorCode.frameSizeError,
  );
  assert.equal(
    code((writer) => writer.frame(4, 0, 0, Buffer.alloc(5))),
    errorCode.frameSizeError,
  );
  assert.equal(
    code((writer) => writer.settings([[4, 2 ** 31]])),
    errorCode.flowControlError,
  );
  assert.equal(
    code((writer) => writer.frame(9, 4, 1, Buffer.alloc(1))),
    errorCode.protocolError,
  );
  assert.equal(
    code((writer) => writer.frame(5, 4, 1, Buffer.alloc(4))),
    errorCode.protocolError,
  );
  const interrupted = (writer: FrameWriter) => {
    writer.frame(1, 0, 1, Buffer.from([0x88]));
    writer.ping(Buffer.alloc(8), false);
  };
  assert.equal(code(interrupted), errorCode.protocolError);
  const reader = new FrameReader(new Recorder(), { maxFrameSize: 16_384, expectPreface: true });
  assert.throws(() => reader.push(Buffer.from("GET / HTTP/1.1\r\n")), /does not speak HTTP\/2/);
  assert.equal(clientPreface.length, 24);
});

test("an endless header block is refused before it is collected", () => {
  const writer = new FrameWriter();
  writer.settings([]);
  writer.frame(1, 0, 1, Buffer.alloc(10_000));
  for (let count = 0; count < 10; count += 1) writer.frame(9, 0, 1, Buffer.alloc(10_000));
  const reader = new FrameReader(new Recorder(), { maxFrameSize: 16_384, expectPreface: false });
  assert.throws(() => reader.push(writer.view()), /larger than 65536/);
});

test("a message of an open stream and the window for it cost one view of the received bytes", () => {
  const writer = new FrameWriter();
  writer.settings([]);
  for (const streamId of [1, 3]) {
    writer.data(streamId, Buffer.from("message"), 0, 7, false);
    writer.windowUpdate(streamId, 0x0102_0304);
  }
  const bytes = Buffer.from(writer.view());
  const recorder = new Recorder();
  const reader = new FrameReader(recorder, { maxFrameSize: 16_384, expectPreface: false });
  const lengths: number[] = [];
  const view = bytes.subarray.bind(bytes);
  bytes.subarray = (start, end) => {
    const made = view(start, end);
    lengths.push(made.length);
    return made;
  };
  reader.push(bytes);
  assert.deepEqual(lengths, [0, 7, 7], "the SETTINGS, and each message");
  assert.deepEqual(
    recorder.events.filter(([type]) => type === "window"),
    [
      ["window", 1, 0x0102_0304],
      ["window", 3, 0x0102_0304],
    ],
  );
});

test("a WINDOW_UPDATE of another size than 4 is an error of frame sizes, and its reserved bit does not count", () => {
  const update = (payload: Buffer): Event[] => {
    const recorder = new Recorder();
    const writer = new FrameWriter();
    writer.settings([]);
    writer.frame(frameType.windowUpdate, 0, 5, payload);
    new FrameReader(recorder, { maxFrameSize: 16_384, expectPreface: false }).push(Buffer.from(writer.view()));
    return recorder.events.slice(1);
  };
  for (const length of [0, 3, 5, 8])
    assert.throws(
      () => update(Buffer.alloc(length, 1)),
      (error) => error instanceof Http2ConnectionError && error.code === errorCode.frameSizeError,
    );
  assert.deepEqual(update(Buffer.from([0xff, 0xff, 0xff, 0xff])), [["window", 5, 0x7fff_ffff]]);
  assert.throws(() => update(Buffer.from([0x80, 0, 0, 0])), /WINDOW_UPDATE by 0/);
});
