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
