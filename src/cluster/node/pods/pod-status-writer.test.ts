import assert from "node:assert/strict";
import { test } from "node:test";
import type { Pod } from "../../../api/kubernetes/index.ts";
import { createLogger, systemClock, transientError } from "../../../base/index.ts";
import type { KubeClient } from "../../../kube/index.ts";
import { ServerHarness } from "../../apiserver/testing/index.ts";
import { PodStatusWriter } from "./pod-status-writer.ts";
import type { PodView } from "./pod-status.ts";

type Status = NonNullable<Pod["status"]>;

const spec = { name: "main", image: "shop" };

/** A fake API server with one pod. The node gets the event of a write only when {@link ServedPod.receive} is called. */
class ServedPod {
  readonly writes: Status[] = [];
  /** The pid annotation of each write: the first process of the pod. */
  readonly initPids: (string | undefined)[] = [];
  readonly writer: PodStatusWriter;
  now = "2026-01-31T12:00:00Z";
  ready = false;
  initPid: number | undefined;
  #received: Pod = {
    metadata: { name: "shop-1", namespace: "shop", uid: "u", resourceVersion: "9" },
    spec: { containers: [spec] },
  };
  #stored = this.#received;

  constructor() {
    const client: Pick<KubeClient, "patchMerge"> = {
      patchMerge: async (_kind, _name, _namespace, patch) => {
        const { metadata, status } = patch as Pick<Pod, "metadata"> & { readonly status: Status };
        this.writes.push(status);
        this.initPids.push(metadata.annotations?.["lab.serin.dev/init-pid"]);
        this.store({ ...this.#stored.status, ...status });
        return this.#stored as never;
      },
    };
    const log = createLogger({ scope: "test", level: "error" });
    this.writer = new PodStatusWriter({ client: client as KubeClient, log, clock: systemClock }, () => this.#view());
  }

  /** Writes a condition as the scheduler does. Its null value stays in the stored object. */
  bind(): void {
    const status = { conditions: [{ type: "PodScheduled", status: "True" as const, lastProbeTime: null }] };
    this.#stored = { ...this.#stored, status };
  }

  store(status: Status): void {
    const version = String(Number(this.#stored.metadata.resourceVersion) + 1);
    // Like the API server, store no null values.
    const kept = JSON.parse(JSON.stringify(status), (_key, value) => value ?? undefined) as Status;
    this.#stored = { ...this.#stored, metadata: { ...this.#stored.metadata, resourceVersion: version }, status: kept };
  }

  receive(): void {
    this.#received = this.#stored;
  }

  #view(): PodView {
    const container = {
      spec,
      role: "main" as const,
      state: { running: { startedAt: "2026-01-31T11:59:59Z" } },
      lastState: undefined,
      restartCount: 0,
      containerId: "serin://1",
      imageId: "shop@sha256:1",
      started: true,
      ready: this.ready,
      done: false,
    };
    const { now, initPid } = this;
    const fixed = { podIp: "10.244.0.9", hostIp: "172.18.0.2", startTime: "2026-01-31T11:59:58Z", hasSandbox: true };
    return { ...fixed, pod: this.#received, containers: [container], now, initPid };
  }
}

test("a status that the server has is not written again before its event arrives", async () => {
  const pod = new ServedPod();
  await pod.writer.flush();
  pod.now = "2026-01-31T12:00:01Z";
  await pod.writer.flush();
  assert.equal(pod.writes.length, 1);
  pod.ready = true;
  await pod.writer.flush();
  pod.now = "2026-01-31T12:00:02Z";
  await pod.writer.flush();
  pod.receive();
  await pod.writer.flush();
  assert.deepEqual(
    pod.writes.map(({ conditions = [] }) => conditions.find(({ type }) => type === "Ready")),
    [
      {
        type: "Ready",
        status: "False",
        lastTransitionTime: "2026-01-31T12:00:00Z",
        reason: "ContainersNotReady",
        message: "containers with unready status: [main]",
      },
      { type: "Ready", status: "True", lastTransitionTime: "2026-01-31T12:00:01Z" },
    ],
  );
});

test("a status that the server has is not written again after its event has arrived", async () => {
  const pod = new ServedPod();
  pod.bind();
  pod.receive();
  await pod.writer.flush();
  pod.receive();
  for (const second of [1, 2, 3]) {
    pod.now = `2026-01-31T12:00:0${second}Z`;
    await pod.writer.flush();
  }
  assert.equal(pod.writes.length, 1);
});

test("the first process of a pod is written together with the status, and once", async () => {
  const pod = new ServedPod();
  await pod.writer.flush();
  pod.initPid = 71;
  await pod.writer.flush();
  await pod.writer.flush();
  assert.deepEqual(pod.initPids, [undefined, "71"]);
  pod.initPid = undefined;
  await pod.writer.flush();
  assert.equal(pod.initPids.length, 2, "the end of a sandbox alone is no reason to write");
});

test("a condition that another client has removed is written again", async () => {
  const pod = new ServedPod();
  await pod.writer.flush();
  pod.store({ ...pod.writes[0], conditions: [] });
  await pod.writer.flush();
  assert.equal(pod.writes.length, 1, "the node does not know it yet");
  pod.receive();
  await pod.writer.flush();
  assert.equal(pod.writes.length, 2);
  assert.equal(pod.writes[1]?.conditions?.length, 4);
});

test("the API server stores the conditions of a node unchanged, so they equal those of the next look", async () => {
  const server = await new ServerHarness().start();
  try {
    const pods = "/api/v1/namespaces/default/pods";
    await server.call("POST", "/api/v1/namespaces/default/serviceaccounts", { metadata: { name: "default" } });
    await server.call("POST", pods, { metadata: { name: "shop-1" }, spec: { containers: [spec] } });
    const pod = new ServedPod();
    pod.bind();
    pod.receive();
    await pod.writer.flush();
    const [status] = pod.writes;
    const merge = { contentType: "application/merge-patch+json" };
    const { body } = await server.call("PATCH", `${pods}/shop-1/status`, { status }, merge);
    assert.equal(status?.conditions?.length, 5);
    assert.deepEqual(body.status.conditions, status.conditions);
  } finally {
    await server.remove();
  }
});

test("a pod whose name another pod has taken is not written again and again once it has ended here", async () => {
  let writes = 0;
  const client: Pick<KubeClient, "patchMerge"> = {
    patchMerge: async () => {
      writes += 1;
      return await Promise.reject(transientError("conflict", "Precondition failed: UID in precondition: u"));
    },
  };
  const pauses: (() => void)[] = [];
  const clock = { ...systemClock, sleep: async () => await new Promise<void>((resolve) => pauses.push(resolve)) };
  const view: PodView = {
    pod: { metadata: { name: "shop-1", namespace: "shop", uid: "u" }, spec: { containers: [spec] } },
    containers: [],
    podIp: undefined,
    hostIp: "172.18.0.2",
    startTime: "",
    hasSandbox: false,
    initPid: undefined,
    now: "2026-01-31T12:00:00Z",
  };
  const log = createLogger({ scope: "test", level: "error" });
  const writer = new PodStatusWriter({ client: client as KubeClient, log, clock }, () => view);
  writer.changed();
  const pass = async (): Promise<void> => {
    await new Promise(setImmediate);
    for (const end of pauses.splice(0)) end();
    await new Promise(setImmediate);
  };
  await pass();
  assert.equal(writes, 2);
  writer.end();
  await pass();
  writer.changed();
  await pass();
  assert.equal(writes, 2);
  assert.equal(pauses.length, 0);
});
