import assert from "node:assert/strict";
import { test } from "node:test";
import { decodePeerMetadata, encodePeerMetadata, furtherLabelNames, ownMetadata } from "./peer-metadata.ts";

const workload = {
  workload: "reviews-v1",
  namespace: "shop",
  canonicalName: "reviews",
  canonicalRevision: "v1",
  cluster: "Kubernetes",
};
const podLabels = { app: "reviews", role: "backend", tier: "gold", empty: "", secret: "s" };

test("a proxy sends the further labels that the configuration names and its pod has, and no others", () => {
  const own = ownMetadata("id", workload, "reviews-v1-x", podLabels);
  const plain = encodePeerMetadata(workload, "reviews-v1-x");
  assert.deepEqual(own(furtherLabelNames([])), { id: "id", value: plain });
  assert.equal(own(furtherLabelNames(["absent", "empty", "constructor"])).value, plain);
  const withLabels = own(furtherLabelNames(["tier", "role", "absent"]));
  const named = { ...workload, labels: { role: "backend", tier: "gold" } };
  assert.equal(withLabels.value, encodePeerMetadata(named, "reviews-v1-x"));
  assert.equal(own(furtherLabelNames(["role", "absent", "tier", "role"])), withLabels, "made once");
});

test("a proxy reads only those further labels of a peer that its own configuration names", () => {
  const encoded = encodePeerMetadata({ ...workload, labels: { role: "backend", tier: "gold" } });
  const read = (...names: string[]) => decodePeerMetadata(encoded, furtherLabelNames(names));
  assert.deepEqual(read(), workload);
  assert.deepEqual(read("role", "absent"), { ...workload, labels: { role: "backend" } });
  assert.deepEqual(read("role", "tier")?.labels, { role: "backend", tier: "gold" });
  assert.equal(read("role", "tier"), read("tier", "role"), "decoded once");
  assert.deepEqual(decodePeerMetadata(encoded), workload);
});

test("labels that always describe the workload are not further labels, as in upstream", () => {
  const names = ["app", "version", "app.kubernetes.io/name", "service.istio.io/canonical-revision"];
  assert.deepEqual(furtherLabelNames([...names, "role"]), ["role"]);
});
