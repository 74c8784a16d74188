import assert from "node:assert/strict";
import { test } from "node:test";
import type { UntypedObject } from "../../api/index.ts";
import { compareRendered } from "./rendered.ts";

const labels = (revision: string): Record<string, string> => ({
  "istio.io/rev": revision,
  "operator.istio.io/component": "Pilot",
});
const from = { revision: "1-18", versions: ["1.18.0"] };
const to = { revision: "1-19", versions: ["1.19.0"] };

function deployment(revision: string, version: string, more: Record<string, unknown> = {}): UntypedObject {
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: `istiod-${revision}`, namespace: "istio-system", labels: labels(revision) },
    spec: { template: { spec: { containers: [{ name: "discovery", image: `pilot:${version}`, ...more }] } } },
  };
}

function compare(
  installed: readonly UntypedObject[],
  rendered: readonly UntypedObject[],
): ReturnType<typeof compareRendered>["components"] {
  return compareRendered({ installed, rendered, namespaces: new Set(["istio-system"]), from, to }).components;
}

test("a different name of the revision, or a different version, is no difference by itself", () => {
  assert.deepEqual(compare([deployment("1-18", "1.18.0")], [deployment("1-19", "1.19.0")]), [
    { name: "Pilot", unchanged: 1, added: [], removed: [], changed: [] },
  ]);
});

test("fields that an API server or a control plane wrote to the live object are no difference, but fields that a person wrote are one", () => {
  const live = deployment("1-18", "1.18.0", {
    imagePullPolicy: "IfNotPresent",
    terminationMessagePath: "/dev/termination-log",
    args: ["discovery", "--mine"],
  });
  live["status"] = { replicas: 1 };
  live.metadata.managedFields = [
    {
      manager: "istio-operator",
      operation: "Apply",
      fieldsV1: {
        "f:metadata": { "f:labels": { "f:istio.io/rev": {}, "f:operator.istio.io/component": {} } },
        "f:spec": {
          "f:template": {
            "f:spec": { "f:containers": { 'k:{"name":"discovery"}': { ".": {}, "f:name": {}, "f:image": {} } } },
          },
        },
      },
    },
    {
      manager: "kubectl-edit",
      operation: "Update",
      fieldsV1: {
        "f:spec": { "f:template": { "f:spec": { "f:containers": { 'k:{"name":"discovery"}': { "f:args": {} } } } } },
      },
    },
    { manager: "kube-controller-manager", operation: "Update", fieldsV1: { "f:metadata": { "f:annotations": {} } } },
  ];
  const [component] = compare([live], [deployment("1-19", "1.19.0")]);
  assert.deepEqual(component?.changed, [
    {
      object: "Deployment istio-system/istiod-1-19",
      inPlace: false,
      changes: [{ path: "spec.template.spec.containers[discovery].args", before: ["discovery", "--mine"] }],
    },
  ]);
});

test("an object that both revisions share is reported as changed in place, and files in ConfigMaps are compared by content", () => {
  const map = (text: string): UntypedObject => ({
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: "shared", namespace: "istio-system", labels: labels("1-18") },
    data: { mesh: text },
  });
  const [component] = compare(
    [map("a: 1\nb: 2\n")],
    [map("b: 2\na: 3\n")].map((object) => ({ ...object, metadata: { ...object.metadata, labels: labels("1-19") } })),
  );
  assert.deepEqual(component?.changed, [
    { object: "ConfigMap istio-system/shared", inPlace: true, changes: [{ path: "data.mesh.a", before: 1, after: 3 }] },
  ]);
});

test("objects that only the old revision has are reported, except those of Gateways and tags", () => {
  const extra: UntypedObject = {
    kind: "Role",
    metadata: { name: "old", namespace: "istio-system", labels: labels("1-18") },
  };
  const tag: UntypedObject = {
    kind: "Role",
    metadata: { name: "tag", namespace: "istio-system", labels: { ...labels("1-18"), "istio.io/tag": "prod" } },
  };
  const made: UntypedObject = {
    kind: "Deployment",
    metadata: {
      name: "front-istio",
      namespace: "shop",
      labels: { ...labels("1-18"), "gateway.istio.io/managed": "yes" },
    },
  };
  const [component] = compare([deployment("1-18", "1.18.0"), extra, tag, made], [deployment("1-19", "1.19.0")]);
  assert.deepEqual(component?.removed, ["Role istio-system/old"]);
});

test("a revision without a name is compared with a named one", () => {
  const plain: UntypedObject = {
    ...deployment("x", "1.18.0"),
    metadata: { name: "istiod", namespace: "istio-system", labels: labels("default") },
  };
  const { components } = compareRendered({
    installed: [plain],
    rendered: [deployment("1-19", "1.19.0")],
    namespaces: new Set(),
    from: { revision: "default", versions: ["1.18.0"] },
    to,
  });
  assert.equal(components[0]?.unchanged, 1);
});
