import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { setting } from "./constants.ts";
import { hpackEncode } from "./hpack-encoder.ts";
import { fuzzSession, playSession } from "./testing/session-fuzz.ts";
import { maxStreams, modelLimits, requestBlock, SessionModel, type Action } from "./testing/session-model.ts";

const largestIncrement = 2 ** 31 - 1;
const open = (id: number, end = false): Action => ({ does: "headers", id, block: requestBlock, end });
const frame = (type: number, flags: number, id: number, payload = Buffer.alloc(0)): Action => ({
  does: "frame",
  type,
  flags,
  id,
  payload,
});
const cancel = 8;

/** One round of each flood. `id` is the id of a new stream. */
const streamFloods: Readonly<Record<string, (id: number) => readonly Action[]>> = {
  "taken back at once": (id) => [open(id), { does: "reset", id, code: cancel }],
  "a WINDOW_UPDATE above the largest window": (id) => [open(id), { does: "window", id, by: largestIncrement }],
  "DATA after the end": (id) => [open(id, true), { does: "data", id, bytes: 1, end: false }],
  "HEADERS after the end": (id) => [open(id, true), open(id, true)],
  "trailers that are none": (id) => [open(id), open(id, true)],
  "DATA beyond its window": (id) => [open(id), { does: "data", id, bytes: 5000, end: false }],
  "a head that makes no request": (id) => [{ does: "headers", id, block: hpackEncode([":status", "200"]), end: true }],
};

const frameFloods: Readonly<Record<string, Action>> = {
  PING: { does: "ping", opaque: Buffer.alloc(8), ack: false },
  "answers to no PING": { does: "ping", opaque: Buffer.alloc(8), ack: true },
  SETTINGS: { does: "settings", values: [] },
  "SETTINGS that change windows": { does: "settings", values: [[setting.initialWindowSize, 10]] },
  GOAWAY: { does: "goaway", last: 0, code: 0 },
  PRIORITY: frame(2, 0, 1, Buffer.alloc(5)),
  "unknown frames": frame(0xbe, 0, 0),
  "empty DATA": { does: "data", id: 1, bytes: 0, end: false },
  "DATA that is all padding": frame(0, 8, 1, Buffer.from([0])),
  "small DATA for a stream that is gone": { does: "data", id: 3, bytes: 1, end: false },
  "WINDOW_UPDATE of the connection": { does: "window", id: 0, by: 1 },
  "WINDOW_UPDATE of a stream": { does: "window", id: 1, by: 1 },
  "RST_STREAM of a stream that is gone": { does: "reset", id: 3, code: cancel },
  "HEADERS of a stream that is gone": open(3),
};

function begun(): SessionModel {
  const model = new SessionModel();
  model.play(open(1));
  model.play(open(3));
  model.play({ does: "drop", id: 3, code: cancel });
  return model;
}

for (const [title, round] of Object.entries(streamFloods)) {
  test(`a peer's wasted streams end its connection: ${title}`, () => {
    const model = begun();
    let id = 5;
    for (; !model.session.over && id < 2000; id += 2) for (const action of round(id)) model.play(action);
    assert.match(model.sentFrames.at(-1) ?? "", /^goaway \d+ ENHANCE_YOUR_CALM: too many streams that were /);
    assert.equal(model.session.floodReason, title === "taken back at once" ? "resets" : "broken_streams");
    assert.ok(id <= 5 + 2 * modelLimits.wastedStreams, `after stream ${id}`);
    assert.deepEqual([model.finish(), model.session.activeStreams], [[], 0]);
  });

  test(`a peer whose streams are mostly served may waste some: ${title}`, () => {
    const model = begun();
    let id = 5;
    for (let count = 0; count < 100; count += 1) {
      for (let served = 0; served < 6; served += 1, id += 2) {
        model.play(open(id, true));
        model.play({ does: "answer", id, end: true });
      }
      for (const action of round(id)) model.play(action);
      id += 2;
      model.play({ does: "window", id: 0, by: 5000 });
    }
    assert.deepEqual([model.failure, model.finish()], [undefined, []]);
  });
}

test("a peer that opens many streams at once is served in turns", () => {
  const model = new SessionModel();
  model.play(...[1, 3, 5, 7, 9, 11, 13, 15].map((id) => open(id, true)));
  assert.deepEqual([model.session.activeStreams, model.turns], [8, 2]);
  assert.deepEqual(model.finish(), []);
});

for (const [title, round] of Object.entries(streamFloods)) {
  test(`a peer that wastes streams opens one at a time, each later than the one before: ${title}`, () => {
    const model = new SessionModel();
    model.play(...Array.from({ length: 200 }, (_, index) => round(2 * index + 1)).flat());
    assert.equal(model.session.over, true);
    // The reset of a stream that broke the protocol counts five times as much as a cancelled stream.
    const cost = title === "taken back at once" ? 1 : 5;
    const { wastedStreams, pausePerWastedStreamMs, streamsPerTurn } = modelLimits;
    const streams = wastedStreams / cost;
    assert.ok(model.turns >= streams * 0.9 - streamsPerTurn, `${model.turns} turns`);
    const waitsMs = ((streams * (streams - 1)) / 2) * cost * pausePerWastedStreamMs;
    assert.ok(model.waitedMs > 0.9 * waitsMs && model.waitedMs < 1.1 * waitsMs, `${model.waitedMs} of ${waitsMs} ms`);
    assert.deepEqual(model.finish(), []);
  });
}

const opens = (count: number, firstId: number): Action[] =>
  Array.from({ length: count }, (_, index) => open(firstId + 2 * index));
const settingsAck = frame(4, 1, 0);

test("a peer that knows the limit of streams and opens more waits longer each time, and loses its connection", () => {
  const model = new SessionModel();
  const { wastedStreams, pausePerWastedStreamMs } = modelLimits;
  model.play(settingsAck, ...opens(maxStreams, 1));
  model.play(...opens(2 * wastedStreams, 101));
  const refused = model.sentFrames.filter((text) => text.endsWith("REFUSED_STREAM"));
  assert.deepEqual([refused.length, model.session.floodReason], [wastedStreams, "refused_streams"]);
  const waitsMs = ((wastedStreams * (wastedStreams - 1)) / 2) * pausePerWastedStreamMs;
  assert.ok(model.waitedMs > 0.9 * waitsMs && model.waitedMs < 1.1 * waitsMs, `${model.waitedMs} of ${waitsMs} ms`);
  assert.deepEqual(model.finish(), []);
});

test("a peer that does not know the limit of streams may open twice as many once", () => {
  const model = new SessionModel();
  model.play(...opens(2 * maxStreams, 1));
  assert.deepEqual([model.session.activeStreams, model.waitedMs, model.failure], [maxStreams, 0, undefined]);
  model.play(...opens(2 * modelLimits.wastedStreams, 101));
  assert.equal(model.session.floodReason, "refused_streams");
  assert.deepEqual(model.finish(), []);
});

test("served streams make up for streams above the limit, which cross their answers", () => {
  const model = new SessionModel();
  model.play(settingsAck, ...opens(maxStreams - 1, 1));
  for (let id = 101; id < 1000; id += 4) {
    model.play(open(id, true), open(id + 2, true));
    model.play({ does: "answer", id, end: true });
  }
  assert.ok(model.sentFrames.filter((text) => text.endsWith("REFUSED_STREAM")).length > 2 * modelLimits.wastedStreams);
  assert.deepEqual([model.waitedMs, model.failure, model.finish()], [0, undefined, []]);
});

for (const [title, action] of Object.entries(frameFloods)) {
  test(`useless frames end the connection, unless they are slow: ${title}`, () => {
    const slow = begun();
    const { maxIdleFramesPerSecond: limit } = modelLimits;
    for (let second = 0; second < 4; second += 1) {
      for (let count = 0; count < limit - 10; count += 1) slow.play(action);
      slow.play({ does: "pass", ms: 1000 });
    }
    assert.deepEqual([slow.failure, slow.finish()], [undefined, []]);
    const flood = begun();
    for (let count = 0; count < limit + 30; count += 1) flood.play(action);
    assert.match(flood.sentFrames.at(-1) ?? "", /^goaway 3 ENHANCE_YOUR_CALM: too many frames that make no progress$/);
    assert.deepEqual([flood.session.floodReason, flood.finish()], ["idle_frames", []]);
  });
}

const windowFloods: Readonly<Record<string, { readonly before: readonly Action[]; readonly flood: Action }>> = {
  "of the connection, while a stream waits for its own window": {
    before: [{ does: "settings", values: [[setting.initialWindowSize, 0]] }, open(5)],
    flood: { does: "window", id: 0, by: 1 },
  },
  "of a stream, while it waits for the connection's window": {
    before: [{ does: "settings", values: [[setting.initialWindowSize, 100_000]] }, open(5)],
    flood: { does: "window", id: 5, by: 1 },
  },
  "of a stream whose window stays negative": {
    before: [
      open(5),
      { does: "write", id: 5, bytes: 60_000, end: false },
      { does: "settings", values: [[setting.initialWindowSize, 0]] },
    ],
    flood: { does: "window", id: 5, by: 1 },
  },
};

for (const [title, { before, flood }] of Object.entries(windowFloods)) {
  test(`a WINDOW_UPDATE that lets nothing be sent makes no progress: ${title}`, () => {
    const model = begun();
    for (const action of before) model.play(action);
    model.play({ does: "write", id: 5, bytes: 200_000, end: true });
    for (let count = 0; count < 3 * modelLimits.maxIdleFramesPerSecond; count += 1) model.play(flood);
    assert.deepEqual([model.session.floodReason, model.finish()], ["idle_frames", []]);
  });
}

test("a WINDOW_UPDATE of the connection looks only at streams that it may let send", () => {
  const model = new SessionModel();
  const ids = [1, 3, 5, 7, 9, 11, 13];
  model.play({ does: "settings", values: [[setting.initialWindowSize, 0]] });
  for (const id of ids) model.play(open(id), { does: "write", id, bytes: 10, end: true });
  for (const id of ids) model.play({ does: "write", id, bytes: 10, end: true });
  let looks = 0;
  for (const stream of model.session.streams) {
    let window = stream.sendWindow;
    Object.defineProperty(stream, "sendWindow", {
      get: () => {
        looks += 1;
        return window;
      },
      set: (value: number) => {
        window = value;
      },
    });
  }
  for (let count = 0; count < 20; count += 1) model.play({ does: "window", id: 0, by: 1 });
  assert.equal(looks, 0);
  // A stream is served when its own window opens.
  for (const id of ids) model.play({ does: "window", id, by: 10 });
  assert.deepEqual(
    [model.sentFrames.filter((text) => text.startsWith("data")).length, model.finish()],
    [ids.length, []],
  );
});

test("a stream that waited long for its answer, or has it, may be cancelled at any rate", () => {
  for (const answered of [true, false]) {
    const model = begun();
    for (let id = 5; id < 1000; id += 2) {
      model.play(open(id));
      model.play(answered ? { does: "answer", id, end: false } : { does: "pass", ms: modelLimits.prematureResetMs });
      model.play({ does: "ping", opaque: Buffer.alloc(8), ack: true });
      model.play({ does: "reset", id, code: cancel });
      if (id % 50 === 5) model.play({ does: "pass", ms: 1000 });
    }
    assert.equal(model.failure, undefined);
  }
});

test("an interim answer does not make a stream answered", () => {
  const model = new SessionModel();
  let id = 1;
  for (; !model.session.over && id < 2000; id += 2) {
    model.play(open(id));
    for (const stream of model.session.streams) model.session.sendHeaders(stream, [":status", "100"], false);
    model.play({ does: "reset", id, code: cancel });
  }
  assert.equal(model.session.floodReason, "resets");
});

test("before the next header block, the encoder announces once that it no longer uses a table that the decoder has shrunk", () => {
  const model = begun();
  const heads: Buffer[] = [];
  const writer = model.output();
  const put = writer.headers.bind(writer);
  writer.headers = (id, block, end, size) => {
    heads.push(Buffer.from(block));
    put(id, block, end, size);
  };
  model.play({ does: "settings", values: [[setting.headerTableSize, 100]] });
  model.play(open(5));
  model.play({ does: "answer", id: 1, end: false });
  model.play({ does: "answer", id: 5, end: false });
  assert.deepEqual([heads.map((block) => block[0]), model.finish()], [[0x20, 0x88], []]);
});

test("a server drains in two steps even after its client's GOAWAY", () => {
  const model = begun();
  model.play({ does: "goaway", last: 0, code: 0 });
  model.sentFrames.length = 0;
  model.play({ does: "drain" });
  assert.deepEqual(model.sentFrames, ["goaway 2147483647 NO_ERROR", "ping goaway!!"]);
  model.play({ does: "ping", opaque: Buffer.from("goaway!!"), ack: true });
  assert.equal(model.sentFrames.at(-1), "goaway 3 NO_ERROR");
  model.play({ does: "write", id: 1, bytes: 5, end: true });
  model.play({ does: "data", id: 1, bytes: 0, end: true });
  assert.deepEqual([model.session.over, model.finish()], [true, []]);
});

test("buffered data beyond the bound shrinks the connection's window until it is read", () => {
  const model = new SessionModel();
  const ids = [1, 3, 5, 7, 9, 11, 13];
  for (const id of ids) {
    model.play(open(id));
    model.play({ does: "pause", id });
    model.play({ does: "data", id, bytes: modelLimits.streamWindowBytes, end: false });
  }
  model.play({ does: "drop", id: 1, code: cancel });
  model.sentFrames.length = 0;
  // DATA for a stream that has ended. What the other streams hold back exceeds the bound by twice its window.
  for (const bytes of [10_000, 10_000]) model.play({ does: "data", id: 1, bytes, end: false });
  assert.deepEqual(
    model.sentFrames.filter((event) => event.startsWith("window 0")),
    [],
  );
  for (const id of ids) model.play({ does: "resume", id });
  const given = model.sentFrames
    .filter((event) => event.startsWith("window 0"))
    .map((event) => Number(event.split(" ")[2]));
  assert.equal(given.length, 1);
  assert.ok((given[0] ?? 0) >= modelLimits.connectionWindowBytes / modelLimits.creditParts, `${given[0]} bytes`);
  assert.deepEqual(model.finish(), []);
});

test("a quiet peer gets a PING, and is dropped without an answer", () => {
  const model = new SessionModel();
  model.play({ does: "pass", ms: 9999 });
  assert.deepEqual(model.sentFrames.splice(0), [`window 0 ${modelLimits.connectionWindowBytes - 65_535}`]);
  model.play({ does: "pass", ms: 1 });
  assert.deepEqual(model.sentFrames.splice(0), ["ping alive???"]);
  model.play({ does: "ping", opaque: Buffer.from("alive???"), ack: true });
  model.play({ does: "pass", ms: 20_000 });
  assert.deepEqual([model.sentFrames.splice(0), model.session.over], [["ping alive???"], false]);
  model.play({ does: "pass", ms: 20_000 });
  assert.equal(model.session.over, true);
});

test("the session's output does not depend on how the peer's bytes are split", () => {
  fc.assert(
    fc.property(fc.nat(), fc.integer({ min: 1, max: 40 }), (seed, pieceBytes) => {
      // WINDOW_UPDATE frames do not count: the session sends one after the piece with which it has read enough, and the
      // pieces differ.
      const outputOf = (bytes: number): string[] =>
        playSession(seed, bytes).sentFrames.filter((event) => !event.startsWith("window"));
      const [cut, uncut] = [outputOf(pieceBytes), outputOf(Infinity)];
      // The number of bytes beyond a window that are still accepted does depend on the pieces.
      fc.pre(![...cut, ...uncut].some((event) => event.endsWith("FLOW_CONTROL_ERROR")));
      assert.deepEqual(cut, uncut);
    }),
    { numRuns: 200 },
  );
});

test("the rules of a session hold for any frames in any order", () => {
  const { runs, endings } = fuzzSession({ seed: 1, runs: 1500 });
  assert.equal(runs, 1500);
  assert.ok((endings.get("alive") ?? 0) > 100 && endings.size > 4, [...endings.keys()].join(", "));
});
