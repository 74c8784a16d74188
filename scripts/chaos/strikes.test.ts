import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom, systemClock } from "../../src/base/index.ts";
import type { Chaos } from "./chaos.ts";
import { inTurn, Strikes, type Blow, type Fault } from "./strikes.ts";

const limits = { beginMs: 40, endMs: 600 };

function chaosOf(notes: string[] = [], signal = new AbortController().signal): Chaos {
  const proof = { note: (text: string) => void notes.push(text), signal };
  return { proof: proof as unknown as Chaos["proof"], clock: systemClock, random: Math.random };
}

const fault = (blow: Blow, name = "a fault"): Fault => ({ name, cuts: "", lastsMs: 5, aim: () => blow });

/** Returns a promise that never settles. */
const never = async (): Promise<never> => await new Promise<never>(() => undefined);

test("a fault lasts for its time, then ends, and the record has both times", async () => {
  const events: string[] = [];
  const strikes = new Strikes(chaosOf(), limits);
  await strikes.strike(fault({ begin: () => `${events.push("begin")}`, end: () => events.push("end") }));
  assert.deepEqual(events, ["begin", "end"]);
  const [struck] = strikes.struck;
  assert.ok(struck !== undefined && struck.untilMs - struck.fromMs >= 4 && struck.untilMs < Number.POSITIVE_INFINITY);
});

test("a fault that does not end at the first try is ended by another, and counts as active until then", async () => {
  let tries = 0;
  const strikes = new Strikes(chaosOf(), limits);
  const end = (): void => {
    tries += 1;
    if (tries < 3) throw new Error("no answer");
  };
  await strikes.strike(fault({ begin: () => "it", end }));
  assert.equal(tries, 3);
  assert.deepEqual(strikes.unended, []);
  const [struck] = strikes.struck;
  assert.ok(struck !== undefined && struck.untilMs - struck.fromMs >= 400);
});

test("a fault that cannot be ended is recorded with the reason, and no further try follows", async () => {
  let tries = 0;
  const strikes = new Strikes(chaosOf(), limits);
  const end = (): never => {
    tries += 1;
    throw new Error("RTNETLINK says no");
  };
  await strikes.strike(fault({ begin: () => "it", end }, "a slow link"));
  assert.equal(strikes.struck[0]?.untilMs, Number.POSITIVE_INFINITY);
  assert.equal(strikes.unended.length, 1);
  assert.match(strikes.unended[0] ?? "", /the end of a slow link: not done after 0\.6 s: RTNETLINK says no/);
  const before = tries;
  await systemClock.sleep(500);
  assert.equal(tries, before);
});

test("ending a fault has a time limit, and the limit aborts its signal", async () => {
  let aborted = false;
  const end = async (signal: AbortSignal): Promise<never> => {
    signal.addEventListener("abort", () => {
      aborted = true;
    });
    return await never();
  };
  const strikes = new Strikes(chaosOf(), limits);
  await strikes.strike(fault({ begin: () => "it", end }));
  assert.ok(aborted);
  assert.equal(strikes.unended.length, 1);
});

test("a fault whose start got no answer may be active, so it is ended and counts", async () => {
  const notes: string[] = [];
  let ended = false;
  const end = (): void => {
    ended = true;
  };
  const strikes = new Strikes(chaosOf(notes), limits);
  await strikes.strike(fault({ begin: never, end }));
  assert.ok(ended);
  assert.equal(strikes.struck.length, 1);
  assert.match(notes.join(), /fault not begun: a fault: a fault: not done after 0\.04 s/);
});

test("a refused fault, or one without a target, does not count", async () => {
  const notes: string[] = [];
  const strikes = new Strikes(chaosOf(notes), limits);
  const refuse = (): never => {
    throw new Error("no ztunnel runs");
  };
  await strikes.strike(fault({ begin: refuse, end: () => undefined }));
  await strikes.strike({ name: "another", cuts: "", lastsMs: 5, aim: refuse });
  assert.deepEqual([strikes.struck, strikes.unended], [[], []]);
  assert.match(notes.join("\n"), /fault left out: another: no ztunnel runs/);
});

test("the end of the run ends the current fault, which stays on record", async () => {
  const run = new AbortController();
  const strikes = new Strikes(chaosOf([], run.signal), limits);
  const under = strikes.strike({ ...fault({ begin: () => "it", end: () => undefined }), lastsMs: 60_000 });
  setTimeout(() => run.abort(new Error("the run is over")), 20);
  await assert.rejects(under, /the run is over/);
  assert.equal(strikes.struck.length, 1);
});

test("every kind of fault occurs once before any repeats, in an order that the seed gives", () => {
  const faults = ["a", "b", "c", "d", "e"];
  const order = (seed: number): string[] => {
    const turns = inTurn(faults, seededRandom(seed));
    return Array.from({ length: 10 }, () => turns.next().value ?? "");
  };
  assert.deepEqual(order(7).slice(0, 5).toSorted(), faults);
  assert.deepEqual(order(7).slice(5).toSorted(), faults);
  assert.deepEqual(order(7), order(7));
  assert.notDeepEqual(order(7), order(8));
  assert.deepEqual([...inTurn([], Math.random)], []);
});
