import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { describeError } from "../../base/index.ts";
import { istioKinds } from "../../api/istio/index.ts";
import type { KubeClient } from "../../kube/index.ts";
import { readCluster } from "./index.ts";

test("reading that takes too long ends with the hint of the caller, who knows its flags", async () => {
  const client = {
    list: async () => {
      await sleep(20);
      return { items: [] };
    },
  } as unknown as KubeClient;
  const selection = { istioNamespace: "istio-system", revision: "default", kinds: istioKinds };
  const errorWith = async (hint?: string): Promise<string> =>
    await readCluster(client, selection, { timeoutMs: 1, ...(hint === undefined ? {} : { hint }) }).then(
      () => assert.fail("it was read"),
      describeError,
    );
  const late = "the cluster's objects could not be read within 0.001 s";
  assert.equal(await errorWith(), late);
  assert.equal(await errorWith("pass a longer --timeout"), `${late}\n  hint: pass a longer --timeout`);
});
