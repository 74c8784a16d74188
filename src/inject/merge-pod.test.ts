import assert from "node:assert/strict";
import { test } from "node:test";
import { mergeStrategically } from "./merge-pod.ts";

test("lists that Kubernetes merges by a key keep what the pod has, as a strategic merge patch does", () => {
  const pod = {
    hostAliases: [{ ip: "10.0.0.1", hostnames: ["own"] }],
    schedulingGates: [{ name: "own" }],
    resourceClaims: [{ name: "gpu", resourceClaimName: "own" }],
    topologySpreadConstraints: [{ topologyKey: "zone", maxSkew: 1 }],
    tolerations: [{ key: "own" }],
  };
  const merged = mergeStrategically(pod, {
    hostAliases: [{ ip: "10.0.0.2", hostnames: ["added"] }],
    schedulingGates: [{ name: "added" }],
    resourceClaims: [{ name: "nic", resourceClaimName: "added" }],
    topologySpreadConstraints: [{ topologyKey: "zone", maxSkew: 2 }, { topologyKey: "node", maxSkew: 3 }],
    // One that has no key is replaced.
    tolerations: [{ key: "added" }],
  });
  assert.deepEqual(merged, {
    hostAliases: [{ ip: "10.0.0.1", hostnames: ["own"] }, { ip: "10.0.0.2", hostnames: ["added"] }],
    schedulingGates: [{ name: "own" }, { name: "added" }],
    resourceClaims: [{ name: "gpu", resourceClaimName: "own" }, { name: "nic", resourceClaimName: "added" }],
    topologySpreadConstraints: [{ topologyKey: "zone", maxSkew: 2 }, { topologyKey: "node", maxSkew: 3 }],
    tolerations: [{ key: "added" }],
  });
});
