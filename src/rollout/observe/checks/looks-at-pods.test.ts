import assert from "node:assert/strict";
import { test } from "node:test";
import type { CheckType } from "../../../api/serin/index.ts";
import type { KubeClient } from "../../../kube/index.ts";
import type { CheckSubject } from "../../decide/index.ts";
import { CheckObserver } from "./check-observer.ts";
import { isErrorLine } from "./error-line.ts";
import { podFacts } from "./pod-facts.ts";
import { fakePod, fakeScrape, fakeView, gatewayPod, standingClock, ztunnelPod } from "./testing/fake-mesh.ts";
import { backends, noClient, origin, spec } from "./testing/one-check.ts";

test("roots must be trusted by all, and must be those that end the certificate chains", async () => {
  const scrape = fakeScrape({
    y: 'serin_certificates{root="aa"} 2\nserin_trusted_roots{root="aa"} 1\n',
    z: 'serin_certificates{root="aa"} 1\nserin_trusted_roots{root="aa"} 1\nserin_trusted_roots{root="bb"} 1\n',
  });
  const observer = new CheckObserver({
    client: noClient,
    view: fakeView([ztunnelPod("y"), ztunnelPod("z")]),
    clock: standingClock(),
    scrape,
  });
  const observe = async (roots: readonly string[]) => {
    const observation = await observer.observe(
      { spec: spec("certificate-roots", { name: `r${roots.join("-")}`, roots }), subject: { type: "mesh" } },
      origin,
    );
    return observation.type === "verdict" ? `${observation.verdict}: ${observation.evidence}` : observation.type;
  };
  assert.equal(await observe([]), "pass: 2 proxies trust aa, and the chains of all their certificates lead to it");
  assert.equal(await observe(["aa", "bb"]), "wait: istio-system/y does not trust the root bb; it trusts aa");
  assert.equal(await observe(["bb"]), "wait: istio-system/y does not trust the root bb; it trusts aa");
});

test("seconds with an error in a pod's log are counted from the first look on, and a stack trace once", async () => {
  const clock = standingClock();
  const startMs = clock.nowAtMs;
  const at = (ms: number, text: string): string => `${new Date(startMs + ms).toISOString()} ${text}\n`;
  const paths: string[] = [];
  const client = {
    raw: async (_: string, path: string) => {
      paths.push(path);
      const text = path.includes("next-1")
        ? at(-500, "ERROR old") +
          at(1000, "ERROR a") +
          at(1001, "ERROR b") +
          at(2500, "fine") +
          at(3100, '{"level":"error","msg":"c"}')
        : at(1000, "all is well");
      return await Promise.resolve({ status: 200, text });
    },
  } as unknown as KubeClient;
  const status = {
    containerStatuses: [{ name: "app", ready: true, restartCount: 0, image: "", imageID: "", state: { running: {} } }],
  };
  const view = fakeView([
    fakePod({ name: "next-1", workload: "next", status }),
    fakePod({ name: "now-1", workload: "now", status }),
  ]);
  const observer = new CheckObserver({ client, view, clock });
  const check = { spec: spec("error-log-rate", { intervalSeconds: 1 }), subject: backends };
  await observer.observe(check, origin);
  clock.nowAtMs += 5000;
  const observation = await observer.observe(check, origin);
  assert.deepEqual(observation.type === "counters" ? [observation.sources, observation.lastError] : observation, [
    {
      "shop/next-1 app": { canaryTotal: 5, canaryErrors: 2, stableTotal: 0, stableErrors: 0 },
      "shop/now-1 app": { canaryTotal: 0, canaryErrors: 0, stableTotal: 5, stableErrors: 0 },
    },
    'shop/next-1 app: {"level":"error","msg":"c"}',
  ]);
  assert.match(paths[0] ?? "", /limitBytes=262144/);
});

test("setting the clock forward or back adds no seconds to the counted time of logs, and counting continues", async () => {
  const clock = standingClock();
  const client = { raw: async () => await Promise.resolve({ status: 200, text: "" }) } as unknown as KubeClient;
  const status = {
    containerStatuses: [{ name: "app", ready: true, restartCount: 0, image: "", imageID: "", state: { running: {} } }],
  };
  const view = fakeView([fakePod({ name: "next-1", workload: "next", status })]);
  const observer = new CheckObserver({ client, view, clock });
  const check = { spec: spec("error-log-rate", { intervalSeconds: 1 }), subject: backends };
  const seconds = async (): Promise<number | undefined> => {
    const observation = await observer.observe(check, origin);
    return observation.type === "counters" ? observation.sources["shop/next-1 app"]?.canaryTotal : undefined;
  };
  assert.equal(await seconds(), 0);
  clock.nowAtMs += 5000;
  assert.equal(await seconds(), 5);
  for (const jumpMs of [3_600_000, -7_200_000]) {
    const before = await seconds();
    clock.jumpedMs += jumpMs;
    clock.nowAtMs += 5000;
    assert.equal(await seconds(), before, `${jumpMs}: this look counts nothing`);
    clock.nowAtMs += 5000;
    assert.equal(await seconds(), (before ?? 0) + 5, `${jumpMs}: the next one counts on`);
  }
});

test('error lines are recognized in JSON, klog, logfmt and text, but not by the word "error" alone', () => {
  const errors = [
    '{"level":"error","msg":"x"}',
    '{"severity":"CRITICAL"}',
    '{"level":50,"msg":"x"}',
    "E0102 15:04:05.000001 1 main.go:1] x",
    "time=1 level=error msg=x",
    "2026-01-02 10:00:00 ERROR shop - x",
    "[2026-01-02] [ERROR] x",
    "Error: cannot read",
    "Traceback (most recent call last):",
  ];
  const others = [
    '{"level":"info","msg":"no error here"}',
    '{"level":30}',
    "I0102 15:04:05.000001 1 main.go:1] x",
    "level=info error=none",
    "0 errors found",
    "GET /error 200",
    "2026-01-02 INFO ERROR_COUNT is 0",
  ];
  assert.deepEqual(
    errors.filter((line) => !isErrorLine(line)),
    [],
  );
  assert.deepEqual(
    others.filter((line) => isErrorLine(line)),
    [],
  );
});

test("a pod's problem comes from its status, and includes how its container ended", () => {
  const status = (container: object): object => ({
    containerStatuses: [{ name: "app", ready: false, restartCount: 2, image: "", imageID: "", ...container }],
  });
  const crashed = podFacts(
    fakePod({
      name: "a",
      status: status({
        state: { waiting: { reason: "CrashLoopBackOff" } },
        lastState: { terminated: { exitCode: 1, reason: "Error" } },
      }),
    }),
  );
  assert.deepEqual(
    [crashed.problem, crashed.restarts, crashed.lastEnd],
    [
      { kind: "CrashLoopBackOff", detail: "app is in a crash loop, app ended with 1 (Error)" },
      2,
      "app ended with 1 (Error)",
    ],
  );
  const starved = podFacts(
    fakePod({
      name: "a",
      status: status({ state: { running: {} }, lastState: { terminated: { exitCode: 137, reason: "OOMKilled" } } }),
    }),
  );
  assert.equal(starved.problem?.kind, "OOMKilled");
  const imageless = podFacts(
    fakePod({
      name: "a",
      status: status({ restartCount: 0, state: { waiting: { reason: "ImagePullBackOff", message: "no such image" } } }),
    }),
  );
  assert.equal(imageless.problem?.detail, "app has an image that cannot be pulled: no such image");
  assert.equal(
    podFacts(fakePod({ name: "a", status: { conditions: [{ type: "Ready", status: "True" }] } })).ready,
    true,
  );
});

test("checks of what the canary's pods do know how many of them are ready, and others do not ask", async () => {
  const clock = standingClock();
  const ready = (name: string, status: "True" | "False") =>
    fakePod({
      name,
      workload: name.split("-")[0] ?? "",
      status: { conditions: [{ type: "Ready", status }] },
    });
  const view = fakeView([ready("next-0", "True"), ready("next-1", "False"), ready("now-0", "True"), gatewayPod("g")]);
  const observer = new CheckObserver({ client: noClient, view, clock, scrape: fakeScrape({ g: "" }) });
  const seen = async (type: CheckType, subject: CheckSubject = backends) =>
    (await observer.observe({ spec: spec(type), subject }, origin)).ready;
  assert.deepEqual(await seen("request-success-rate"), { canary: 1, stable: 1, isExpected: true });
  assert.deepEqual(await seen("pod-health"), { canary: 1, stable: 1, isExpected: false });
  assert.deepEqual(
    await seen("request-success-rate", { ...backends, expectedShare: 0 }),
    { canary: 1, stable: 1, isExpected: false },
    "a mirror",
  );
  assert.equal(await seen("request-success-rate", { type: "mesh" }), undefined);
});
