import assert from "node:assert/strict";
import { test } from "node:test";
import { nonRootUser, restrictedContext } from "../../../api/pod-security/index.ts";
import type { KubeClient } from "../../../kube/index.ts";
import { tagServesState } from "./admission-conditions.ts";

test("a refused dry run is reported with the API server's message, not as an object", async () => {
  const message = 'Internal error occurred: failed calling webhook "rev.namespace.sidecar-injector.istio.io"';
  const text = JSON.stringify({ kind: "Status", apiVersion: "v1", status: "Failure", message, code: 500 });
  const client = { raw: async () => await Promise.resolve({ status: 500, headers: {}, text }) };
  assert.deepEqual(await tagServesState(client as unknown as KubeClient, "prod", "1-18-1"), {
    state: "waiting",
    detail: `dry run of a pod of tag prod: ${message}`,
  });
});

test("the pod of a dry run is one that PodSecurity's level restricted and a quota of limits admit", async () => {
  const bodies: unknown[] = [];
  const text = JSON.stringify({ metadata: { annotations: { "istio.io/rev": "next" } } });
  const raw = async (_verb: string, _path: string, { body }: { readonly body: unknown }): Promise<object> => {
    bodies.push(body);
    return await Promise.resolve({ status: 201, headers: {}, text });
  };
  assert.deepEqual(await tagServesState({ raw } as unknown as KubeClient, "default", "next"), { state: "met" });
  const [{ spec } = assert.fail()] = bodies as { spec: { containers: Record<string, unknown>[] } }[];
  for (const { securityContext, resources } of spec.containers) {
    assert.deepEqual(securityContext, restrictedContext(nonRootUser));
    const { requests, limits } = resources as { requests: object; limits: object };
    assert.deepEqual([requests, limits].map(Object.keys), [
      ["cpu", "memory"],
      ["cpu", "memory"],
    ]);
  }
});
