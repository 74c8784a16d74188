import assert from "node:assert/strict";
import { test } from "node:test";
import type { KindDefinition, KubernetesObject } from "../../api/index.ts";
import { userError, type ErrorCode } from "../../base/index.ts";
import { undoFinalizer } from "../../api/serin/index.ts";
import type { KubeClient } from "../../kube/index.ts";
import { removalRefusal } from "./finalizer.ts";

function clusterOf(objects: Readonly<Record<string, readonly KubernetesObject[]>>): KubeClient {
  return { list: async ({ kind }: KindDefinition) => ({ items: objects[kind] ?? [] }) } as unknown as KubeClient;
}

test("the engine may go when no rollout has its finalizer", async () => {
  const done = { metadata: { name: "done", namespace: "shop", finalizers: ["other"] } };
  assert.equal(
    await removalRefusal(clusterOf({ Canary: [done], MeshUpgrade: [{ metadata: { name: "to" } }] })),
    undefined,
  );
});

test("the engine must stay while rollouts have its finalizer, and the refusal has the commands that delete them", async () => {
  const finalizers = [undoFinalizer];
  const refusal = await removalRefusal(
    clusterOf({
      Canary: [{ metadata: { name: "reviews", namespace: "shop", finalizers } }],
      MeshUpgrade: [{ metadata: { name: "to-next", finalizers } }],
    }),
  );
  assert.match(
    refusal ?? "",
    /Delete them first, .*: kubectl delete canary\.rollout\.serin\.dev reviews -n shop; kubectl delete meshupgrade to-next\. To remove the engine nevertheless: helm uninstall --no-hooks$/,
  );
});

function refusing(code: ErrorCode): KubeClient {
  const list = async () => await Promise.reject(userError(code, "list canaries: no"));
  return { list } as unknown as KubeClient;
}

test("the engine may go when the definitions of rollouts are gone", async () => {
  assert.equal(await removalRefusal(refusing("not-found")), undefined);
});

test("rollouts that cannot be read keep the engine, and the refusal says how to remove it nevertheless", async () => {
  assert.equal(
    await removalRefusal(refusing("forbidden")),
    "the API server does not say whether rollouts need the engine: list canaries: no. To remove the engine nevertheless: helm uninstall --no-hooks",
  );
});
