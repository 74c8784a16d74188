import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { Pod } from "../../../api/kubernetes/index.ts";
import { systemClock, transientError } from "../../../base/index.ts";
import type { EventNote } from "../../../kube/index.ts";
import { startTicksOf } from "../containers/container-process.ts";
import { PodWorker, type NodeServices } from "./pod-worker.ts";

test("a record that could not be written is written in the next round", async () => {
  const directory = mkdtempSync(join(tmpdir(), "pod-worker-"));
  const later: (() => void)[] = [];
  const warnings: string[] = [];
  const memory = join(directory, "pods", "ended");
  const services = {
    clock: { ...systemClock, after: (_ms: number, run: () => void) => (later.push(run), { [Symbol.dispose]() {} }) },
    log: { debug: () => undefined, warn: (message: string) => void warnings.push(message) },
    client: { patchMerge: async () => undefined },
    directoriesOf: () => ({
      memory,
      hostRoot: directory,
      disk: join(directory, "disk"),
      logs: join(directory, "logs"),
    }),
    hostIp: "192.0.2.1",
  } as unknown as NodeServices;
  // An ended pod has a record, and needs no features of the kernel.
  const pod: Pod = {
    metadata: { name: "ended", namespace: "shop", uid: "uid" },
    spec: { containers: [] },
    status: { phase: "Succeeded" },
  };
  try {
    // A file stands at the path of the pods' directory.
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

test("a pod whose network plugin fails has no sandbox for others, and its event has a kubelet's text", async () => {
  const directory = mkdtempSync(join(tmpdir(), "pod-worker-"));
  const events: EventNote[] = [];
  let status: Pod["status"];
  const services = {
    clock: { ...systemClock, after: () => ({ [Symbol.dispose]() {} }) },
    log: { debug: () => undefined, warn: () => undefined },
    client: {
      patchMerge: async (_kind: unknown, _name: string, _namespace: string, patch: Pod) => void (status = patch.status),
    },
    events: { record: (_kind: unknown, _pod: Pod, note: EventNote) => void events.push(note) },
    addresses: { adopt: () => undefined },
    attachment: {
      installed: true,
      add: () => Promise.reject(transientError("cni-failed", "CNI plugin serin-cni failed: no process answers")),
    },
    directoriesOf: () => ({
      memory: directory,
      hostRoot: directory,
      disk: join(directory, "disk"),
      logs: join(directory, "logs"),
    }),
    hostIp: "192.0.2.1",
  } as unknown as NodeServices;
  const pod: Pod = {
    metadata: { name: "web", namespace: "shop", uid: "uid" },
    spec: { containers: [{ name: "app", image: "app" }] },
  };
  const init = spawn("sleep", ["60"], { stdio: "ignore" });
  try {
    const pid = init.pid ?? 0;
    new PodWorker(pod, services, {
      uid: "uid",
      namespace: "shop",
      name: "web",
      startTime: "2026-01-01T00:00:00Z",
      init: { pid, startTicks: startTicksOf(pid) ?? "" },
      address: { ip: "10.0.0.5", serial: 1 },
      attached: false,
      containers: [],
    }).kick();
    await new Promise(setImmediate);
    assert.deepEqual(events, [
      {
        type: "Warning",
        reason: "FailedCreatePodSandBox",
        message:
          "Failed to create pod sandbox: the pod's network could not be set up: CNI plugin serin-cni failed: no process answers",
      },
    ]);
    assert.equal(status?.podIP, undefined);
    assert.equal(status?.conditions?.find(({ type }) => type === "PodReadyToStartContainers")?.status, "False");
    assert.equal(status?.containerStatuses?.[0]?.state?.waiting?.reason, "ContainerCreating");
  } finally {
    init.kill("SIGKILL");
    rmSync(directory, { recursive: true });
  }
});

test("a pod without its volumes has no sandbox for others, because a kubelet makes the volumes first", async () => {
  const directory = mkdtempSync(join(tmpdir(), "pod-worker-"));
  const events: EventNote[] = [];
  let status: Pod["status"];
  const services = {
    clock: { ...systemClock, after: () => ({ [Symbol.dispose]() {} }) },
    log: { debug: () => undefined, warn: () => undefined },
    client: {
      patchMerge: async (_kind: unknown, _name: string, _namespace: string, patch: Pod) => void (status = patch.status),
    },
    events: { record: (_kind: unknown, _pod: Pod, note: EventNote) => void events.push(note) },
    addresses: { adopt: () => undefined },
    attachment: {
      installed: true,
      add: () => Promise.resolve(),
    },
    directoriesOf: () => ({
      memory: directory,
      hostRoot: directory,
      disk: join(directory, "disk"),
      logs: join(directory, "logs"),
    }),
    hostIp: "192.0.2.1",
    sourcesOf: () => {
      throw transientError("object-missing", 'secret "absent" not found');
    },
  } as unknown as NodeServices;
  const pod: Pod = {
    metadata: { name: "web", namespace: "shop", uid: "uid" },
    spec: { containers: [{ name: "app", image: "app" }] },
  };
  const init = spawn("sleep", ["60"], { stdio: "ignore" });
  try {
    const pid = init.pid ?? 0;
    new PodWorker(pod, services, {
      uid: "uid",
      namespace: "shop",
      name: "web",
      startTime: "2026-01-01T00:00:00Z",
      init: { pid, startTicks: startTicksOf(pid) ?? "" },
      address: { ip: "10.0.0.5", serial: 1 },
      attached: false,
      containers: [],
    }).kick();
    await new Promise(setImmediate);
    assert.equal(status?.conditions?.find(({ type }) => type === "PodReadyToStartContainers")?.status, "False");
    assert.deepEqual(events, []);
  } finally {
    init.kill("SIGKILL");
    rmSync(directory, { recursive: true });
  }
});
