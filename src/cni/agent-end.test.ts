import assert from "node:assert/strict";
import { test } from "node:test";
import type { KubernetesObject } from "../api/index.ts";
import type { DaemonSet } from "../api/kubernetes/index.ts";
import { createLogger, userError } from "../base/index.ts";
import { HandClock } from "../base/testing/index.ts";
import type { KubeClient } from "../kube/index.ts";
import { agentEnd, SeenDaemonSet, type AgentEnd } from "./agent-end.ts";

const deleted = { deletionTimestamp: "2026-01-01T00:00:00Z" };

/** The API server's objects by `kind/name`. A function returns the object, and is called at each read. */
type Objects = Readonly<Record<string, object | (() => object | undefined)>>;

/** The changes of the agent's DaemonSet that the agent's watch has delivered. */
type Seen = readonly ("set" | "ending" | "delete")[];

async function endWith(objects: Objects, ztunnels = ["default"], seen: Seen = ["set"]): Promise<AgentEnd> {
  const client: Pick<KubeClient, "get"> = {
    get: async <Value extends KubernetesObject>(kind: { readonly kind: string }, name: string) => {
      const found = objects[`${kind.kind}/${name}`];
      const metadata = typeof found === "function" ? (found as () => object | undefined)() : found;
      return (metadata === undefined ? undefined : { metadata }) as Value | undefined;
    },
  };
  const log = createLogger({ scope: "cni", level: "error", write: () => undefined });
  const options = { client, namespace: "istio-system", daemonSet: "istio-cni-node", clock: new HandClock(), log };
  return await agentEnd({ ...options, seen: seenDaemonSet(seen) }, ztunnels);
}

function seenDaemonSet(changes: Seen): SeenDaemonSet {
  return new SeenDaemonSet({
    subscribe: (handler) => {
      for (const change of changes) {
        const metadata = { name: "istio-cni-node", ...(change === "ending" ? deleted : {}) };
        const object = { apiVersion: "apps/v1", kind: "DaemonSet", metadata } as DaemonSet;
        const key = "istio-system/istio-cni-node";
        handler(
          change === "delete" ? { type: change, key, object } : { type: "set", key, object, previous: undefined },
        );
      }
      return { [Symbol.dispose]: () => undefined };
    },
  });
}

function failing(code: "forbidden" | "unauthorized" | "unavailable"): () => object {
  return () => {
    throw userError(code, "no");
  };
}

test("an agent ends for good only with its mesh: a deleted DaemonSet alone leaves pods with their ztunnels", async () => {
  const [agent, ztunnel] = ["DaemonSet/istio-cni-node", "DaemonSet/ztunnel"];
  assert.equal(await endWith({ [agent]: {}, [ztunnel]: {} }), "restarted");
  assert.equal(await endWith({ [agent]: deleted, [ztunnel]: {} }), "uninstalled", "in the foreground");
  assert.equal(await endWith({ [ztunnel]: {} }), "removed");
  assert.equal(await endWith({ "DaemonSet/ztunnel-1-2": {} }, ["default", "1-2"]), "removed");
  assert.equal(await endWith({ [ztunnel]: deleted }), "uninstalled");
  assert.equal(await endWith({}), "uninstalled");
  assert.equal(await endWith({ [ztunnel]: {} }, []), "uninstalled", "no ztunnel serves this node");
});

test("an agent whose namespace is deleted counts as uninstalled, even while its DaemonSet exists", async () => {
  assert.equal(
    await endWith({
      "Namespace/istio-system": deleted,
      "DaemonSet/istio-cni-node": {},
      "DaemonSet/ztunnel": {},
    }),
    "uninstalled",
  );
});

test("a ztunnel that is deleted right after the agent does not count as staying", async () => {
  let looks = 0;
  const going = (): object | undefined => ((looks += 1) === 1 ? {} : undefined);
  assert.equal(await endWith({ "DaemonSet/ztunnel": going }), "uninstalled");
  assert.equal(looks, 2);
});

test("an agent without rights counts as uninstalled if it saw its DaemonSet being deleted, or could not watch it", async () => {
  for (const code of ["forbidden", "unauthorized"] as const) {
    const refused = { "DaemonSet/istio-cni-node": failing(code) };
    assert.equal(await endWith(refused, ["default"], ["set", "ending"]), "uninstalled");
    assert.equal(await endWith(refused, ["default"], ["set", "delete"]), "uninstalled");
    assert.equal(await endWith(refused, ["default"], []), "uninstalled");
  }
});

test("an agent without rights keeps its pods in the mesh while its DaemonSet exists: signing keys may be new", async () => {
  for (const code of ["forbidden", "unauthorized"] as const)
    assert.equal(await endWith({ "DaemonSet/istio-cni-node": failing(code) }), "restarted");
  assert.equal(
    await endWith({ "DaemonSet/istio-cni-node": failing("forbidden") }, ["default"], ["delete", "set"]),
    "restarted",
    "a DaemonSet that was made anew",
  );
});

test("an agent asks again when it is refused, because an API server that has just started refuses everybody", async () => {
  let looks = 0;
  const starting = (): object => ((looks += 1) < 3 ? failing("forbidden")() : deleted);
  assert.equal(await endWith({ "DaemonSet/istio-cni-node": starting }), "uninstalled");
  assert.equal(looks, 3);
});

test("an agent that cannot reach the API server keeps its pods in the mesh", async () => {
  assert.equal(await endWith({ "DaemonSet/istio-cni-node": failing("unavailable") }), "restarted");
});
