import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom, systemClock } from "../../src/base/index.ts";
import type { Chaos } from "./chaos.ts";
import { inTurn, FaultInjector, type AimedFault, type Fault } from "./fault-injector.ts";

const limits = { beginMs: 40, endMs: 600 };

function chaosOf(notes: string[] = [], signal = new AbortController().signal): Chaos {
  const proof = { note: (text: string) => void notes.push(text), signal };
  return { proof: proof as unknown as Chaos["proof"], clock: systemClock, random: Math.random };
}

const fault = (aimed: AimedFault, name = "a fault"): Fault => ({ name, cuts: "", lastsMs: 5, aim: () => aimed });

const never = async (): Promise<never> => await new Promise<never>(() => undefined);

test("a fault lasts for its time, then ends, and the record has both times", async () => {
  const events: string[] = [];
  const injector = new FaultInjector(chaosOf(), limits);
  await injector.inject(fault({ begin: () => `${events.push("begin")}`, end: () => events.push("end") }));
  assert.deepEqual(events, ["begin", "end"]);
  const [injected] = injector.injected;
  assert.ok(
    injected !== undefined && injected.untilMs - injected.fromMs >= 4 && injected.untilMs < Number.POSITIVE_INFINITY,
  );
});

test("a fault that does not end at the first try is ended by another, and counts as active until then", async () => {
  let tries = 0;
  const injector = new FaultInjector(chaosOf(), limits);
  const end = (): void => {
    tries += 1;
    if (tries < 3) throw new Error("no answer");
  };
  await injector.inject(fault({ begin: () => "it", end }));
  assert.equal(tries, 3);
  assert.deepEqual(injector.unended, []);
  const [injected] = injector.injected;
  assert.ok(injected !== undefined && injected.untilMs - injected.fromMs >= 400);
});

test("a fault that cannot be ended is recorded with the reason, and no further try follows", async () => {
  let tries = 0;
  const injector = new FaultInjector(chaosOf(), limits);
  const end = (): never => {
    tries += 1;
    throw new Error("RTNETLINK says no");
  };
  await injector.inject(fault({ begin: () => "it", end }, "a slow link"));
  assert.equal(injector.injected[0]?.untilMs, Number.POSITIVE_INFINITY);
  assert.equal(injector.unended.length, 1);
  assert.match(injector.unended[0] ?? "", /the end of a slow link: not done after 0\.6 s: RTNETLINK says no/);
  const before = tries;
  await systemClock.sleep(500);
  assert.equal(tries, before);
});

test("a fault may have a longer time for its end than the others", async () => {
  const injector = new FaultInjector(chaosOf(), { beginMs: 40, endMs: 50 });
  let tries = 0;
  const end = (): void => {
    tries += 1;
    if (tries < 3) throw new Error("the pod is not ready again");
  };
  await injector.inject({ ...fault({ begin: () => "it", end }), endMs: 30_000 });
  assert.deepEqual([injector.unended, tries], [[], 3]);
});

test("ending a fault has a time limit, and the limit aborts its signal", async () => {
  let aborted = false;
  const end = async (signal: AbortSignal): Promise<never> => {
    signal.addEventListener("abort", () => {
      aborted = true;
    });
    return await never();
  };
  const injector = new FaultInjector(chaosOf(), limits);
  await injector.inject(fault({ begin: () => "it", end }));
  assert.ok(aborted);
  assert.equal(injector.unended.length, 1);
});

test("a fault whose start got no answer may be active, so it is ended and counts", async () => {
  const notes: string[] = [];
  let ended = false;
  const end = (): void => {
    ended = true;
  };
  const injector = new FaultInjector(chaosOf(notes), limits);
  await injector.inject(fault({ begin: never, end }));
  assert.ok(ended);
  assert.equal(injector.injected.length, 1);
  assert.match(notes.join(), /fault not begun: a fault: a fault: not done after 0\.04 s/);
});

test("a refused fault, or one without a target, does not count", async () => {
  const notes: string[] = [];
  const injector = new FaultInjector(chaosOf(notes), limits);
  const refuse = (): never => {
    throw new Error("no ztunnel runs");
  };
  await injector.inject(fault({ begin: refuse, end: () => undefined }));
  await injector.inject({ name: "another", cuts: "", lastsMs: 5, aim: refuse });
  assert.deepEqual([injector.injected, injector.unended], [[], []]);
  assert.match(notes.join("\n"), /fault left out: another: no ztunnel runs/);
});

test("the end of the run ends the current fault, which stays on record", async () => {
  const run = new AbortController();
  const injector = new FaultInjector(chaosOf([], run.signal), limits);
  const under = injector.inject({ ...fault({ begin: () => "it", end: () => undefined }), lastsMs: 60_000 });
  setTimeout(() => run.abort(new Error("the run is over")), 20);
  await assert.rejects(under, /the run is over/);
  assert.equal(injector.injected.length, 1);
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
