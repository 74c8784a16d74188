import assert from "node:assert/strict";
import { test } from "node:test";
import { ServerHarness } from "./server-harness.ts";

test("the Service kubernetes and its endpoints are restored with the same address after someone has deleted them", async () => {
  const server = await new ServerHarness().start();
  try {
    const service = "/api/v1/namespaces/default/services/kubernetes";
    const slice = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes";
    const endpoints = "/api/v1/namespaces/default/endpoints/kubernetes";
    const before = await server.call("GET", service);
    for (const path of [service, slice, endpoints]) {
      const { body } = await server.call("GET", path);
      assert.equal((await server.call("DELETE", path)).status, 200);
      const list = path.slice(0, path.lastIndexOf("/"));
      const restored = await server.watch(`${list}?watch=true&fieldSelector=metadata.name%3Dkubernetes`, (events) =>
        events.some(({ type, object }) => type === "ADDED" && object.metadata.uid !== body.metadata.uid),
      );
      assert.equal(restored.at(-1)?.object.metadata.name, "kubernetes", path);
    }
    const after = await server.call("GET", service);
    assert.equal(after.body.spec.clusterIP, before.body.spec.clusterIP);
  } finally {
    await server.stop();
  }
});

test("the namespace of the nodes' leases is restored after it was deleted", async () => {
  const server = await new ServerHarness().start();
  try {
    const { body } = await server.call("DELETE", "/api/v1/namespaces/kube-node-lease");
    // Its finalizer belongs to a controller, which this server alone does not have.
    const finalized = { ...body, spec: { finalizers: [] } };
    const { status } = await server.call("PUT", "/api/v1/namespaces/kube-node-lease/finalize", finalized);
    assert.equal(status, 200);
    const own = "/api/v1/namespaces?watch=true&fieldSelector=metadata.name%3Dkube-node-lease";
    const restored = await server.watch(own, (events) =>
      events.some(({ type, object }) => type === "ADDED" && object.metadata.uid !== body.metadata.uid),
    );
    assert.equal(restored.at(-1)?.object.metadata.name, "kube-node-lease");
  } finally {
    await server.stop();
  }
});
