import assert from "node:assert/strict";
import { test } from "node:test";
import type { KubeClient } from "../../../kube/index.ts";
import { probeNamespace, probePods } from "../../plan/index.ts";
import { fakePod, fakeView, standingClock } from "../checks/testing/fake-mesh.ts";
import { ProbeObserver } from "./probes.ts";

const scope = { revisions: ["old", "new"], dataPlanes: ["ambient"] } as const;

function observing() {
  let nowMs = 0;
  let reads = 0;
  const requests: string[] = [];
  const names = probePods(scope).map(({ reference }) => reference.name);
  const pods = names.map((name) => fakePod({ name, namespace: probeNamespace, status: { podIP: `ip of ${name}` } }));
  const raw = async () => ((reads += 1), { status: 200, text: "" });
  const view = Object.assign(fakeView(pods), { namespaces: { get: () => undefined } });
  const observer = new ProbeObserver({
    client: { raw } as unknown as KubeClient,
    view,
    clock: { ...standingClock(), steadyMs: () => nowMs },
    scrape: async () => [],
    get: async (address, port) => {
      requests.push(`${address}:${port}`);
      throw new Error("nothing listens there");
    },
  });
  const look = async (atMs: number, isWaiting: boolean): Promise<{ readonly reads: number; requests: number }> => {
    nowMs = atMs;
    await observer.observe(scope, isWaiting);
    return { reads, requests: requests.length };
  };
  return { look, requests };
}

test("clients are asked to probe while a step waits for probes, and often enough that they do not rest meanwhile", async () => {
  const { look, requests } = observing();
  await look(0, true);
  const clients = ["ip of client-ambient-old:9193", "ip of client-ambient-new:9193"];
  assert.deepEqual(requests, clients);
  assert.equal((await look(400, true)).requests, 2);
  assert.equal((await look(500, true)).requests, 4);
  assert.equal((await look(60_000, false)).requests, 4);
});

test("a step that has enough probes reads their logs less often", async () => {
  const { look } = observing();
  const { reads } = await look(0, true);
  assert.ok(reads > 0);
  assert.equal((await look(1_900, false)).reads, reads);
  assert.equal((await look(2_000, false)).reads, 2 * reads);
  assert.equal((await look(2_150, true)).reads, 3 * reads);
});
