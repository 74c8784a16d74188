import assert from "node:assert/strict";
import { test } from "node:test";
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
