import assert from "node:assert/strict";
import { test } from "node:test";
import type { StepStatus } from "../../api/serin/index.ts";
import { decide } from "./decide.ts";
import type { Observation, SettleState } from "./observation.ts";
import {
  isOverdue,
  namedOnce,
  overdueText,
  sinceSettledMs,
  toldUntil,
  waitingOn,
  withoutProgressMs,
} from "./settle-progress.ts";
import { input, met, nowMs, waiting } from "./testing/two-steps.ts";

const limitMs = 300_000;
const begun: StepStatus = { id: "a", title: "a step", startedAt: "2026-01-01T00:00:00.000Z", checks: [] };

function missing(left: number): Observation {
  return {
    writes: [],
    settle: [{ state: "waiting", detail: `${left} pods are missing`, left }],
  } as unknown as Observation;
}

/** Waits for a minute in each round, with the given numbers of missing items. */
function minutes(...lefts: readonly number[]): StepStatus {
  return lefts.reduce<StepStatus>(
    (step, left, index) => waitingOn(step, missing(left), { elapsedMs: 60_000, nowMs: index * 60_000, limitMs }),
    begun,
  );
}

test("the time without progress begins again only when fewer items are missing than ever before", () => {
  assert.deepEqual(
    [5, 4, 3].map((last) => withoutProgressMs(minutes(5, 3, 4, last))),
    [120_000, 120_000, 120_000],
  );
  assert.equal(withoutProgressMs(minutes(5, 3, 4, 2)), 0);
});

test("a step without progress is overdue after its limit, and one with progress after ten times its limit", () => {
  assert.deepEqual(
    [isOverdue(minutes(5, 5, 5, 5, 5), limitMs), isOverdue(minutes(5, 5, 5, 5, 5, 5), limitMs)],
    [false, true],
  );
  const slow = { ...minutes(5, 4), settlingMs: 10 * limitMs };
  assert.equal(isOverdue(slow, limitMs), false);
  assert.equal(isOverdue({ ...slow, settlingMs: 10 * limitMs + 1 }, limitMs), true);
  assert.equal(isOverdue({ ...slow, settlingMs: 10 * limitMs + 1 }, limitMs, true), false, "a patient step");
});

test("the text of an overdue step says whether it made progress", () => {
  assert.equal(overdueText({ ...begun, settlingMs: 300_500, stalledMs: 300_500 }, limitMs), "300 s");
  assert.equal(
    overdueText({ ...begun, settlingMs: 812_000, stalledMs: 300_500 }, limitMs),
    "812 s, the last 300 s of them without progress",
  );
  assert.equal(
    overdueText({ ...begun, settlingMs: 3_000_500, stalledMs: 0 }, limitMs),
    "3001 s, although it made progress",
  );
});

test("the reported time of the limit stays while the clock only rounds differently, and moves after a pause", () => {
  const told = "2026-01-01T00:05:00.000Z";
  const ms = Date.parse(told);
  assert.equal(toldUntil(told, ms + 9_999), told);
  assert.equal(toldUntil(told, ms + 10_000), "2026-01-01T00:05:10.000Z");
});

test("a step whose status an earlier release wrote counts its whole settling time as time without progress", () => {
  assert.equal(withoutProgressMs({ ...begun, settlingMs: 42_000 }), 42_000);
});

test("a cause that holds up many objects appears once, with the number and the names of the others", () => {
  const cause = "is not ready: container app: ErrImagePull: manifest unknown";
  const probes = Array.from({ length: 11 }, (_, index) => `probe client-${index} ${cause}`);
  assert.deepEqual(namedOnce(["istiod is not ready", ...probes]), [
    "istiod is not ready",
    `probe client-0 ${cause}; the same for 10 others: client-1, client-2, client-3, client-4, client-5 and 5 more`,
  ]);
  const silent = (object: string): string =>
    `istiod istio-system/istiod-1 has not reported which proxies have acknowledged ${object} since 12:00: connection refused`;
  assert.deepEqual(namedOnce(["HTTPRoute shop/a", "HTTPRoute shop/b", "Service shop/c"].map(silent)), [
    `${silent("HTTPRoute shop/a")}; the same for 2 others: HTTPRoute shop/b, Service shop/c`,
  ]);
  assert.deepEqual(namedOnce(["shop/a: 0 of 1 ready", "shop/b: 0 of 1 ready", "shop/c: 0 of 1 ready"]), [
    "shop/a: 0 of 1 ready; the same for 2 others: shop/b, shop/c",
  ]);
});

test("lines with different numbers stay, because the name of another does not say its number", () => {
  const lines = ["Deployment web: 1 of 3 ready", "Deployment api: 0 of 3 ready", "Deployment db: 2 of 3 ready"];
  assert.deepEqual(namedOnce(lines), lines);
  const wanted = ["web: 0 of 3 ready in shop", "web: 0 of 2 ready in shop", "web: 0 of 1 ready in shop"];
  assert.deepEqual(namedOnce(wanted), wanted);
  const shares = ["moved 1/3 pods of wave", "moved 2/3 pods of wave", "moved 3/3 pods of wave"];
  assert.deepEqual(namedOnce(shares), shares);
  const peers = ["10.0.0.1", "10.0.0.2", "10.0.0.3"].map((address) => `${address} does not answer yet`);
  assert.equal(namedOnce(peers).length, 1, "an address is a name");
});

test("lines with different causes stay, the same line appears once, and the number of lines is bounded", () => {
  const lines = ["probe a is not ready: its node has not started it", "probe b is not ready: it cannot be scheduled"];
  assert.deepEqual(namedOnce(lines), lines);
  assert.deepEqual(namedOnce(["istiod has not processed it yet", "istiod has not processed it yet"]), [
    "istiod has not processed it yet (2 times)",
  ]);
  const two = ["shop/a is not ready", "shop/b is not ready"];
  assert.deepEqual(namedOnce(two), two, "two lines are as short as one");
  const many = Array.from({ length: 500 }, (_, index) => `${index} differs${index} here${index} and${index}`);
  const shown = namedOnce(many);
  assert.equal(shown.length, 21);
  assert.equal(shown.at(-1), "and 480 more");
});

test("the window of a step that has settled again begins there, and a clock that has jumped back does not count", () => {
  const settledAt = "2026-01-01T00:10:00.000Z";
  const settled = { ...begun, settledAt, settledForMs: 400_000 };
  assert.equal(sinceSettledMs(settled, Date.parse(settledAt) + 20_000), 20_000);
  assert.equal(sinceSettledMs(settled, Date.parse(settledAt) + 900_000), 400_000, "the engine was stopped meanwhile");
  assert.equal(sinceSettledMs(settled, Date.parse(settledAt) - 3_600_000), 400_000);
  assert.equal(sinceSettledMs({ ...begun, settledForMs: 400_000 }, Date.parse(settledAt)), undefined);
});

test("a step waits a minute for proxies of other namespaces, then goes on and reports them, whatever they do", () => {
  const ofOthers = { state: "waiting", detail: "web.other is late", left: 1, isOfOthers: true } as const;
  const played = (observation: Observation): { readonly minutes: number; readonly events: readonly string[] } => {
    let { status } = decide(input());
    for (let half = 1; half < 40; half += 1) {
      const decision = decide(input({ status, observation, elapsedMs: 30_000, nowMs: nowMs + half * 30_000 }));
      status = decision.status;
      const events = decision.actions.flatMap((action) => (action.type === "event" ? [action.message] : []));
      if (status.step?.settledAt !== undefined || status.phase === "RollingBack" || events.length > 0)
        return { minutes: half / 2, events };
    }
    return { minutes: 20, events: [] };
  };
  const { minutes: waited, events } = played({ ...met, settle: [{ state: "met" }, ofOthers] });
  assert.equal(waited, 1.5);
  assert.equal(events[0], "one: not waited for any longer: web.other is late");
  const both = played({ ...met, settle: [waiting.settle[0] as SettleState, ofOthers] });
  assert.ok(both.minutes > 5, "what the step itself changes must settle");
  assert.match(both.events[0] ?? "", /did not settle in 300 s/);
  const refused = played({ ...met, settle: [{ state: "met", note: "web.other rejected it" }] });
  assert.deepEqual([refused.minutes, refused.events[0]], [0.5, "one: web.other rejected it"]);
});
