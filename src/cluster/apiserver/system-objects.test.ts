import assert from "node:assert/strict";
import { test } from "node:test";
import { ServerHarness } from "./testing/server-harness.ts";

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
    // Remove the finalizer: its controller, which would finish the deletion, does not run in this test.
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

test("a server that starts with older roles adds their rules and takes the rights of all Secrets from nodes", async () => {
  const server = await new ServerHarness().start();
  const rbac = "/apis/rbac.authorization.k8s.io/v1";
  const [provisioner, nodes] = [
    `${rbac}/clusterroles/lab:volume-provisioner`,
    `${rbac}/clusterrolebindings/system:node`,
  ];
  const own = { kind: "User", name: "operator", apiGroup: "rbac.authorization.k8s.io" };
  const group = { ...own, kind: "Group", name: "system:nodes" };
  const merge = { contentType: "application/merge-patch+json" };
  const rule = { apiGroups: [""], resources: ["persistentvolumes"], verbs: ["delete"] };
  try {
    await server.call("PATCH", provisioner, { rules: [rule] }, merge);
    await server.call("PATCH", nodes, { subjects: [group, own] }, merge);
    const view = `${rbac}/clusterrolebindings/system:discovery`;
    const annotations = { "rbac.authorization.kubernetes.io/autoupdate": "false" };
    await server.call("PATCH", view, { metadata: { annotations }, subjects: [own] }, merge);
    await server.stop();
    await server.start();
    const { body: role } = await server.call("GET", provisioner);
    assert.deepEqual(role.rules.flatMap(({ verbs }: { verbs: string[] }) => verbs).toSorted(), [
      "delete",
      "get",
      "list",
      "watch",
    ]);
    assert.deepEqual((await server.call("GET", nodes)).body.subjects, [own]);
    assert.deepEqual((await server.call("GET", view)).body.subjects, [own]);
  } finally {
    await server.remove();
  }
});

test("a server starts although a webhook that is not there must see its own objects, and writes them once the webhook is removed", async () => {
  const server = await new ServerHarness().start();
  const hooks = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
  const slices = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
  const everything = { operations: ["*"], apiGroups: ["*"], apiVersions: ["*"], resources: ["*/*"] };
  try {
    const { status, text } = await server.call("POST", hooks, {
      metadata: { name: "absent" },
      webhooks: [
        {
          name: "absent.test.dev",
          clientConfig: { url: "https://127.0.0.1:1/" },
          rules: [everything],
          admissionReviewVersions: ["v1"],
          sideEffects: "None",
        },
      ],
    });
    assert.equal(status, 201, text);
    const before = server.port;
    await server.stop();
    await server.start();
    const portOf = async (): Promise<number> => (await server.call("GET", `${slices}/kubernetes`)).body.ports[0].port;
    assert.equal(await portOf(), before);
    assert.equal((await server.call("DELETE", `${hooks}/absent`)).status, 200);
    await server.watch(`${slices}?watch=true`, (events) =>
      events.some(({ object }) => object.ports[0].port === server.port),
    );
  } finally {
    await server.remove();
  }
});
