import assert from "node:assert/strict";
import { test } from "node:test";
import { checkDefaults, type CheckSpec, type CheckStatus } from "../../../api/serin/index.ts";
import { judgeCheck } from "../judge-checks.ts";
import type { CheckObservation, PodFacts } from "../observation.ts";

const spec: CheckSpec = { ...checkDefaults, type: "pod-health" };
const ready: PodFacts = { uid: "x", name: "a/x", ready: true, ending: false, restarts: 0, detail: "Running" };
const unready: PodFacts = { ...ready, ready: false };
const stable: readonly PodFacts[] = [{ ...ready, uid: "s", name: "a/s" }];

/** Returns a function that looks at one pod of the canary, or gets no answer, at the given second after settling. */
function looking(): (second: number, seen: PodFacts | "no answer") => CheckStatus {
  let status: CheckStatus | undefined;
  return (second, seen) => {
    const observation: CheckObservation =
      seen === "no answer" ? { type: "unavailable", detail: seen } : { type: "pods", canary: [seen], stable };
    const judged = judgeCheck({ spec, subject: { type: "mesh" } }, observation, status, second * 1000);
    // The stored state passes through JSON, as in the API server.
    status = JSON.parse(JSON.stringify(judged)) as CheckStatus;
    return status;
  };
}

test("a pod that is unready for one look late in a soak fails nothing, as if it were early", () => {
  const look = looking();
  look(0, ready);
  assert.equal(look(600, ready).verdict, "pass");
  assert.equal(look(601, unready).verdict, "wait");
  assert.equal(look(602, ready).verdict, "pass");
});

test("a pod that is unready after a missing answer late in a soak fails nothing either", () => {
  const look = looking();
  look(600, ready);
  assert.equal(look(601, "no answer").verdict, "error");
  assert.equal(look(602, unready).verdict, "wait");
});

test("a check that has passed fails when it then waits for longer than its timeout, missing answers included", () => {
  const look = looking();
  look(600, ready);
  const starting: PodFacts = { ...unready, uid: "y", name: "a/y", detail: "Pending" };
  assert.equal(look(601, starting).verdict, "wait");
  look(900, "no answer");
  assert.equal(look(1201, starting).verdict, "wait");
  const late = look(1202, starting);
  assert.deepEqual([late.verdict, late.evidence.startsWith("no result in 600 s: a/y is not ready")], ["fail", true]);
});

test("a check that has never passed fails when its timeout after settling is over", () => {
  const look = looking();
  look(0, unready);
  assert.equal(look(600, unready).verdict, "wait");
  assert.equal(look(601, unready).verdict, "fail");
});

test("a pod that is unready again and again fails at the fourth time, however short each time is", () => {
  const look = looking();
  look(0, ready);
  for (const round of [1, 2, 3]) {
    assert.equal(look(round * 30, unready).verdict, "wait", `round ${round}`);
    assert.equal(look(round * 30 + 29, ready).verdict, "pass", `round ${round}`);
  }
  const fourth = look(120, unready);
  assert.equal(fourth.verdict, "fail");
  assert.match(
    fourth.evidence,
    /^a\/x was ready, and no longer is: Running, after it was ready again 3 times; canary: 0 of 1 pods/,
  );
});

test("a canary that blips as often as stable does not flap, although a look sees its pod before stable's", () => {
  const check = { spec, subject: { type: "mesh" } } as const;
  let status: CheckStatus | undefined;
  const look = (second: number, canary: PodFacts, ofStable: PodFacts): CheckStatus => {
    const seen: CheckObservation = { type: "pods", canary: [canary], stable: [ofStable] };
    status = JSON.parse(JSON.stringify(judgeCheck(check, seen, status, second * 1000))) as CheckStatus;
    return status;
  };
  const steady: PodFacts = { ...ready, uid: "s", name: "a/s" };
  const lost: PodFacts = { ...steady, ready: false };
  look(0, ready, steady);
  for (const round of [1, 2, 3, 4]) {
    assert.equal(look(round * 100, unready, steady).verdict, "wait", `round ${round}: stable's pod follows`);
    look(round * 100 + 5, unready, lost);
    assert.equal(look(round * 100 + 10, ready, steady).verdict, "pass", `round ${round}`);
  }
  assert.equal(look(500, unready, steady).verdict, "wait");
  look(505, ready, steady);
  const alone = look(600, unready, steady);
  assert.equal(alone.verdict, "fail", "the canary's pod blips once more than stable's");
  assert.match(alone.evidence, /, after it was ready again 5 times;/);
});

test("one pod of stable that flaps on another node does not hide a canary that flaps", () => {
  const check = { spec, subject: { type: "mesh" } } as const;
  /**
   * The verdict when the canary's pod becomes unready for the fourth time. The pods in `blips` become unready together
   * with it.
   */
  const fourthOf = (canary: PodFacts, blips: readonly PodFacts[], steady: readonly PodFacts[]): CheckStatus => {
    let status: CheckStatus | undefined;
    const look = (second: number, isLost: boolean): CheckStatus => {
      const seen = [canary, ...blips].map((pod) => (isLost ? { ...pod, ready: false } : pod));
      const [own = canary, ...others] = seen;
      const observation: CheckObservation = { type: "pods", canary: [own], stable: [...others, ...steady] };
      status = JSON.parse(JSON.stringify(judgeCheck(check, observation, status, second * 1000))) as CheckStatus;
      return status;
    };
    look(0, false);
    for (const round of [1, 2, 3]) {
      look(round * 60, true);
      look(round * 60 + 5, false);
    }
    return look(240, true);
  };
  const at = (uid: string, node: string): PodFacts => ({ ...ready, uid, name: `a/${uid}`, node });
  const canary = at("x", "n1");
  const [near, far, third] = [at("s1", "n1"), at("s2", "n2"), at("s3", "n3")];
  assert.equal(fourthOf(canary, [far], [near, third]).verdict, "fail", "its node has no fault");
  assert.notEqual(fourthOf(canary, [near], [far, third]).verdict, "fail", "its node flaps");
  assert.notEqual(fourthOf(canary, [far, third], [near]).verdict, "fail", "most of stable flaps too");
  assert.notEqual(fourthOf(canary, [far], []).verdict, "fail", "all of stable flaps too");
  assert.equal(fourthOf(canary, [], [near, far, third]).verdict, "fail");
});
