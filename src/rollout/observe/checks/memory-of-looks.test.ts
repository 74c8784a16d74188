import assert from "node:assert/strict";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { checkDefaults, type CheckStatus } from "../../../api/serin/index.ts";
import type { Pod } from "../../../api/kubernetes/index.ts";
import type { KubeClient } from "../../../kube/index.ts";
import { judgeCheck, type CheckSubject, type PlannedCheck } from "../../decide/index.ts";
import { CheckObserver } from "./check-observer.ts";
import { fakeScrape, fakeView, gatewayPod, standingClock } from "./testing/fake-mesh.ts";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

const subject: CheckSubject = {
  type: "gatewayRevisions",
  gateway: { name: "front", namespace: "shop" },
  canary: "default",
  stable: "old",
};
const checks = (["request-success-rate", "request-duration", "error-log-rate", "pod-health", "restarts"] as const).map(
  (type): PlannedCheck => ({ spec: { ...checkDefaults, type, minSamples: 1_000_000, intervalSeconds: 1 }, subject }),
);

const status: Pod["status"] = {
  containerStatuses: [{ name: "app", ready: true, restartCount: 0, image: "", imageID: "", state: { running: {} } }],
};
const bounds = [1, 5, 10, 50, 100, 500, 1000, "+Inf"];
const metrics = (count: number): string =>
  [
    `istio_requests_total{reporter="source",response_code="200"} ${count}`,
    ...bounds.map(
      (bound) =>
        `istio_request_duration_milliseconds_bucket{reporter="source",response_code="200",le="${bound}"} ${count}`,
    ),
  ].join("\n");

/** The least of several garbage collections: one may leave objects that a compiler job still holds. */
async function liveHeapBytes(): Promise<number> {
  let leastBytes = Number.POSITIVE_INFINITY;
  for (let turn = 0; turn < 4; turn += 1) {
    await new Promise((resolve) => void setImmediate(resolve));
    collect();
    leastBytes = Math.min(leastBytes, process.memoryUsage().heapUsed);
  }
  return leastBytes;
}

const aliveAtOnce = 8;
const replacedEachRound = 4;

/**
 * The live heap and the size of the stored states after each quarter of a step. Half of the pods are replaced each
 * second.
 */
async function sizesOf(
  rounds: number,
): Promise<readonly { readonly heapBytes: number; readonly storedBytes: number }[]> {
  const clock = standingClock();
  const client = {
    raw: async () => await Promise.resolve({ status: 200, headers: {}, text: "" }),
  } as unknown as KubeClient;
  const texts: Record<string, string> = {};
  const pods: Pod[] = [];
  let made = 0;
  const observer = new CheckObserver({ client, view: fakeView(pods), clock, scrape: fakeScrape(texts) });
  let before: (CheckStatus | undefined)[] = [];
  const sizes: { heapBytes: number; storedBytes: number }[] = [];
  for (let round = 1; round <= rounds; round += 1) {
    for (const gone of pods.splice(0, pods.length < aliveAtOnce ? 0 : replacedEachRound))
      delete texts[gone.metadata.name ?? ""];
    while (pods.length < aliveAtOnce) {
      const name = `front-istio-${String((made += 1)).padStart(6, "0")}`;
      pods.push(gatewayPod(name, { status: status ?? {} }));
      texts[name] = "";
    }
    for (const [index, pod] of Object.keys(texts).entries()) texts[pod] = metrics(10 * (round + index));
    clock.nowAtMs += 1000;
    before = await Promise.all(
      checks.map(async (check, index) =>
        judgeCheck(
          check,
          await observer.observe(check, { rollout: "MeshUpgrade to-next 0", step: "gateway" }),
          before[index],
          round * 1000,
        ),
      ),
    );
    if (round % (rounds / 4) !== 0) continue;
    sizes.push({ heapBytes: await liveHeapBytes(), storedBytes: JSON.stringify(before).length });
  }
  assert.ok(
    before.every((check) => check?.verdict !== "error"),
    JSON.stringify(before),
  );
  return sizes;
}

const rounds = 1000;
/** The memory that V8 itself adds meanwhile, such as compiled code. Remembering the deleted pods would add more. */
const noiseBytes = 1024 * 1024;

test("the memory for deleted pods in checks is bounded, in the engine and in the stored status", async () => {
  const [, half, , full] = await sizesOf(rounds);
  assert.ok(half !== undefined && full !== undefined);
  assert.ok(
    full.storedBytes < half.storedBytes * 1.1,
    `the stored states grew from ${half.storedBytes} to ${full.storedBytes} bytes`,
  );
  const grownBytes = full.heapBytes - half.heapBytes;
  assert.ok(grownBytes < noiseBytes, `the heap grew by ${grownBytes} bytes from round ${rounds / 2} to ${rounds}`);
});
