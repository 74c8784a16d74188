import assert from "node:assert/strict";
import { test } from "node:test";
import type { KindDefinition, KubernetesObject } from "../../api/index.ts";
import { userError } from "../../base/index.ts";
import type { KubeClient } from "../client.ts";
import { patchThisObject } from "./patch-this-object.ts";

const kind = { kind: "Canary" } as unknown as KindDefinition<KubernetesObject>;
const object = (uid: string): KubernetesObject => ({ metadata: { name: "web", namespace: "shop", uid } });

async function patched(refusal: Error | undefined, now: KubernetesObject | undefined): Promise<string> {
  const client = {
    patchMerge: async () => await (refusal === undefined ? Promise.resolve(object("u")) : Promise.reject(refusal)),
    get: async () => await Promise.resolve(now),
  } as unknown as Pick<KubeClient, "get" | "patchMerge">;
  return await patchThisObject(client, kind, object("u"), { patch: { metadata: { uid: "u" } }, fieldManager: "cli" });
}

test("a patch reports another object of the name, and passes every other refusal on", async () => {
  assert.equal(await patched(undefined, object("u")), "done");
  for (const code of ["invalid", "conflict"] as const) {
    assert.equal(await patched(userError(code, "no"), object("other")), "replaced");
    await assert.rejects(patched(userError(code, "no"), object("u")), { code });
    await assert.rejects(patched(userError(code, "no"), undefined), { code });
  }
  await assert.rejects(patched(userError("forbidden", "no"), object("other")), { code: "forbidden" });
});
