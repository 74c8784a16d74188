import assert from "node:assert/strict";
import { test } from "node:test";
import type { KubernetesObject } from "../api/index.ts";
import { createLogger, userError } from "../base/index.ts";
import { HandClock } from "../base/testing/index.ts";
import type { KubeClient } from "../kube/index.ts";
import { agentEnd, type AgentEnd } from "./agent-end.ts";

const deleted = { deletionTimestamp: "2026-01-01T00:00:00Z" };

/** Objects by `kind/name`. A function is called at each read. */
type Objects = Readonly<Record<string, object | (() => object | undefined)>>;

async function endWith(objects: Objects, ztunnels = ["default"]): Promise<AgentEnd> {
  const client: Pick<KubeClient, "get"> = {
    get: async <Value extends KubernetesObject>(kind: { readonly kind: string }, name: string) => {
      const found = objects[`${kind.kind}/${name}`];
      const metadata = typeof found === "function" ? (found as () => object | undefined)() : found;
      return (metadata === undefined ? undefined : { metadata }) as Value | undefined;
    },
  };
  const log = createLogger({ scope: "cni", level: "error", write: () => undefined });
  const options = { client, namespace: "istio-system", daemonSet: "istio-cni-node", clock: new HandClock(), log };
  return await agentEnd(options, ztunnels);
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

test("an agent without rights counts as uninstalled, but not one that cannot reach the API server", async () => {
  const failing = (code: "forbidden" | "unavailable") => (): object => {
    throw userError(code, "no");
  };
  assert.equal(await endWith({ "DaemonSet/istio-cni-node": failing("forbidden") }), "uninstalled");
  assert.equal(await endWith({ "DaemonSet/istio-cni-node": failing("unavailable") }), "restarted");
});
