import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { Pod } from "../../../api/kubernetes/index.ts";
import { systemClock } from "../../../base/index.ts";
import { PodWorker, type NodeServices } from "./pod-worker.ts";

test("a record that could not be written is written by the next look", async () => {
  const directory = mkdtempSync(join(tmpdir(), "pod-worker-"));
  const later: (() => void)[] = [];
  const warnings: string[] = [];
  const memory = join(directory, "pods", "ended");
  const services = {
    clock: { ...systemClock, after: (_ms: number, run: () => void) => (later.push(run), { [Symbol.dispose]() {} }) },
    log: { debug: () => undefined, warn: (message: string) => void warnings.push(message) },
    client: { patchMerge: async () => undefined },
    directoriesOf: () => ({ memory, disk: join(directory, "disk"), logs: join(directory, "logs") }),
    hostIp: "192.0.2.1",
    hostRoot: directory,
  } as unknown as NodeServices;
  // An ended pod has a record and needs nothing of the kernel.
  const pod: Pod = {
    metadata: { name: "ended", namespace: "shop", uid: "uid" },
    spec: { containers: [] },
    status: { phase: "Succeeded" },
  };
  try {
    // Where its directory should be is a file.
    writeFileSync(join(directory, "pods"), "");
    new PodWorker(pod, services).kick();
    await new Promise(setImmediate);
    assert.deepEqual(warnings, ["the record of a pod could not be written"]);
    rmSync(join(directory, "pods"));
    for (const look of later.splice(0)) look();
    await new Promise(setImmediate);
    assert.ok(existsSync(join(memory, "pod.json")));
    assert.equal(warnings.length, 1);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
