import assert from "node:assert/strict";
import { test } from "node:test";
import { podKind, type Event } from "../api/kubernetes/index.ts";
import { silentLogger, systemClock } from "../base/index.ts";
import type { KubeClient } from "./client.ts";
import { EventRecorder } from "./event-recorder.ts";

test("a repeated event is counted, a different one is created, and one without a namespace goes to default", async () => {
  const created: Event[] = [];
  const patched: unknown[] = [];
  const client = {
    create: async (_kind: unknown, event: Event) => {
      created.push(event);
      return event;
    },
    patchMerge: async (_kind: unknown, name: string, namespace: string, patch: { count: number }) =>
      patched.push([name === created[0]?.metadata.name, namespace, patch.count]),
  } as unknown as KubeClient;
  const recorder = new EventRecorder({ client, component: "test", log: silentLogger, clock: systemClock });
  const pod = { metadata: { name: "web", namespace: "shop", uid: "1" } };
  const note = { type: "Warning", reason: "Failed", message: "no" } as const;
  recorder.record(podKind, pod, note);
  recorder.record(podKind, pod, note);
  recorder.record(podKind, pod, note);
  recorder.record(podKind, { metadata: { name: "node", uid: "2" } }, note);
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(
    created.map(({ metadata, involvedObject, count }) => [metadata.namespace, involvedObject.name, count]),
    [
      ["shop", "web", 1],
      ["default", "node", 1],
    ],
  );
  assert.deepEqual(patched, [
    [true, "shop", 2],
    [true, "shop", 3],
  ]);
});
