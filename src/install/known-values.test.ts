import assert from "node:assert/strict";
import { test } from "node:test";
import { resolveSettings } from "./settings.ts";

const defaults = { hub: "registry.test", tag: "1.2.3" };

test("values.meshConfig takes every field of the mesh's settings, at any depth, and is checked like spec.meshConfig", () => {
  const resolved = (meshConfig: object): ReturnType<typeof resolveSettings> =>
    resolveSettings({ specs: [{ values: { meshConfig } }] }, defaults);
  const { value, warnings } = resolved({
    defaultConfig: { concurrency: 2, drainDuration: "5s" },
    rootNamespace: "root",
  });
  assert.deepEqual(warnings, []);
  assert.deepEqual(value?.meshConfig["defaultConfig"], { concurrency: 2, drainDuration: "5s" });
  assert.deepEqual(
    resolved({ defaultConfig: { concurrency: -1 } }).errors.map(({ path }) => path),
    ["spec.values.meshConfig.defaultConfig.concurrency"],
  );
  assert.deepEqual(resolved({ defaultConfig: { concurency: 2 } }).warnings, [
    {
      path: "spec.values.meshConfig.defaultConfig.concurency",
      message: "is not known and has no effect; did you mean concurrency?",
    },
  ]);
});

test("settings of the mesh by the names of protobuf's definition take the place of the profile's, without a warning", () => {
  const meshConfig = {
    default_config: { proxyMetadata: { my_name: "a" } },
    enable_prometheus_merge: false,
    extensionProviders: [{ name: "authz", envoyExtAuthzGrpc: { service: "authz.foo", port: "9000" } }],
  };
  for (const spec of [{ meshConfig }, { values: { meshConfig } }]) {
    const parsed = resolveSettings({ specs: [{ profile: "demo", ...spec }] }, defaults);
    assert.deepEqual([parsed.errors, parsed.warnings], [[], []]);
    const found = parsed.value?.meshConfig ?? assert.fail();
    assert.equal(found["enablePrometheusMerge"], false);
    assert.deepEqual(
      Object.keys(found).filter((name) => name.includes("_")),
      [],
    );
    assert.deepEqual((found["defaultConfig"] as { readonly proxyMetadata?: unknown }).proxyMetadata, { my_name: "a" });
  }
});
