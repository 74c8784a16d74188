import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLogger, userError } from "../../base/index.ts";
import { HandClock } from "../../base/testing/index.ts";
import type { KubeClient } from "../../kube/index.ts";
import { MirrorPods } from "./mirror-pods.ts";

test("a deleted mirror pod that a user made in another namespace is removed there", async () => {
  const deleted: string[] = [];
  const client = {
    delete: async (_kind: unknown, name: string, namespace?: string) => void deleted.push(`${namespace ?? ""}/${name}`),
    create: () => Promise.reject(userError("already-exists", "it is there already")),
  } as unknown as KubeClient;
  const mirrors = new MirrorPods({
    client,
    node: { name: "node-a", role: "worker", address: "10.0.0.2", podCidr: "10.244.1.0/24", labels: {} },
    clock: new HandClock(),
    log: silentLogger,
  });
  await mirrors.replace({ metadata: { name: "odd", namespace: "shop", uid: "1" } }, new AbortController().signal);
  assert.deepEqual(deleted, ["shop/odd"]);
});
