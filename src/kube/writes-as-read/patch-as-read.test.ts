import assert from "node:assert/strict";
import { test } from "node:test";
import type { KindDefinition, KubernetesObject } from "../../api/index.ts";
import { userError } from "../../base/index.ts";
import type { KubeClient } from "../client.ts";
import { patchAsRead } from "./patch-as-read.ts";

interface Numbered extends KubernetesObject {
  readonly run: number;
}

const kind = { kind: "Canary" } as unknown as KindDefinition<Numbered>;
const inVersion = (resourceVersion: string, run: number): Numbered => ({
  metadata: { name: "web", resourceVersion },
  run,
});

/** The outcome of a patch that is meant for the first run, and the patches that the server accepted. */
async function patched(now: Numbered | undefined): Promise<{ outcome: string; taken: unknown[] }> {
  const taken: unknown[] = [];
  const client = {
    get: async () => await Promise.resolve(now),
    patchMerge: async (_kind: unknown, _name: string, _namespace: unknown, patch: Numbered) => {
      if (patch.metadata.resourceVersion !== now?.metadata.resourceVersion) throw userError("conflict", "stale");
      taken.push(patch);
      return await Promise.resolve(patch);
    },
  } as unknown as Pick<KubeClient, "get" | "patchMerge">;
  const outcome = await patchAsRead(client, kind, inVersion("1", 1), {
    patchOf: ({ metadata }) => ({ metadata, approved: true }),
    isMeant: ({ run }) => run === 1,
    fieldManager: "test",
    clock: { sleep: async () => await Promise.resolve() },
  });
  return { outcome, taken };
}

test("an object is patched, also when somebody has written it meanwhile", async () => {
  for (const version of ["1", "2"]) {
    const { outcome, taken } = await patched(inVersion(version, 1));
    assert.equal(outcome, "done");
    assert.equal(taken.length, 1);
  }
});

test("an object for which the patch is not meant any more stays as it is, and so does one that is gone", async () => {
  assert.deepEqual(await patched(inVersion("2", 2)), { outcome: "other", taken: [] });
  assert.deepEqual(await patched(undefined), { outcome: "gone", taken: [] });
});
