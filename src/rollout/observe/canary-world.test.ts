import assert from "node:assert/strict";
import { test } from "node:test";
import { parseCanary } from "../../api/serin/index.ts";
import { observeCanaryWorld } from "./canary-world.ts";
import type { CanarySources } from "./canary-world/canary-sources.ts";
import { fakeView, sidecarPod } from "./checks/testing/fake-mesh.ts";

test("a route's canary must be a Service that exists, with its port, before anything is sent there", async () => {
  const rules = [{ backendRefs: [{ name: "shop", port: 80 }] }];
  const worldWith = async (ports: readonly number[] | undefined) => {
    const { value: canary } = parseCanary({
      metadata: { name: "c", namespace: "shop" },
      spec: {
        target: { httpRoute: { name: "shop", stable: { name: "shop", port: 80 }, canary: { name: "next", port: 80 } } },
        steps: [{ weight: 10 }],
      },
    });
    assert.ok(canary);
    const found = {
      metadata: { name: "next" },
      spec: { ports: ports?.map((port) => ({ port })), selector: { app: "n" } },
    };
    const client = {
      get: async (_: unknown, name: string) =>
        await Promise.resolve(name === "next" && ports === undefined ? undefined : found),
      list: async () => await Promise.resolve({ items: [] }),
    };
    const objects = { get: async () => await Promise.resolve({ metadata: { name: "shop" }, spec: { rules } }) };
    const view = fakeView([sidecarPod("client", "default", "client")]);
    return await observeCanaryWorld({ client, objects, view } as unknown as CanarySources, canary, []);
  };
  await assert.rejects(
    worldWith(undefined),
    /^[^;]*spec\.target\.httpRoute\.canary: Service shop\/next does not exist/,
  );
  await assert.rejects(
    worldWith([8080]),
    /spec\.target\.httpRoute\.canary: Service shop\/next has no port 80; it has 8080/,
  );
  const [subject] = (await worldWith([80])).subjects;
  assert.deepEqual(subject?.canary, { namespace: "shop", service: "next", podLabels: { app: "n" } });
});
