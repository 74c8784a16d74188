import assert from "node:assert/strict";
import { test } from "node:test";
import { createJsonPatch } from "./json-patch.ts";
import { mergeStrategically } from "./merge-pod.ts";

test("lists merge by key and keep the pod's elements, like a strategic merge patch", () => {
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
    topologySpreadConstraints: [
      { topologyKey: "zone", maxSkew: 2 },
      { topologyKey: "node", maxSkew: 3 },
    ],
    // This list has no merge key, so it is replaced.
    tolerations: [{ key: "added" }],
  });
  assert.deepEqual(merged, {
    hostAliases: [
      { ip: "10.0.0.1", hostnames: ["own"] },
      { ip: "10.0.0.2", hostnames: ["added"] },
    ],
    schedulingGates: [{ name: "own" }, { name: "added" }],
    resourceClaims: [
      { name: "gpu", resourceClaimName: "own" },
      { name: "nic", resourceClaimName: "added" },
    ],
    topologySpreadConstraints: [
      { topologyKey: "zone", maxSkew: 2 },
      { topologyKey: "node", maxSkew: 3 },
    ],
    tolerations: [{ key: "added" }],
  });
});

test("a null removes the pod's value, and directives replace or delete, like a strategic merge patch", () => {
  const pod = {
    hostname: "web",
    initContainers: [{ name: "own" }],
    volumes: [
      { name: "a", emptyDir: {} },
      { name: "b", emptyDir: {} },
    ],
    securityContext: { runAsUser: 1, fsGroup: 2 },
    affinity: { nodeAffinity: {} },
  };
  assert.deepEqual(
    mergeStrategically(pod, {
      hostname: null,
      initContainers: null,
      volumes: [
        { name: "a", $patch: "delete" },
        { name: "b", $retainKeys: ["name", "secret"], secret: { secretName: "s" } },
        { name: "c", emptyDir: { medium: null } },
      ],
      securityContext: { $patch: "replace", runAsUser: 3 },
      affinity: { $patch: "delete" },
    }),
    {
      volumes: [
        { name: "b", secret: { secretName: "s" } },
        { name: "c", emptyDir: {} },
      ],
      securityContext: { runAsUser: 3 },
    },
  );
  assert.deepEqual(mergeStrategically(pod, { volumes: [{ $patch: "replace" }, { name: "only" }] }).volumes, [
    { name: "only" },
  ]);
  assert.throws(
    () => mergeStrategically(pod, { "$setElementOrder/volumes": [] }),
    /the directive \$setElementOrder\/volumes, which is not supported/,
  );
  assert.throws(
    () => mergeStrategically(pod, { securityContext: { $patch: "keep" } }),
    /expected merge, replace or delete/,
  );
});

test("a gateway's own sysctls stay, and both protocols of one port", () => {
  const own = {
    securityContext: { sysctls: [{ name: "mine", value: "1" }] },
    ports: [{ containerPort: 443 }, { containerPort: 443, protocol: "UDP" }],
  };
  const merged = mergeStrategically(own, {
    securityContext: { sysctls: [{ name: "net.ipv4.ip_unprivileged_port_start", value: "0" }] },
    ports: [{ containerPort: 443, protocol: "TCP", name: "https" }],
  });
  assert.deepEqual(
    merged.securityContext.sysctls.map(({ name }) => name),
    ["mine", "net.ipv4.ip_unprivileged_port_start"],
  );
  assert.deepEqual(merged.ports, [
    { containerPort: 443, protocol: "TCP", name: "https" },
    { containerPort: 443, protocol: "UDP" },
  ]);
});

test("long lists are merged and compared in linear time", () => {
  let reads = 0;
  const count = 2000;
  const list = (): object[] =>
    Array.from({ length: count }, (_, index) => ({
      get name() {
        reads += 1;
        return `V${index}`;
      },
      value: "x",
    }));
  const [pod, over] = [{ env: list() }, { env: list() }];
  assert.equal(mergeStrategically(pod, over).env.length, count);
  assert.deepEqual(createJsonPatch({ env: list() }, { env: list() }), []);
  assert.ok(reads < count * 30, `${reads} reads`);
});

test("a volume gets another source, as SPIRE's template gives the workload's socket, and not a second one", () => {
  const csi = { driver: "csi.spiffe.io", readOnly: true };
  const merged = mergeStrategically(
    {
      volumes: [
        { name: "workload-socket", emptyDir: {} },
        { name: "data", emptyDir: { medium: "Memory" } },
      ],
    },
    {
      volumes: [
        { name: "workload-socket", csi },
        { name: "data", emptyDir: { sizeLimit: "1Gi" } },
      ],
    },
  );
  assert.deepEqual(merged.volumes, [
    { name: "workload-socket", csi },
    { name: "data", emptyDir: { medium: "Memory", sizeLimit: "1Gi" } },
  ]);
  const explicit = mergeStrategically(
    { volumes: [{ name: "workload-socket", emptyDir: {} }] },
    { volumes: [{ name: "workload-socket", emptyDir: null, csi }] },
  );
  assert.deepEqual(explicit.volumes, [{ name: "workload-socket", csi }]);
});
