import assert from "node:assert/strict";
import { test } from "node:test";
import type { Deployment } from "../../api/kubernetes/index.ts";
import { budgetOf, overlaid, scalerOf } from "./gateway-overlays.ts";

const container = {
  name: "istio-proxy",
  image: "proxyv2",
  env: [
    { name: "A", value: "1" },
    { name: "B", value: "2" },
  ],
  args: ["proxy", "router"],
};
const deployment = {
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata: { name: "web-istio", namespace: "edge", labels: { a: "1" } },
  spec: {
    replicas: 1,
    selector: { matchLabels: { app: "web" } },
    template: { metadata: {}, spec: { containers: [container] } },
  },
} as unknown as Deployment;

test("parameters are merged into objects and named elements, replace other lists, and null removes a field", () => {
  const text = `
metadata: {labels: {a: null, b: "2"}}
spec:
  replicas: null
  template:
    spec:
      containers:
      - name: istio-proxy
        args: [other]
        resources: {requests: {cpu: 10m}}
        env: [{name: B, value: "3"}, {name: A, $patch: delete}]
      - {name: beside, image: example/beside}
`;
  const { metadata, spec } = overlaid(deployment, text);
  assert.deepEqual(metadata.labels, { b: "2" });
  assert.ok(spec !== undefined && !("replicas" in spec));
  assert.deepEqual(spec.template.spec?.containers, [
    { ...container, args: ["other"], resources: { requests: { cpu: "10m" } }, env: [{ name: "B", value: "3" }] },
    { name: "beside", image: "example/beside" },
  ]);
  assert.equal(overlaid(deployment, undefined), deployment);
  assert.throws(() => overlaid(deployment, "- a"), {
    message: "the parameters of a Gateway for its Deployment are not an object",
  });
});

test("parameters give a volume another source in place of its own", () => {
  const volumes = [
    { name: "workload-socket", emptyDir: {} },
    { name: "other", emptyDir: {} },
  ];
  const given = {
    ...deployment,
    spec: { ...deployment.spec, template: { spec: { containers: [], volumes } } },
  } as unknown as Deployment;
  const text = "spec: {template: {spec: {volumes: [{name: workload-socket, csi: {driver: csi.spiffe.io}}]}}}";
  assert.deepEqual(overlaid(given, text).spec?.template.spec?.volumes, [
    { name: "workload-socket", csi: { driver: "csi.spiffe.io" } },
    { name: "other", emptyDir: {} },
  ]);
});

test("an autoscaler and a budget are made only where parameters ask for them", () => {
  assert.deepEqual([scalerOf(deployment, undefined), budgetOf(deployment, undefined)], [[], []]);
  const [scaler] = scalerOf(deployment, "spec: {minReplicas: 2, maxReplicas: 4}") as readonly { spec?: object }[];
  assert.deepEqual(scaler?.spec, {
    scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name: "web-istio" },
    minReplicas: 2,
    maxReplicas: 4,
  });
  const [budget] = budgetOf(deployment, "spec: {minAvailable: 1}") as readonly { spec?: object }[];
  assert.deepEqual(budget?.spec, { selector: { matchLabels: { app: "web" } }, minAvailable: 1 });
});

test("parameters cannot change an object's identity or owner", () => {
  const object = {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: {
      name: "web-istio",
      namespace: "shop",
      labels: { "gateway.networking.k8s.io/gateway-name": "web", app: "web" },
    },
  };
  const text =
    "{kind: DaemonSet, metadata: {name: istiod, namespace: istio-system, ownerReferences: [], labels: {gateway.networking.k8s.io/gateway-name: other, app: mine}}}";
  assert.deepEqual(overlaid(object, text), {
    ...object,
    metadata: { ...object.metadata, labels: { app: "mine", "gateway.networking.k8s.io/gateway-name": "web" } },
  });
});

test("parameters that would take long to parse as YAML are refused unread", () => {
  const refused = (text: string): RegExp | object => ({ code: "gateway-parameters", message: new RegExp(text) });
  assert.throws(
    () => overlaid(deployment, `spec: ${"[".repeat(20_000)}`),
    refused("for its Deployment must be nested at"),
  );
  const keys = Array.from({ length: 20_000 }, (_, index) => `k${index}:`).join("\n");
  assert.throws(() => overlaid(deployment, keys), refused("must be at most 32768 characters"));
});
