import assert from "node:assert/strict";
import { test } from "node:test";
import { applyLiveMessage, type LiveMessage, type View } from "../../../api/dashboard/index.ts";
import { silentLogger, systemClock, type Clock } from "../../../base/index.ts";
import { HandClock } from "../../../base/testing/index.ts";
import { limits } from "../limits.ts";
import type { ViewReader, ViewSink, ViewSource } from "../view-source.ts";
import { diffViews } from "./diff-views.ts";
import { LiveHub } from "./live-hub.ts";
import { LivePage, type PageStream } from "./live-page.ts";
import { parseTopic } from "./parse-topic.ts";

const view = (rows: Readonly<Record<string, object>>, atMs = 1): View => ({
  head: { atMs, sources: [] },
  tables: { rows },
});
const reader = (key: string): ViewReader => ({
  key,
  namespaces: "*",
  hiddenKinds: new Set(),
  may: async () => await Promise.resolve(true),
});
const settled = async (): Promise<void> => await new Promise((resolve) => setImmediate(resolve));

/** A source that sends the views that the test gives it. */
class HandSource implements ViewSource {
  readonly followed: string[] = [];
  readonly sinks: ViewSink[] = [];
  ended = 0;

  async follow(
    name: string,
    _parameters: unknown,
    { key }: ViewReader,
    sink: ViewSink,
    signal: AbortSignal,
  ): Promise<void> {
    this.followed.push(`${name} ${key}`);
    this.sinks.push(sink);
    await new Promise<void>((resolve) => {
      signal.addEventListener("abort", () => resolve());
    });
    this.ended += 1;
  }
}

/** A stream that accepts everything, or while `isReading` is false nothing. */
class HandStream {
  readonly written: Uint8Array[] = [];
  isReading = true;
  writableLength = 0;
  destroyed = false;
  readonly #listeners = new Map<string, () => void>();

  get writableNeedDrain(): boolean {
    return this.writableLength > 0;
  }

  write(bytes: Uint8Array): boolean {
    this.written.push(bytes);
    if (!this.isReading) this.writableLength += bytes.length;
    return this.isReading;
  }

  on(name: string, listener: () => void): void {
    this.#listeners.set(name, listener);
  }

  end(): void {}

  destroy(): void {
    this.destroyed = true;
    this.close();
  }

  close(): void {
    this.#listeners.get("close")?.();
  }

  read(): void {
    this.isReading = true;
    this.writableLength = 0;
    this.#listeners.get("drain")?.();
  }

  get messages(): LiveMessage[] {
    return this.written.map((bytes) => JSON.parse(Buffer.from(bytes).toString().slice("data: ".length)) as LiveMessage);
  }

  get shown(): View | undefined {
    return this.messages.reduce<View | undefined>((before, message) => applyLiveMessage(before, message), undefined);
  }
}

function rig(clock: Clock = systemClock) {
  const source = new HandSource();
  const hub = new LiveHub({ source, clock, log: silentLogger });
  const open = (key = "*", topic = "overview"): { stream: HandStream; page: LivePage } => {
    const stream = new HandStream();
    const page = new LivePage(stream as unknown as PageStream, hub, clock);
    page.follow(topic, reader(key));
    return { stream, page };
  };
  const tell = (next: View): void => source.sinks[0]?.view(next);
  return { source, hub, open, tell };
}

test("changes are sent by row, and nothing if only the time changed", () => {
  const before = view({ a: { n: 1, list: [1] }, b: { n: 2 } });
  assert.equal(diffViews(before, view({ a: { n: 1, list: [1] }, b: { n: 2 } }, 2)), undefined);
  const change = diffViews(before, view({ a: { n: 1, list: [2] }, c: { n: 3 } }, 2));
  assert.deepEqual({ ...change?.set["rows"] }, { a: { n: 1, list: [2] }, c: { n: 3 } });
  assert.deepEqual(change?.gone, { rows: ["b"] });
  const odd = diffViews(view({}), view(JSON.parse('{"__proto__": {"n": 1}}') as Record<string, object>));
  assert.equal(JSON.stringify(odd?.set), '{"rows":{"__proto__":{"n":1}}}');
});

test("characters that nobody sees are named in views, and an object's own page has its text as it is", () => {
  const { open, source, hub } = rig();
  const text = "a\u202Eb\u200B";
  const [list, object] = [open("*", "configs"), open("*", "config?apiVersion=v1&kind=A&namespace=n&name=x")];
  for (const sink of source.sinks) sink.view(view({ row: { text } }));
  const textIn = ({ stream }: ReturnType<typeof open>): unknown =>
    (stream.shown?.tables["rows"]?.["row"] as { text: string } | undefined)?.text;
  assert.deepEqual([textIn(list), textIn(object)], ["a⟨U+202E⟩b⟨U+200B⟩", text]);
  hub.close();
});

test("pages of readers with the same rights share one source and the same bytes", () => {
  const { source, open, tell, hub } = rig();
  const [one, other] = [open(), open()];
  const third = open("another");
  assert.deepEqual(source.followed, ["overview *", "overview another"]);
  tell(view({ a: { n: 1 } }));
  tell(view({ a: { n: 2 } }));
  assert.deepEqual(
    one.stream.messages.map(({ type }) => type),
    ["view", "change"],
  );
  for (const [index, bytes] of one.stream.written.entries()) assert.equal(other.stream.written[index], bytes);
  assert.deepEqual(third.stream.written, []);
  hub.close();
});

test("a late reader gets the whole view and the later changes, already encoded", () => {
  const { open, tell, hub } = rig();
  const rows = Object.fromEntries(
    Array.from({ length: 50 }, (_unused, index) => [`row-${index}`, { n: 0, text: "x".repeat(20) }]),
  );
  const first = open();
  tell(view(rows));
  tell(view({ ...rows, "row-1": { n: 1 } }));
  const late = open();
  assert.deepEqual(late.stream.written, first.stream.written);
  for (let n = 2; n < 200; n += 1) tell(view({ ...rows, "row-1": { n } }));
  const last = open();
  assert.ok(last.stream.written.length < 70, `${last.stream.written.length} messages`);
  assert.deepEqual(last.stream.shown?.tables, first.stream.shown?.tables);
  hub.close();
});

test("a page that does not read is skipped, holds a bounded number of bytes, and gets the whole view when it reads", () => {
  const { open, tell, hub } = rig();
  const slow = open();
  const fast = open();
  const big = (n: number): View => view({ a: { n, text: "x".repeat(100_000) } });
  tell(big(0));
  slow.stream.isReading = false;
  for (let n = 1; n <= 100; n += 1) tell(big(n));
  assert.ok(slow.stream.writableLength < 1_400_000, `${slow.stream.writableLength} bytes`);
  assert.equal(fast.stream.written.length, 101);
  slow.stream.read();
  assert.deepEqual(slow.stream.shown?.tables, fast.stream.shown?.tables);
  tell(big(101));
  assert.deepEqual(slow.stream.shown?.tables, fast.stream.shown?.tables);
  hub.close();
});

test("a page that reads nothing for a minute is closed, and a quiet one gets signs of life", () => {
  let ms = 0;
  const clock: Clock = { ...systemClock, steadyMs: () => ms };
  const { open, tell, hub } = rig(clock);
  const { stream, page } = open();
  const alive = Buffer.from('data: {"type":"alive","atMs":1}\n\n');
  tell(view({ a: { n: 1 } }));
  ms = 4_000;
  page.tick(alive);
  ms = 6_000;
  page.tick(alive);
  assert.deepEqual(
    stream.messages.map(({ type }) => type),
    ["view", "alive"],
  );
  stream.isReading = false;
  tell(view({ a: { n: 2 } }));
  ms = 60_000;
  page.tick(alive);
  assert.equal(stream.destroyed, false);
  ms = 70_000;
  page.tick(alive);
  assert.equal(stream.destroyed, true);
  hub.close();
});

test("a page that was ended and does not read the rest is closed, and one that reads it ends by itself", () => {
  const clock = new HandClock();
  const { open, tell, hub } = rig(clock);
  const [paused, reading] = [open(), open()];
  paused.stream.isReading = false;
  tell(view({ a: { n: 1 } }));
  for (const { page } of [paused, reading]) page.end();
  reading.stream.close();
  clock.pass(limits.answerReadMs - 1);
  assert.equal(paused.stream.destroyed, false);
  clock.pass(1);
  assert.deepEqual([paused.stream.destroyed, reading.stream.destroyed], [true, false]);
  hub.close();
});

test("a problem reaches every page, and the whole view follows it", () => {
  const { source, open, tell, hub } = rig();
  const { stream } = open();
  tell(view({ a: { n: 1 } }));
  source.sinks[0]?.problem({ code: "unavailable", message: "away" });
  tell(view({ a: { n: 1 } }));
  assert.deepEqual(
    stream.messages.map(({ type }) => type),
    ["view", "problem", "view"],
  );
  hub.close();
});

test("a failed source is followed again", async () => {
  let follows = 0;
  const clock: Clock = { ...systemClock, sleep: async () => await settled() };
  const source: ViewSource = {
    follow: async (_name, _parameters, _reader, sink) => {
      follows += 1;
      if (follows === 1) throw new Error("a bug");
      sink.view(view({ a: { n: follows } }));
      await new Promise(() => undefined);
    },
  };
  const hub = new LiveHub({ source, clock, log: silentLogger });
  const stream = new HandStream();
  new LivePage(stream as unknown as PageStream, hub, clock).follow("overview", reader("*"));
  for (let turn = 0; turn < 10; turn += 1) await settled();
  assert.deepEqual(
    stream.messages.map(({ type }) => type),
    ["problem", "view"],
  );
  hub.close();
});

test("an unused topic is no longer followed, and changed rights change the followed view", () => {
  const waiting: (() => void)[] = [];
  const clock: Clock = {
    ...systemClock,
    after: (_ms, run) => (waiting.push(run), { [Symbol.dispose]: () => undefined }),
  };
  const { source, open, hub } = rig(clock);
  const { page } = open();
  page.follow("overview", reader("*"));
  assert.equal(source.followed.length, 1);
  page.follow("overview", reader("less"));
  assert.deepEqual(source.followed, ["overview *", "overview less"]);
  for (const run of waiting) run();
  assert.equal(hub.size, 1);
  page.close();
  for (const run of waiting) run();
  assert.equal(hub.size, 0);
});

test("topics get their defaults, and the error for an invalid one names it", () => {
  assert.deepEqual(parseTopic("graph?by=app&namespaces=a%2Cb").parameters, {
    namespaces: "a,b",
    windowSeconds: 60,
    atMs: 0,
    by: "app",
  });
  for (const [topic, expected] of [
    ["graph?by=colour", /by: expected one of/],
    ["graph?windowSeconds=1", /windowSeconds: expected an integer from 5/],
    ["rollout?kind=Canary&namespace=a", /name: is missing/],
    ["overview?x=1", /no parameter "x"/],
    ["__proto__", /no topic "__proto__"/],
    ["x".repeat(3_000), /at most 2000 characters/],
  ] as const) {
    assert.throws(() => parseTopic(topic), expected, topic);
  }
});
