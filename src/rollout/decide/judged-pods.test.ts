import assert from "node:assert/strict";
import { test } from "node:test";
import type { CheckObservation, PodFacts } from "./observation.ts";
import { counted, look, planned, pod, withPods } from "./testing/judged.ts";

test("a canary whose pods vanish fails within seconds, although its requests count for neither version", () => {
  const none = (seconds: number) =>
    Array.from({ length: seconds }, (_, second) => withPods(counted(20, 0, 5 * second), 0, 2));
  for (const type of ["request-success-rate", "request-duration", "request-share", "tcp-connect-failures"] as const) {
    const before = withPods(counted(20, 0, 0), 2, 2);
    const soon = look(planned(type), [before, ...none(10)]);
    assert.equal(soon.verdict, "wait", type);
    assert.match(
      soon.evidence,
      /^the canary has no ready pod, so its requests fail; the check fails if this lasts 15 s/,
    );
    const late = look(planned(type), [before, ...none(18)]);
    assert.equal(late.verdict, "fail", type);
    assert.match(late.evidence, /^the canary has had no ready pod for more than 15 s, so its requests fail/);
  }
  const health: CheckObservation = { type: "pods", canary: [], stable: [pod("s")] };
  const ill = [{ ...health, canary: [pod("c")], ready: { canary: 1, stable: 1, isExpected: false } }];
  const gone = Array.from({ length: 18 }, () => withPods(health, 0, 1, false));
  assert.equal(look(planned("pod-health"), [...ill, ...gone]).verdict, "fail");
});

test("a canary that loses its pods in this cluster does not fail while another cluster serves it", () => {
  const before = withPods(counted(20, 0, 0), 2, 2);
  const moved = (isElsewhere: boolean) =>
    Array.from({ length: 30 }, (_, second): CheckObservation => {
      const ready = { canary: 0, stable: 2, isExpected: true, ...(isElsewhere ? { isElsewhere } : {}) };
      return { ...counted(20 + 5 * second, 0, 20 + 5 * second), ready };
    });
  assert.equal(look(planned("request-success-rate"), [before, ...moved(true)]).verdict, "pass");
  assert.equal(look(planned("request-success-rate"), [before, ...moved(false)]).verdict, "fail");
});

test("a passed check of a step that waits for a person fails too when the canary's pods vanish", () => {
  const passed = [withPods(counted(0, 0, 0), 1, 1), withPods(counted(200, 0, 200), 1, 1)];
  assert.equal(look(planned("request-success-rate"), passed).verdict, "pass");
  const gone = Array.from({ length: 18 }, () => withPods(counted(200, 0, 400), 0, 1));
  assert.equal(look(planned("request-success-rate"), [...passed, ...gone.slice(0, 5)]).verdict, "wait");
  assert.equal(look(planned("request-success-rate"), [...passed, ...gone]).verdict, "fail");
  const back = withPods(counted(400, 0, 600), 1, 1);
  assert.equal(look(planned("request-success-rate"), [...passed, ...gone.slice(0, 10), back]).verdict, "pass");
});

test("a canary without pods does not fail where stable has none either, or where nobody knows its pods", () => {
  const seconds = Array.from({ length: 60 });
  const before = withPods(counted(0, 0, 0), 1, 1);
  const neither = look(planned("request-success-rate"), [
    before,
    ...seconds.map(() => withPods(counted(0, 0, 0), 0, 0)),
  ]);
  assert.equal(neither.verdict, "wait");
  assert.match(neither.evidence, /^neither the canary nor stable has a ready pod/);
  const machines = seconds.map(() => withPods(counted(0, 0, 9), 0, 2, false));
  assert.equal(look(planned("request-success-rate"), machines).verdict, "wait");
  assert.equal(
    look(planned("request-success-rate"), [before, ...seconds.map(() => counted(0, 0, 9))]).verdict,
    "wait",
    "a look that does not know the pods",
  );
});

test("a crash loop fails the canary, unless the stable version has one too", () => {
  const problem = { kind: "CrashLoopBackOff", detail: "app is in a crash loop, ended with 1" };
  const ill = pod("ill", { ready: false, problem });
  const seen = (canary: PodFacts[], stable: PodFacts[]): CheckObservation => ({ type: "pods", canary, stable });
  assert.match(
    look(planned("pod-health"), [seen([pod("x"), ill], [pod("s")])]).evidence,
    /^a\/ill: app is in a crash loop, ended with 1; canary: 1 of 2/,
  );
  assert.equal(look(planned("pod-health"), [seen([pod("x")], [pod("s", { ready: false, problem })])]).verdict, "pass");
  assert.equal(
    look(planned("pod-health"), [seen([pod("x"), ill], [pod("s", { ready: false, problem })])]).verdict,
    "wait",
  );
  assert.equal(look(planned("pod-health"), [seen([], [pod("s")])]).verdict, "wait");
  const lost = pod("x", { ready: false });
  assert.equal(look(planned("pod-health"), [seen([lost], [])]).verdict, "wait");
  const crashed = pod("x", { ready: false, restarts: 1, lastEnd: "app ended with 1" });
  assert.equal(look(planned("pod-health"), [seen([pod("x")], []), seen([crashed], [])]).verdict, "fail");
});

test("a pod of the canary that runs and is no longer ready fails after 30 s, because its kubelet may have been restarted", () => {
  const seen = (...canary: PodFacts[]): CheckObservation => ({ type: "pods", canary, stable: [pod("s")] });
  const before = seen(pod("x"), pod("y"));
  const lost = (seconds: number) => Array.from({ length: seconds }, () => seen(pod("x", { ready: false }), pod("y")));
  const soon = look(planned("pod-health"), [before, ...lost(30)]);
  assert.equal(soon.verdict, "wait");
  assert.match(
    soon.evidence,
    /^a\/x was ready, and no longer is: Running; the check fails if this lasts 30 s; canary: 1 of 2/,
  );
  assert.equal(look(planned("pod-health"), [before, ...lost(32)]).verdict, "fail");
  assert.equal(look(planned("pod-health"), [before, ...lost(30), before]).verdict, "pass");
  assert.equal(look(planned("pod-health"), [before, ...lost(30), before, ...lost(30)]).verdict, "wait");
});

test("restarts count from the first look, and from when a pod was first seen", () => {
  const seen = (...canary: PodFacts[]): CheckObservation => ({ type: "pods", canary, stable: [pod("s")] });
  assert.equal(
    look(planned("restarts"), [
      seen(pod("x", { restarts: 3 })),
      seen(pod("x", { restarts: 3 }), pod("y", { restarts: 1 })),
    ]).verdict,
    "pass",
  );
  const { verdict, evidence } = look(planned("restarts"), [
    seen(pod("x", { restarts: 3 })),
    seen(pod("x", { restarts: 4, lastEnd: "app ended with 137 (OOMKilled)" })),
  ]);
  assert.equal(verdict, "fail");
  assert.match(evidence, /^restarts: canary 1 in 1 pod, stable 0 in 1 pod; a\/x: app ended with 137 \(OOMKilled\)$/);
});
