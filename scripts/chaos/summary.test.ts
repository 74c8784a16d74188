import assert from "node:assert/strict";
import { test } from "node:test";
import { summarise, type Found } from "./summary.ts";

const at = "2026-06-01T00:00:10.000Z";
const good: Found = {
  minutes: 2,
  orderedMinutes: 2,
  injected: [{ name: "kill -9 of a ztunnel", cuts: "", fromMs: Date.parse(at), untilMs: Date.parse(at) }],
  unendedFaults: [],
  rollouts: 3,
  unendedRollouts: [],
  writes: 500,
  lostWrites: [],
  load: { requests: 100, failed: 1 },
  failures: [
    { at, target: "ambient: details", cause: "ECONNRESET", group: "kept-alive" },
    { at, target: "ambient: TCP stream", cause: "ECONNRESET", group: "closed-connection" },
  ],
  requestLimitMs: 4_000,
  memory: [],
  problems: [],
};

test("a run is ok when a fault explains every failed request, and everything ended", () => {
  const { summary, problems } = summarise(good);
  assert.deepEqual(problems, []);
  assert.deepEqual(summary, {
    ok: true,
    minutes: 2,
    faults: 1,
    rollouts: 3,
    unended: 0,
    lostWrites: 0,
    requests: 100,
    failed: 1,
    unexplained: 0,
  });
});

const flaws: readonly (readonly [string, Partial<Found>, RegExp])[] = [
  ["a rollout still under way", { unendedRollouts: ["Canary c: Progressing"] }, /Canary c/],
  ["a fault that did not end", { unendedFaults: ["the end of a slow link"] }, /the end of a slow link/],
  [
    "a lost write",
    { lostWrites: ["write-7: 7 was acknowledged, nothing is there"] },
    /a write is lost: ConfigMap write-7/,
  ],
  ["writes that nobody has read", { lostWrites: undefined }, /is not known/],
  ["a part without its end", { problems: ["the stage: not done"] }, /the stage/],
  ["no request", { load: { requests: 0, failed: 0 } }, /no request was sent/],
  ["no fault", { injected: [], failures: [], load: { requests: 9, failed: 0 } }, /no fault was injected/],
  ["no rollout", { rollouts: 0 }, /no rollout was begun/],
  ["no write", { writes: 0 }, /no write was acknowledged/],
  ["faults for a shorter time", { minutes: 1.2 }, /faults were injected for 1\.2 of 2 minutes/],
  ["memory that grows", { memory: [{ role: "pilot", secondKib: 1024, lastKib: 2048, grows: true }] }, /pilot: 1 MiB/],
];
for (const [name, flaw, words] of flaws)
  test(`a run with ${name} is not ok, and the report says why`, () => {
    const { summary, problems } = summarise({ ...good, ...flaw });
    assert.equal(summary.ok, false);
    assert.match(problems.join("\n"), words);
  });

test("lost writes are not reported as 0 if nobody could read the writes", () => {
  assert.equal(summarise({ ...good, lostWrites: undefined }).summary.lostWrites, null);
});

test("failures count as unexplained if no fault explains them or the generators did not describe them", () => {
  const late = { at: "2026-06-01T00:01:00.000Z", target: "ambient: details", cause: "status 503", group: "kept-alive" };
  const { summary, problems } = summarise({
    ...good,
    failures: [...good.failures, late],
    load: { requests: 9, failed: 4 },
  });
  assert.equal(summary.unexplained, 3);
  assert.match(problems.join("\n"), /ambient: details .*50\.0 s after kill -9 of a ztunnel: status 503/);
});
