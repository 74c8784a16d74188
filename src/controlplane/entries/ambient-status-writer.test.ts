import assert from "node:assert/strict";
import { after, test } from "node:test";
import type { KubernetesObject } from "../../api/index.ts";
import { authorizationPolicyKind } from "../../api/istio/index.ts";
import { silentLogger, systemClock } from "../../base/index.ts";
import { until } from "../../base/testing/index.ts";
import { CollectionGraph, createInformer, type Informer, type SourceCollection } from "../../kube/index.ts";
import type { AmbientStatus } from "../model/ambient/ambient-status.ts";
import { FakeKubeClient } from "../testing/fake-kube-client.ts";
import { runAmbientStatusWriter } from "./ambient-status-writer.ts";

const stopped = new AbortController();
const running: Promise<void>[] = [];
after(async () => {
  stopped.abort();
  await Promise.all(running);
});

test("a new leader removes outdated conditions, but not those of objects that only another revision reads", async () => {
  const client = new FakeKubeClient();
  const status = {
    conditions: [
      { type: "ZtunnelAccepted", status: "True", reason: "Accepted", message: "attached to ztunnel" },
      { type: "Other", status: "True" },
    ],
  };
  for (const name of ["mine", "of-another-revision"])
    client.put(authorizationPolicyKind, {
      metadata: { name, namespace: "shop" },
      spec: {},
      status,
    } as KubernetesObject);
  const graph = new CollectionGraph();
  const none = (): SourceCollection<AmbientStatus> => graph.source<AmbientStatus>("statuses");
  const statuses = { Service: none(), ServiceEntry: none(), WorkloadEntry: none(), AuthorizationPolicy: none() };
  const informer = createInformer(client, authorizationPolicyKind, { log: silentLogger, clock: systemClock });
  running.push(informer.run(stopped.signal));
  await informer.synced;
  const objectsOf = (kind: string): Informer<KubernetesObject> | undefined =>
    kind === "AuthorizationPolicy" ? informer : undefined;
  const types = async (name: string): Promise<readonly string[] | undefined> =>
    (
      (await client.get(authorizationPolicyKind, name, "shop")) as { status?: typeof status } | undefined
    )?.status?.conditions.map(({ type }) => type);
  running.push(
    runAmbientStatusWriter(
      {
        client,
        statuses,
        objectsOf,
        isRead: (_kind, key) => key === "shop/mine",
        clock: systemClock,
        log: silentLogger,
      },
      stopped.signal,
    ),
  );
  await until(async () => (await types("mine"))?.length === 1);
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(await types("mine"), ["Other"]);
  assert.deepEqual(await types("of-another-revision"), ["ZtunnelAccepted", "Other"]);
});
