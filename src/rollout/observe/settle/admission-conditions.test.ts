import assert from "node:assert/strict";
import { test } from "node:test";
import type { Pod, PodSpec } from "../../../api/kubernetes/index.ts";
import { nonRootUser, restrictedContext } from "../../../api/pod-security/index.ts";
import type { KubeClient } from "../../../kube/index.ts";
import { fakeView } from "../checks/testing/fake-mesh.ts";
import { tagServesState } from "./admission-conditions.ts";

test("a refused dry run is reported with the API server's message, not as an object", async () => {
  const message = 'Internal error occurred: failed calling webhook "rev.namespace.sidecar-injector.istio.io"';
  const text = JSON.stringify({ kind: "Status", apiVersion: "v1", status: "Failure", message, code: 500 });
  const client = { raw: async () => await Promise.resolve({ status: 500, headers: {}, text }) };
  const sources = { client: client as unknown as KubeClient, view: fakeView([]) };
  assert.deepEqual(await tagServesState(sources, { tag: "prod", revision: "1-18-1" }), {
    state: "waiting",
    detail: `dry run of a pod of tag prod: ${message}`,
  });
});

/** The pod that the dry run sends when the cluster has these pods. */
async function dryRunPod(pods: readonly Pod[]): Promise<Pod & { spec: PodSpec }> {
  const bodies: unknown[] = [];
  const text = JSON.stringify({ metadata: { annotations: { "istio.io/rev": "next" } } });
  const raw = async (_verb: string, _path: string, { body }: { readonly body: unknown }): Promise<object> => {
    bodies.push(body);
    return await Promise.resolve({ status: 201, headers: {}, text });
  };
  const sources = { client: { raw } as unknown as KubeClient, view: fakeView(pods) };
  assert.deepEqual(await tagServesState(sources, { tag: "default", revision: "next" }), { state: "met" });
  const [pod = assert.fail()] = bodies as (Pod & { spec: PodSpec })[];
  return pod;
}

test("the pod of a dry run is one that PodSecurity's level restricted and a quota of limits admit", async () => {
  const { spec } = await dryRunPod([]);
  for (const { securityContext, resources } of spec.containers) {
    assert.deepEqual(securityContext, restrictedContext(nonRootUser));
    assert.deepEqual(
      [resources?.requests, resources?.limits].map((one) => Object.keys(one ?? {})),
      [
        ["cpu", "memory"],
        ["cpu", "memory"],
      ],
    );
  }
});

test("the pod of a dry run runs what the engine's pod runs, which the namespace's policies have admitted", async () => {
  const engine = {
    name: "engine",
    image: "mirror.example.com/mesh/serin:2",
    resources: { requests: { cpu: "50m" }, limits: { cpu: "1" } },
    securityContext: restrictedContext(1_000_650_000),
  };
  const pod = (name: string, namespace: string, container: object): Pod =>
    ({
      metadata: { name, namespace },
      spec: { priorityClassName: "mesh", nodeName: "n1", containers: [container] },
    }) as unknown as Pod;
  const others = [pod("a", "shop", { ...engine, image: "shop" }), pod("b", "serin-system", { name: "main" })];
  const { name: _, ...same } = engine;
  const { spec } = await dryRunPod([...others, pod("c", "serin-system", engine)]);
  assert.deepEqual(spec, { priorityClassName: "mesh", containers: [{ name: "test", ...same }] });
});

test("the pod of a dry run asks for no redirect, whose init container PodSecurity would refuse", async () => {
  const { metadata } = await dryRunPod([]);
  assert.deepEqual(metadata.annotations, { "sidecar.istio.io/interceptionMode": "NONE" });
});
