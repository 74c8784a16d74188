import assert from "node:assert/strict";
import { parseMeshUpgrade, type MeshUpgrade } from "../../../../api/serin/index.ts";
import type { Step, Write } from "../../../decide/index.ts";
import { reference } from "../../references.ts";
import type { GatewayInWorld, MeshWorld, NamespaceInWorld, WorkloadInWorld } from "../mesh-world.ts";

export function workload(name: string, more: Partial<WorkloadInWorld> = {}): WorkloadInWorld {
  return {
    object: reference("apps/v1", "Deployment", name, "shop"),
    labels: { app: name },
    byPodLabel: false,
    state: "waiting",
    ...more,
  };
}

export function sidecars(name: string, more: Partial<NamespaceInWorld> = {}): NamespaceInWorld {
  return {
    name,
    labels: { "istio.io/rev": "old" },
    injection: { label: "istio.io/rev", value: "old" },
    labelled: false,
    workloads: [],
    leftToEnd: [],
    ambient: false,
    enrolledPods: [],
    ...more,
  };
}

export function ambient(name: string, pods: readonly string[]): NamespaceInWorld {
  return {
    name,
    labels: {},
    labelled: false,
    workloads: [],
    leftToEnd: [],
    ambient: true,
    enrolledPods: pods.map((pod) => ({ name: pod, namespace: name, node: `node-${pod}`, owner: "old" })),
  };
}

export function gateway(name: string, more: Partial<GatewayInWorld> = {}): GatewayInWorld {
  return {
    name,
    namespace: "istio-system",
    waypoint: false,
    followsNamespace: false,
    deployments: [{ name: `${name}-istio`, replicas: 1, autoscaled: false }],
    ...more,
  };
}

export const world: MeshWorld = {
  installs: [
    [{ apiVersion: "apps/v1", kind: "Deployment", metadata: { name: "istiod-new", namespace: "istio-system" } }],
  ],
  namespaces: [ambient("stock", ["a", "b", "c", "d"])],
  gateways: [
    gateway("front", { deployments: [{ name: "front-istio", replicas: 2, autoscaled: false }] }),
    gateway("back", { label: "old" }),
  ],
  classicGateways: [],
  tags: [
    {
      tag: "default",
      fields: [
        {
          object: reference(
            "admissionregistration.k8s.io/v1",
            "MutatingWebhookConfiguration",
            "istio-revision-tag-default",
          ),
          pointer: "/webhooks/0/clientConfig/service/name",
          value: "istiod-new",
        },
      ],
      objects: [],
    },
  ],
  retirable: [
    { apiVersion: "apps/v1", kind: "Deployment", plural: "deployments", name: "istiod-old", namespace: "istio-system" },
  ],
  injectors: [],
  ztunnelNodes: ["node-a", "node-b"],
  probeImage: "docker.io/istio/serin:2.0.0",
  dataPlanes: ["ambient"],
};

export function upgrade(more: object = {}): MeshUpgrade {
  const parsed = parseMeshUpgrade({
    metadata: { name: "u", uid: "0123456789" },
    spec: { from: { revision: "old" }, to: { revision: "new", install: [{ revision: "new" }] }, ...more },
  });
  assert.deepEqual(parsed.errors, []);
  assert.ok(parsed.value);
  return parsed.value;
}

export const ids = (steps: readonly Step[]): string[] => steps.map(({ id }) => id);

export function stepOf(steps: readonly Step[], id: string): Step {
  const found = steps.find((step) => step.id === id);
  assert.ok(found, `${id} is not among ${ids(steps).join(", ")}`);
  return found;
}

/** Describes a write, such as `Namespace shop istio.io/rev=new`. */
export function fieldOf(write: Write): string {
  if (write.type !== "field") return `${write.type} ${write.object.kind} ${write.object.name}`;
  const field = write.pointer.split("/").at(-1)?.replaceAll("~1", "/") ?? "";
  return `${write.object.kind} ${write.object.name} ${field}${write.value === undefined ? " absent" : `=${JSON.stringify(write.value)}`}`;
}
