import assert from "node:assert/strict";
import { test } from "node:test";
import { parseServiceImport } from "./index.ts";

const metadata = { name: "web", namespace: "shop" };

test("a ServiceImport has the addresses of spec.ips, sorted, and an entry that is not an address is left out with a warning at its path", () => {
  const parsed = parseServiceImport({ metadata, spec: { ips: ["242.0.0.9", "soon", "242.0.0.1", 7] } });
  assert.deepEqual(parsed.value?.spec.ips, ["242.0.0.1", "242.0.0.9"]);
  assert.deepEqual(parsed.warnings, [
    { path: "spec.ips[1]", message: 'must be an IP address, got "soon"; the entry is ignored' },
    { path: "spec.ips[3]", message: "must be an IP address, got 7; the entry is ignored" },
  ]);
});

test("a ServiceImport without addresses is valid, and a headless one gets a warning that it has no host", () => {
  assert.deepEqual(parseServiceImport({ metadata }), {
    value: { metadata, spec: { ips: [] } },
    errors: [],
    warnings: [],
  });
  const headless = parseServiceImport({ metadata, spec: { type: "Headless" } });
  assert.deepEqual(headless.value?.spec.ips, []);
  assert.equal(headless.warnings[0]?.path, "spec.type");
});

test("a ServiceImport whose ips are no list is refused at that path", () => {
  assert.equal(parseServiceImport({ metadata, spec: { ips: "242.0.0.1" } }).errors[0]?.path, "spec.ips");
});
