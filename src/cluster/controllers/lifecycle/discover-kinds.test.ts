import assert from "node:assert/strict";
import { test } from "node:test";
import type { KubeClient } from "../../../kube/index.ts";
import { discoverKinds } from "./discover-kinds.ts";

const all = ["get", "list", "watch", "delete", "create"];
const resource = (plural: string, kind: string, scope = "Namespaced", verbs: readonly string[] = all) => ({
  resource: plural,
  responseKind: { kind },
  scope,
  verbs,
});

/** A client of a server that answers `/api` and `/apis` with these documents. */
function serverOf(core: unknown, groups: unknown, status = 200): { client: KubeClient; requests: string[] } {
  const requests: string[] = [];
  const raw: KubeClient["raw"] = async (method, path, options) => {
    requests.push(`${method} ${path} ${options?.accept}`);
    return { status, headers: {}, text: JSON.stringify({ items: path === "/api" ? core : groups }) };
  };
  return { client: { raw } as unknown as KubeClient, requests };
}

test("each kind is found once, at the version that its group prefers", async () => {
  const { client, requests } = serverOf(
    [{ metadata: {}, versions: [{ version: "v1", resources: [resource("nodes", "Node", "Cluster")] }] }],
    [
      {
        metadata: { name: "autoscaling" },
        versions: [
          { version: "v2", resources: [resource("horizontalpodautoscalers", "HorizontalPodAutoscaler")] },
          { version: "v1", resources: [resource("horizontalpodautoscalers", "HorizontalPodAutoscaler")] },
        ],
      },
    ],
  );
  const kinds = await discoverKinds(client);
  assert.deepEqual(
    kinds.map(({ group, versions, kind, plural, namespaced }) => [group, ...versions, kind, plural, namespaced]),
    [
      ["", "v1", "Node", "nodes", false],
      ["autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", true],
    ],
  );
  assert.deepEqual(
    requests.map((request) => request.split(" ", 2).join(" ")),
    ["GET /api", "GET /apis"],
  );
  assert.ok(requests.every((request) => request.endsWith("as=APIGroupDiscoveryList")));
});

test("a kind that only a later version has is found there", async () => {
  const { client } = serverOf(
    [],
    [
      {
        metadata: { name: "example.com" },
        versions: [
          { version: "v1", resources: [resource("apples", "Apple")] },
          { version: "v1beta1", resources: [resource("apples", "Apple"), resource("pears", "Pear")] },
        ],
      },
    ],
  );
  assert.deepEqual(
    (await discoverKinds(client)).map(({ kind, versions }) => `${kind} ${versions[0]}`),
    ["Apple v1", "Pear v1beta1"],
  );
});

test("kinds of one name in two groups are two kinds", async () => {
  const group = (name: string) => ({
    metadata: { name },
    versions: [{ version: "v1", resources: [resource("gateways", "Gateway")] }],
  });
  const { client } = serverOf([], [group("a.example.com"), group("b.example.com")]);
  assert.deepEqual(
    (await discoverKinds(client)).map(({ group: name }) => name),
    ["a.example.com", "b.example.com"],
  );
});

test("kinds that cannot be listed, watched or deleted are left out", async () => {
  const without = (verb: string): string[] => all.filter((each) => each !== verb);
  const resources = ["list", "watch", "delete"].map((verb) => resource(`${verb}s`, verb, "Namespaced", without(verb)));
  const { client } = serverOf(
    [{ versions: [{ version: "v1", resources: [...resources, resource("pods", "Pod")] }] }],
    [],
  );
  assert.deepEqual(
    (await discoverKinds(client)).map(({ kind }) => kind),
    ["Pod"],
  );
});

test("an answer other than 200 is an error that names the path", async () => {
  await assert.rejects(discoverKinds(serverOf([], [], 503).client), /GET \/api: HTTP status 503/);
});
