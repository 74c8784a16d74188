import assert from "node:assert/strict";
import { test } from "node:test";
import { readClusterSettings } from "./cluster-options.ts";

test("multi-cluster services are off by default, and use the API's own group and version", () => {
  const { services, withoutEffect } = readClusterSettings({});
  assert.deepEqual(services, {
    api: { group: "multicluster.x-k8s.io", version: "v1alpha1" },
    discovery: false,
    host: false,
    clusterLocal: false,
    autoExport: false,
  });
  assert.deepEqual(withoutEffect, []);
});

test("the host needs discovery, and local clusters need the host; a setting without the setting that it needs is reported", () => {
  const alone = readClusterSettings({ ENABLE_MCS_HOST: "true", ENABLE_MCS_CLUSTER_LOCAL: "true" });
  assert.equal(alone.services.host || alone.services.clusterLocal, false);
  assert.deepEqual(alone.withoutEffect, [
    "ENABLE_MCS_HOST (needs ENABLE_MCS_SERVICE_DISCOVERY=true)",
    "ENABLE_MCS_CLUSTER_LOCAL (needs ENABLE_MCS_HOST=true)",
  ]);
  const all = readClusterSettings({
    ENABLE_MCS_SERVICE_DISCOVERY: "true",
    ENABLE_MCS_HOST: "true",
    ENABLE_MCS_CLUSTER_LOCAL: "true",
    ENABLE_MCS_AUTO_EXPORT: "true",
    MCS_API_GROUP: "net.gke.io",
    MCS_API_VERSION: "v1",
  });
  assert.deepEqual(all.services, {
    api: { group: "net.gke.io", version: "v1" },
    discovery: true,
    host: true,
    clusterLocal: true,
    autoExport: true,
  });
  assert.deepEqual(all.withoutEffect, []);
});

test("a group or version that no API can have is refused, and the error names the variable", () => {
  assert.throws(() => readClusterSettings({ MCS_API_GROUP: "Multi Cluster" }), /MCS_API_GROUP must be an API group/);
  assert.throws(() => readClusterSettings({ MCS_API_VERSION: "1alpha" }), /MCS_API_VERSION must be an API version/);
});
