import assert from "node:assert/strict";
import { test } from "node:test";
import { parseCanary, parseMeshUpgrade, type CheckSpec } from "../../../api/serin/index.ts";
import type { KubeClient } from "../../../kube/index.ts";
import { fakeView } from "./testing/fake-mesh.ts";
import { ignoredReferences, withChecks } from "./resolve-references.ts";

const types: Readonly<Record<string, CheckSpec["type"]>> = {
  share: "request-share",
  probes: "mtls-probe-matrix",
  errors: "request-success-rate",
};
const client = {
  get: async (_kind: unknown, name: string) => {
    const type = types[name];
    const metadata = { name, namespace: "istio-system" };
    return await Promise.resolve(type === undefined ? undefined : { metadata, spec: { type } });
  },
} as unknown as KubeClient;
const view = Object.assign(fakeView([]), {
  recently: async <Value>(_key: string, read: () => Promise<Value>) => await read(),
});

test("an upgrade names the referenced Checks that no step has, like those of its own spec", async () => {
  const ignored = async (spec: object): Promise<readonly string[]> => {
    const { value, errors } = parseMeshUpgrade({
      apiVersion: "rollout.serin.dev/v1alpha1",
      kind: "MeshUpgrade",
      metadata: { name: "u" },
      spec: { from: { revision: "a" }, to: { revision: "b" }, ...spec },
    });
    assert.deepEqual(errors, []);
    assert.ok(value);
    return ignoredReferences(value, await withChecks(client, view, value));
  };
  const [share, ...others] = await ignored({ checks: [{ ref: "share" }, { ref: "errors" }] });
  assert.match(share ?? "", /^spec\.checks\[0\]: has no effect: no step of a MeshUpgrade has an expected share/);
  assert.deepEqual(others, []);
  const [inWave] = await ignored({ waves: [{ checks: [{ ref: "share" }] }] });
  assert.match(inWave ?? "", /^spec\.waves\[0\]\.checks\[0\]: /);
  const [second] = await ignored({ checks: [{ type: "mtls-probe-matrix" }, { ref: "probes" }] });
  assert.match(second ?? "", /^spec\.checks\[1\]: .* only one check of type mtls-probe-matrix/);
  assert.deepEqual(await ignored({ checks: [{ type: "request-share" }] }), [], "admission has warned of it");
});

test("a Canary of connections is refused with a referenced Check of requests, which would wait for ever", async () => {
  const resolve = async (protocol: string, check: string): Promise<unknown> => {
    const { value } = parseCanary({
      metadata: { name: "c", namespace: "shop" },
      spec: {
        target: { virtualService: { name: "db", protocol, stable: { host: "db" }, canary: { host: "next" } } },
        steps: [{ weight: 10, checks: [{ ref: check }] }],
      },
    });
    assert.ok(value);
    return await withChecks(client, view, value);
  };
  await assert.rejects(
    async () => await resolve("tcp", "errors"),
    /spec\.steps\[0\]\.checks\[0\]\.ref: request-success-rate needs an http route/,
  );
  await resolve("http", "errors");
});
