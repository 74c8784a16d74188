import assert from "node:assert/strict";
import { test } from "node:test";
import type { LiveMessage, Problem, View } from "../../../api/dashboard/index.ts";
import { LiveConnection, type LiveSource, type LiveState } from "./live-connection.ts";

class Rig {
  nowMs = 1_000_000;
  ended: Problem | undefined;
  isSilent = false;
  readonly opened: { readonly url: string; readonly source: LiveSource; closed: boolean }[] = [];
  readonly states: LiveState[] = [];
  readonly views: { readonly topic: string; readonly view: View }[] = [];
  readonly problems: string[] = [];
  #timers: { readonly atMs: number; readonly run: () => void }[] = [];
  readonly connection = new LiveConnection(
    {
      open: (url) => {
        const entry = {
          url,
          closed: false,
          source: {
            onopen: null,
            onmessage: null,
            onerror: null,
            close: () => void (entry.closed = true),
          } as LiveSource,
        };
        this.opened.push(entry);
        return entry.source;
      },
      nowMs: () => this.nowMs,
      random: () => 0.5,
      after: (delayMs, run) => {
        const timer = { atMs: this.nowMs + delayMs, run };
        this.#timers.push(timer);
        return () => void (this.#timers = this.#timers.filter((other) => other !== timer));
      },
      sessionProblem: () => (this.isSilent ? new Promise(() => undefined) : Promise.resolve(this.ended)),
    },
    {
      state: (state) => this.states.push(state),
      view: (topic, view) => this.views.push({ topic, view }),
      problem: (topic, problem) => this.problems.push(`${topic}: ${problem.code}`),
      clock: () => undefined,
    },
  );

  async pass(ms: number): Promise<void> {
    const untilMs = this.nowMs + ms;
    for (;;) {
      const [next] = this.#timers.filter(({ atMs }) => atMs <= untilMs).sort((a, b) => a.atMs - b.atMs);
      if (next === undefined) break;
      this.nowMs = next.atMs;
      this.#timers = this.#timers.filter((other) => other !== next);
      next.run();
      await new Promise((resolve) => void setImmediate(resolve));
    }
    this.nowMs = untilMs;
  }

  tell(message: LiveMessage): void {
    this.opened.at(-1)?.source.onmessage?.({ data: JSON.stringify(message) });
  }

  get state(): LiveState | undefined {
    return this.states.at(-1);
  }
}

const head = { atMs: 5, sources: [] };
const shown = (rows: Record<string, object>): LiveMessage => ({
  type: "view",
  topic: "ladder",
  view: { head, tables: { rungs: rows } },
});

test("topics requested in one turn use one connection, encoded as a whole", async () => {
  const rig = new Rig();
  rig.connection.follow(["overview"]);
  rig.connection.follow(["overview", "graph?namespaces=a%2Cb"]);
  await rig.pass(20);
  assert.deepEqual(
    rig.opened.map(({ url }) => url),
    ["api/live?topic=graph%3Fnamespaces%3Da%252Cb&topic=overview"],
  );
});

test("a change keeps rows that it does not name", async () => {
  const rig = new Rig();
  rig.connection.follow(["ladder"]);
  await rig.pass(20);
  rig.tell(shown({ a: { x: 1 }, b: { x: 2 } }));
  rig.tell({ type: "change", topic: "ladder", head, set: { rungs: { b: { x: 3 } } }, gone: {} });
  const [first, second] = rig.views;
  assert.deepEqual(second?.view.tables["rungs"], { a: { x: 1 }, b: { x: 3 } });
  assert.equal(second?.view.tables["rungs"]?.["a"], first?.view.tables["rungs"]?.["a"]);
});

test("unchanged rows are the same objects after a reconnect", async () => {
  const rig = new Rig();
  rig.connection.follow(["ladder"]);
  await rig.pass(20);
  rig.tell(shown({ a: { x: 1 }, b: { x: 2 } }));
  rig.opened.at(-1)?.source.onerror?.();
  assert.deepEqual(rig.state, { kind: "reconnecting", sinceMs: rig.nowMs });
  await rig.pass(1_000);
  assert.equal(rig.opened.length, 2);
  rig.tell(shown({ a: { x: 1 }, b: { x: 9 } }));
  assert.deepEqual(rig.state, { kind: "live" });
  const [before, after] = rig.views;
  assert.equal(after?.view.tables["rungs"]?.["a"], before?.view.tables["rungs"]?.["a"]);
  assert.notEqual(after?.view.tables["rungs"]?.["b"], before?.view.tables["rungs"]?.["b"]);
});

test("reconnects have growing delays of at most 10 s, and the status says since when it is down", async () => {
  const rig = new Rig();
  rig.connection.follow(["ladder"]);
  await rig.pass(20);
  const downAtMs = rig.nowMs;
  const triedAtMs: number[] = [];
  for (let i = 0; i < 9; i += 1) {
    rig.opened.at(-1)?.source.onerror?.();
    const before = rig.opened.length;
    while (rig.opened.length === before) await rig.pass(50);
    triedAtMs.push(rig.nowMs);
  }
  const gaps = triedAtMs.slice(1).map((atMs, index) => atMs - (triedAtMs[index] ?? 0));
  assert.ok(
    gaps.every((gap, index) => index === 0 || gap >= (gaps[index - 1] ?? 0)),
    gaps.join(),
  );
  assert.ok((gaps.at(-1) ?? 0) <= 10_000, gaps.join());
  assert.deepEqual(rig.state, { kind: "reconnecting", sinceMs: downAtMs });
});

test("a silent connection is closed, and one with signs of life is kept", async () => {
  const rig = new Rig();
  rig.connection.follow(["ladder"]);
  await rig.pass(20);
  for (let i = 0; i < 10; i += 1) {
    rig.tell({ type: "alive", atMs: rig.nowMs });
    await rig.pass(5_000);
  }
  assert.equal(rig.opened.length, 1);
  await rig.pass(16_000);
  assert.equal(rig.opened.length, 2);
  assert.ok(rig.opened[0]?.closed);
});

test("the age of the view counts from the last message, not from when the loss was noticed", async () => {
  const rig = new Rig();
  rig.connection.follow(["ladder"]);
  await rig.pass(20);
  rig.tell(shown({ a: { x: 1 } }));
  const heardMs = rig.nowMs;
  await rig.pass(16_000);
  assert.deepEqual(
    rig.states.find(({ kind }) => kind === "reconnecting"),
    { kind: "reconnecting", sinceMs: heardMs },
  );
});

test("an ended session is reported, and no connection is tried until the user is back", async () => {
  const rig = new Rig();
  rig.connection.follow(["ladder"]);
  await rig.pass(20);
  rig.ended = { code: "logged-out", message: "The token has expired." };
  rig.opened.at(-1)?.source.onerror?.();
  await rig.pass(60_000);
  assert.equal(rig.state?.kind, "logged-out");
  assert.equal(rig.opened.length, 1);
  rig.ended = undefined;
  rig.connection.retryNow();
  assert.equal(rig.opened.length, 2);
});

test("after the server ends the session, the page asks for a login or continues as an anonymous reader", async () => {
  const rig = new Rig();
  rig.connection.follow(["ladder"]);
  await rig.pass(20);
  const loggedOut: LiveMessage = {
    type: "logged-out",
    problem: { code: "logged-out", message: "the session has ended" },
    atMs: 1,
  };
  rig.tell(loggedOut);
  await rig.pass(20);
  assert.deepEqual([rig.opened.length, rig.opened[0]?.closed], [2, true], "as who the server takes the page for now");
  assert.ok(!rig.states.some(({ kind }) => kind === "logged-out"));
  rig.ended = { code: "logged-out", message: "Log in." };
  rig.tell(loggedOut);
  await rig.pass(20);
  await rig.pass(60_000);
  assert.equal(rig.state?.kind, "logged-out");
  assert.equal(rig.opened.length, 2);
});

test("another user's connection starts fresh, without any earlier view", async () => {
  const rig = new Rig();
  rig.connection.follow(["ladder"]);
  await rig.pass(20);
  rig.tell(shown({ hidden: { x: 1 } }));
  const [before] = rig.opened;
  rig.connection.restart();
  assert.deepEqual([before?.closed, rig.opened.length], [true, 2]);
  before?.source.onmessage?.({ data: JSON.stringify(shown({ late: { x: 2 } })) });
  rig.tell({ type: "change", topic: "ladder", head, set: { rungs: { own: { x: 3 } } }, gone: {} });
  assert.equal(rig.views.length, 1, "neither of the connection that was, nor against what it had sent");
  rig.tell(shown({ own: { x: 3 } }));
  assert.deepEqual(rig.views.at(-1)?.view.tables["rungs"], { own: { x: 3 } });
});

test("a reconnect is tried even if the session check gets no answer", async () => {
  const rig = new Rig();
  rig.connection.follow(["ladder"]);
  await rig.pass(20);
  rig.isSilent = true;
  rig.opened.at(-1)?.source.onerror?.();
  await rig.pass(12_000);
  assert.equal(rig.opened.length, 2);
});

test("an unreadable message is a lost connection, not an exception", async () => {
  const rig = new Rig();
  rig.connection.follow(["ladder"]);
  await rig.pass(20);
  rig.opened.at(-1)?.source.onmessage?.({ data: "<html>" });
  assert.equal(rig.state?.kind, "reconnecting");
});

test("a hidden page holds no connection, and reconnects at once when visible", async () => {
  const rig = new Rig();
  rig.connection.follow(["ladder"]);
  await rig.pass(20);
  rig.connection.pause();
  assert.ok(rig.opened[0]?.closed);
  await rig.pass(60_000);
  assert.equal(rig.opened.length, 1);
  rig.connection.retryNow();
  assert.equal(rig.opened.length, 2);
});

test("a server without room is asked ever more rarely, and its reason is shown", async () => {
  const rig = new Rig();
  rig.connection.follow(["ladder"]);
  await rig.pass(20);
  const waits: number[] = [];
  for (let i = 0; i < 6; i += 1) {
    const fromMs = rig.nowMs;
    rig.tell({
      type: "problem",
      topic: "ladder",
      problem: { code: "unavailable", message: "256 pages are open" },
      atMs: 5,
    });
    rig.opened.at(-1)?.source.onerror?.();
    const before = rig.opened.length;
    while (rig.opened.length === before) await rig.pass(50);
    waits.push(rig.nowMs - fromMs);
  }
  assert.deepEqual(waits, [400, 800, 1_600, 3_200, 6_400, 8_000]);
  assert.deepEqual(
    rig.problems,
    Array.from({ length: 6 }, () => "ladder: unavailable"),
  );
});
