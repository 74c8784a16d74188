import assert from "node:assert/strict";
import { test } from "node:test";
import { serviceKind } from "../../api/kubernetes/index.ts";
import { silentLogger, systemClock } from "../../base/index.ts";
import { until } from "../../base/testing/index.ts";
import { CollectionGraph } from "../../kube/index.ts";
import { createMeshInputs } from "../model/index.ts";
import { FakeKubeClient } from "../testing/fake-kube-client.ts";
import { service } from "../testing/model-fixture.ts";
import { MeshIngest } from "./mesh-ingest.ts";

test("a version that is read while the model settles counts as processed after the next settling", async () => {
  const client = new FakeKubeClient();
  const graph = new CollectionGraph({ schedule: () => undefined });
  const inputs = createMeshInputs(graph);
  const ingest = new MeshIngest({ client, inputs, revision: "default", clock: systemClock, log: silentLogger });
  const stopped = new AbortController();
  const running = ingest.run(stopped.signal);
  await ingest.synced;
  const write = async (address: string): Promise<string> => {
    const { metadata } = client.put(serviceKind, service("shop/web", address, {}, []));
    const version = metadata.resourceVersion ?? "";
    await until(() => ingest.get("Service", "shop/web")?.metadata.resourceVersion === version);
    return version;
  };
  const processed = (version: string) => ingest.processedVersion("", "Service", "shop/web", version);
  const first = await write("10.96.0.1");
  ingest.settling();
  const second = await write("10.96.0.2");
  ingest.settled(1);
  assert.deepEqual(processed(second), { processed: false, generation: 0 });
  ingest.settling();
  ingest.settled(2);
  assert.deepEqual(processed(second), { processed: true, generation: 2 });
  assert.deepEqual(processed(first), { processed: true, generation: 2 }, "a later version includes an earlier one");
  stopped.abort();
  await running;
});
