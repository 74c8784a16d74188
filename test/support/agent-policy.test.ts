// The admission policy that comes with the CNI agent, in the lab's API server.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ServerHarness, type Answer, type Json } from "../../src/cluster/apiserver/testing/server-harness.ts";
import { renderInstall, resolveSettings } from "../../src/install/index.ts";

const server = new ServerHarness();
const account = { name: "istio-cni", namespace: "istio-system" };
const pods = "/api/v1/namespaces/shop/pods";
let token = "";

before(async () => {
  await server.start();
  for (const name of ["istio-system", "shop"]) await server.call("POST", "/api/v1/namespaces", { metadata: { name } });
  const { value } = resolveSettings({ specs: [{ profile: "ambient" }] }, { hub: "h", tag: "1" });
  assert.ok(value);
  const { components } = renderInstall(value, { istio: [], rollout: [] });
  const cni = components.find(({ name }) => name === "cni") ?? assert.fail("there is no agent");
  const paths: Readonly<Record<string, string>> = {
    ServiceAccount: "/api/v1/namespaces/istio-system/serviceaccounts",
    ClusterRole: "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    ClusterRoleBinding: "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    ValidatingAdmissionPolicy: "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies",
    ValidatingAdmissionPolicyBinding: "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings",
  };
  for (const object of cni.objects) {
    const path = paths[object.kind ?? ""];
    if (path === undefined) continue;
    const { status, text } = await server.call("POST", path, object);
    assert.equal(status, 201, text);
  }
  await server.call("POST", "/api/v1/namespaces/shop/serviceaccounts", { metadata: { name: "default" } });
  for (const name of ["here", "elsewhere"]) await server.call("POST", "/api/v1/nodes", { metadata: { name } });
  await pod("istio-system", "agent", { serviceAccountName: account.name, nodeName: "here" });
  await pod("shop", "near", { nodeName: "here" });
  await pod("shop", "far", { nodeName: "elsewhere" });
  await pod("shop", "waiting", {});
  token = await tokenOf({ boundObjectRef: { kind: "Pod", apiVersion: "v1", name: "agent" } });
});
after(async () => await server.remove());

async function pod(namespace: string, name: string, spec: Json): Promise<void> {
  const { status, text } = await server.call("POST", `/api/v1/namespaces/${namespace}/pods`, {
    metadata: { name, labels: { app: name }, annotations: { team: "a" } },
    spec: { containers: [{ name: "main", image: "web:1" }], ...spec },
  });
  assert.equal(status, 201, text);
}

async function tokenOf(spec: Json): Promise<string> {
  const path = `/api/v1/namespaces/istio-system/serviceaccounts/${account.name}/token`;
  return (await server.call("POST", path, { spec })).body.status.token as string;
}

async function patch(name: string, body: Json, by = token): Promise<Answer> {
  return await server.call("PATCH", `${pods}/${name}/status`, body, {
    token: by,
    contentType: "application/merge-patch+json",
  });
}

const redirected = (value: string | null): Json => ({
  metadata: { annotations: { "ambient.istio.io/redirection": value, "serin.dev/ztunnel-owner": value } },
});

test("the CNI agent annotates pods of its own node, and removes its annotations", async () => {
  for (const value of ["pending", "enabled", null]) {
    const { status, text } = await patch("near", redirected(value));
    assert.equal(status, 200, text);
  }
});

test("the token of a CNI agent changes no pods of other nodes", async () => {
  for (const name of ["far", "waiting"]) {
    const { status, text } = await patch(name, redirected("enabled"));
    assert.equal(status, 403, name);
    assert.match(text, /the CNI agent may change only pods of its own node/);
  }
});

test("the token of a CNI agent gives no pod another address, readiness, label, finalizer or foreign annotation", async () => {
  for (const [body, message] of [
    [
      { status: { podIP: "10.0.0.66", podIPs: [{ ip: "10.0.0.66" }] } },
      /neither the status, the labels nor the finalizers/,
    ],
    [
      { status: { conditions: [{ type: "Ready", status: "True" }] } },
      /neither the status, the labels nor the finalizers/,
    ],
    [{ metadata: { labels: { app: "istiod" } } }, /neither the status, the labels nor the finalizers/],
    [{ metadata: { labels: null } }, /neither the status, the labels nor the finalizers/],
    [{ metadata: { finalizers: ["example.com/hold"] } }, /neither the status, the labels nor the finalizers/],
    [{ metadata: { annotations: { team: "b" } } }, /only the annotations ambient\.istio\.io\/redirection and/],
    [{ metadata: { annotations: { team: null } } }, /only the annotations/],
    [{ metadata: { annotations: null } }, /only the annotations/],
    [{ metadata: { annotations: { "sidecar.istio.io/status": "{}" } } }, /only the annotations/],
  ] as const) {
    const { status, text } = await patch("near", body);
    assert.equal(status, 403, JSON.stringify(body));
    assert.match(text, message);
  }
});

test("a token of the CNI agent's account without a node changes no pod", async () => {
  const { status, text } = await patch("near", redirected("enabled"), await tokenOf({}));
  assert.equal(status, 403);
  assert.match(text, /only pods of its own node/);
});

test("the policy of the CNI agent does not concern others that write the status of pods", async () => {
  const { status } = await server.call(
    "PATCH",
    `${pods}/far/status`,
    { status: { podIP: "10.0.0.7", podIPs: [{ ip: "10.0.0.7" }] } },
    { contentType: "application/merge-patch+json" },
  );
  assert.equal(status, 200);
});
