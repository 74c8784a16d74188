// What ztunnels do with addresses that other namespaces claim, according to the control plane's resources.
import assert from "node:assert/strict";
import { test } from "node:test";
import { fromBinary } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import type { KubernetesObject } from "../../src/api/index.ts";
import { seededRandom } from "../../src/base/index.ts";
import { config, createModelFixture, namespace, pod, service } from "../../src/controlplane/testing/model-fixture.ts";
import { deriveAmbientResources } from "../../src/controlplane/translate/ambient/ambient-resources.ts";
import { AddressSchema } from "../../src/wire/workload/index.ts";
import { route } from "../../src/ztunnel/proxy/route.ts";
import { serviceFromXds, workloadFromXds } from "../../src/ztunnel/state/from-xds.ts";
import { MeshState } from "../../src/ztunnel/state/mesh-state.ts";

const http = { name: "http", port: 80 };
const given = "240.240.0.7";
const victims: readonly KubernetesObject[] = [
  namespace("istio-system", { "topology.istio.io/network": "home" }),
  namespace("shop"),
  namespace("evil"),
  service("shop/web", "10.96.0.5", { app: "web" }, [http]),
  pod("shop/web-1", "10.244.0.5", { labels: { app: "web" } }),
  pod("shop/client", "10.244.0.6"),
  onHost(pod("shop/exporter", "192.0.2.100")),
  {
    ...config("ServiceEntry", "shop/far", {
      hosts: ["far.example.com"],
      resolution: "STATIC",
      ports: [{ name: "http", number: 80, protocol: "HTTP" }],
      endpoints: [{ address: "192.0.2.80" }],
    }),
    status: { addresses: [{ value: given, host: "far.example.com" }] },
  } as KubernetesObject,
];

function onHost(object: KubernetesObject): KubernetesObject {
  return { ...object, spec: { ...(object as { spec?: object }).spec, hostNetwork: true } } as KubernetesObject;
}

/** Where a ztunnel sends a connection of `shop/client` while an attacker's objects exist. */
function nextHop(destination: string, attack: readonly KubernetesObject[]): string {
  const { apply, graph, inputs } = createModelFixture();
  const { addresses } = deriveAmbientResources(graph, inputs);
  apply(...victims, ...attack);
  const state = new MeshState();
  for (const { any } of addresses.flatMap((collection) => [...collection.values()])) {
    const { type } = fromBinary(AddressSchema, fromBinary(AnySchema, any).value);
    if (type.case === "workload") state.putWorkload(workloadFromXds(type.value));
    if (type.case === "service") state.putService(serviceFromXds(type.value));
  }
  const found = route({
    state,
    source: state.workloadByUid("Kubernetes//Pod/shop/client") ?? assert.fail(),
    destination: { address: destination, port: 80 },
    random: seededRandom(1),
    hbonePort: 15_008,
  });
  return `${found.workload?.namespace ?? "no"}/${found.workload?.name ?? "workload"} ${found.address}`;
}

const machine = (address: string): KubernetesObject =>
  config("WorkloadEntry", "evil/machine", { address, labels: { app: "trap" } });
const entry = (address: string): KubernetesObject =>
  config("ServiceEntry", "evil/trap", {
    hosts: ["trap.example.org"],
    addresses: ["192.0.2.1"],
    location: "MESH_INTERNAL",
    resolution: "STATIC",
    ports: [{ name: "http", number: 80, protocol: "HTTP" }],
    endpoints: [{ address }],
  });
const owner = (address: string): KubernetesObject =>
  config("ServiceEntry", "evil/owner", {
    hosts: ["owner.example.org"],
    addresses: [address],
    location: "MESH_INTERNAL",
    resolution: "STATIC",
    ports: [{ name: "http", number: 80, protocol: "HTTP" }],
    endpoints: [{ address: "192.0.2.66" }],
  });
const gateway = (address: string): KubernetesObject => ({
  ...config(
    "Gateway",
    "evil/trap",
    {
      gatewayClassName: "istio-remote",
      addresses: [{ type: "IPAddress", value: address }],
      listeners: [{ name: "hbone", port: 15_008, protocol: "HBONE" }],
    },
    { labels: { "topology.istio.io/network": "home" } },
  ),
  apiVersion: "gateway.networking.k8s.io/v1",
});

const claims = {
  "a WorkloadEntry": machine,
  "an endpoint of a ServiceEntry": entry,
  "a ServiceEntry": owner,
  "a Gateway": gateway,
};
for (const [title, claim] of Object.entries(claims)) {
  test(`${title} does not take connections to the address of another namespace's Service or entry`, () => {
    assert.equal(nextHop("10.96.0.5", []), "shop/web-1 10.244.0.5");
    assert.equal(nextHop("10.96.0.5", [claim("10.96.0.5")]), "shop/web-1 10.244.0.5");
    assert.equal(nextHop(given, []), "shop/far 192.0.2.80");
    assert.equal(nextHop(given, [claim(given)]), "shop/far 192.0.2.80");
  });
}

test("a workload that is not a pod does not take connections to the address of a node", () => {
  for (const claim of [machine, entry, gateway])
    assert.equal(nextHop("192.0.2.100", [claim("192.0.2.100")]), "no/workload 192.0.2.100");
});

test("an entry whose endpoint has the address of a Service still leads there", () => {
  assert.equal(nextHop("192.0.2.1", [entry("10.96.0.5")]), "evil/trap 10.96.0.5");
  assert.equal(nextHop("10.9.0.9", [machine("10.9.0.9")]), "evil/machine 10.9.0.9");
});
