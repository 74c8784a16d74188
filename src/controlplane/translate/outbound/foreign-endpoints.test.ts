import assert from "node:assert/strict";
import { test } from "node:test";
import type { KubernetesObject } from "../../../api/index.ts";
import { parseMeshConfig } from "../../../api/istio/index.ts";
import { meshSettings } from "../../mesh-settings.ts";
import { meshKey } from "../../model/facts.ts";
import { config, namespace, pod, service, slice, testMesh } from "../../testing/model-fixture.ts";
import { createOutboundFixture, type ServedOutbound } from "../../testing/outbound-fixture.ts";

const address = "10.96.0.9";
const entryAddress = "240.240.0.9";
const tcp = { name: "tcp", port: 5432 };
const entryPort = { name: "tcp", number: 5432, protocol: "TCP" };
const sidecarEgress = { port: { number: 5432, name: "tcp", protocol: "TCP" }, hosts: ["*/*"] };

const claims: Readonly<Record<string, KubernetesObject>> = {
  ServiceEntry: config("ServiceEntry", "evil/trap", {
    hosts: ["trap.evil.svc.cluster.local"],
    location: "MESH_INTERNAL",
    resolution: "STATIC",
    ports: [entryPort],
    endpoints: [{ address }],
  }),
  WorkloadEntry: config("WorkloadEntry", "evil/trap", { address, labels: { app: "trap" } }),
  EndpointSlice: slice("evil/trap", tcp, [{ address }]),
};

function aged(object: KubernetesObject, day: number): KubernetesObject {
  return {
    ...object,
    metadata: { ...object.metadata, creationTimestamp: new Date(Date.UTC(2026, 0, day)).toISOString() },
  };
}

const trapSlice = slice("evil/trap", tcp, [{ address: "192.0.2.7" }]);
const other: KubernetesObject = { ...trapSlice, metadata: { ...trapSlice.metadata, name: "other" } };

/** The listeners of a sidecar in `shop`, if another namespace claims the address of its Service. */
function victim(claim: KubernetesObject, trapDay: number, own: KubernetesObject, more: readonly KubernetesObject[]) {
  const { apply, serve } = createOutboundFixture();
  apply(
    namespace("shop"),
    namespace("evil"),
    aged(own, 2),
    aged(service("evil/trap", "None", { app: "trap" }, [tcp]), trapDay),
    service("evil/sink", "10.96.0.66", { app: "sink" }, [tcp]),
    other,
    config("VirtualService", "evil/trap", {
      hosts: ["trap.evil.svc.cluster.local"],
      tcp: [{ route: [{ destination: { host: "sink.evil.svc.cluster.local" } }] }],
    }),
    claim,
    ...more,
  );
  return serve().listeners();
}

const plainService = service("shop/db", address, { app: "db" }, [tcp]);
const twoAddresses = Object.assign(structuredClone(plainService), {
  spec: { clusterIP: address, clusterIPs: [address, "fd00::9"], selector: { app: "db" }, ports: [tcp] },
});
const httpService = service("shop/db", address, { app: "db" }, [{ name: "http", port: 5432 }]);
const egress = config("Sidecar", "shop/default", { egress: [sidecarEgress] });

for (const [kind, claim] of Object.entries(claims)) {
  for (const trapDay of [1, 3]) {
    test(`${kind}: a headless Service of day ${trapDay} does not take the address of another namespace's Service`, () => {
      for (const [own, more] of [
        [plainService, []],
        [twoAddresses, []],
        [plainService, [egress]],
      ] as const) {
        const listeners = victim(claim, trapDay, own, more);
        const found = JSON.stringify(listeners[`${address}_5432`]);
        assert.match(found, /outbound\|5432\|\|db\.shop/);
        assert.doesNotMatch(found, /sink\.evil/);
        // The trap's other endpoint is served.
        assert.match(JSON.stringify(listeners["192.0.2.7_5432"]), /sink\.evil/);
      }
      assert.equal(victim(claim, trapDay, httpService, [])[`${address}_5432`], undefined);
    });
  }
}

/** The listener of the address, if a headless Service has it as an endpoint and a ServiceEntry claims it. */
function listenerOf(claimed: { headlessDay: number; entry: object; ofPod: boolean; allocated?: boolean }): string {
  const { apply, serve } = createOutboundFixture();
  apply(
    namespace("shop"),
    namespace("store"),
    namespace("evil"),
    ...(claimed.ofPod ? [pod("store/db-0", entryAddress)] : []),
    slice("store/db", tcp, [{ address: entryAddress, ...(claimed.ofPod ? { pod: "db-0" } : {}) }]),
    aged(service("store/db", "None", { app: "db" }, [tcp]), claimed.headlessDay),
    Object.assign(
      aged(
        config("ServiceEntry", "evil/ext", {
          hosts: ["ext.example.org"],
          resolution: "STATIC",
          ports: [entryPort],
          endpoints: [{ address: "192.0.2.9" }],
          ...claimed.entry,
        }),
        2,
      ),
      claimed.allocated === true ? { status: { addresses: [{ value: entryAddress, host: "ext.example.org" }] } } : {},
    ),
  );
  const found = serve({ dnsCapture: true }).listeners()[`${entryAddress}_5432`];
  return [...new Set(JSON.stringify(found ?? {}).match(/outbound\|5432\|\|[a-z.]+/g))].join();
}

const ofHeadless = "outbound|5432||db.store.svc.cluster.local";
const ofEntry = "outbound|5432||ext.example.org";
const single = { addresses: [entryAddress] };
const several = { addresses: [entryAddress, "240.240.9.9"] };

test("a pod behind a headless Service keeps its address from a ServiceEntry of another namespace", () => {
  for (const headlessDay of [1, 3])
    for (const entry of [single, several]) assert.equal(listenerOf({ headlessDay, entry, ofPod: true }), ofHeadless);
});

test("an endpoint that is no pod takes no address of an older ServiceEntry of another namespace", () => {
  for (const entry of [single, several]) {
    assert.equal(listenerOf({ headlessDay: 3, entry, ofPod: false }), ofEntry);
    assert.equal(listenerOf({ headlessDay: 1, entry, ofPod: false }), ofHeadless);
  }
  const http = { ...single, ports: [{ name: "http", number: 5432, protocol: "HTTP" }] };
  assert.equal(listenerOf({ headlessDay: 3, entry: http, ofPod: false }), "");
});

test("an automatic address stays with its ServiceEntry, whatever endpoint claims it", () => {
  for (const headlessDay of [1, 3])
    assert.equal(listenerOf({ headlessDay, entry: {}, ofPod: false, allocated: true }), ofEntry);
});

/**
 * The listeners of a sidecar if a control plane allocated an address to `shop/db`, and an older entry writes the given
 * addresses.
 */
function withGiven(addresses: readonly string[], writer: object = {}, namespaceOf = "evil", added?: object) {
  const { apply, serve } = createOutboundFixture();
  const ports = [
    { name: "tcp", number: 5432, protocol: "TCP" },
    { name: "http", number: 80, protocol: "HTTP" },
  ];
  const entry = (key: string, day: number, spec: object): KubernetesObject =>
    aged(
      config("ServiceEntry", key, { resolution: "STATIC", ports, endpoints: [{ address: "192.0.2.9" }], ...spec }),
      day,
    );
  apply(
    namespace("shop"),
    namespace("evil"),
    Object.assign(entry("shop/db", 2, { hosts: ["db.example"] }), {
      status: { addresses: [{ value: entryAddress, host: "db.example" }] },
    }),
    entry(`${namespaceOf}/old`, 1, { hosts: ["old.example"], addresses, ...writer }),
    ...(added === undefined ? [] : [entry(`${namespaceOf}/added`, 3, { hosts: ["old.example"], ...added })]),
  );
  const served = serve({ namespace: "client", dnsCapture: true });
  const clustersOf = (name: string): string =>
    [...new Set(JSON.stringify(served.listeners()[name] ?? {}).match(/outbound\|\d+\|\|[a-z.]+/g))].join();
  const hosts = (served.routes()["80"]?.["virtualHosts"] ?? []) as { name: string; domains: string[] }[];
  const names = served.names()?.["table"] as Record<string, { ips: string[] }>;
  return {
    clustersOf,
    domains: (address: string) => hosts.filter(({ domains }) => domains.includes(address)).map(({ name }) => name),
    ipsOf: (host: string) => names[host]?.ips,
  };
}

test("an address that was given to an entry stays with it, although an older entry of another namespace writes it", () => {
  for (const writer of [{}, { resolution: "NONE", endpoints: [] }]) {
    const only = withGiven([entryAddress], writer);
    assert.equal(only.clustersOf(`${entryAddress}_5432`), "outbound|5432||db.example");
    assert.equal(only.clustersOf("0.0.0.0_5432"), "", "the other entry has no listener for every address either");
    assert.deepEqual(only.domains(entryAddress), ["db.example:80"]);
    assert.deepEqual([only.ipsOf("db.example"), only.ipsOf("old.example")], [[entryAddress], undefined]);
  }
  const beside = withGiven([entryAddress, "240.240.9.9"]);
  assert.equal(beside.clustersOf(`${entryAddress}_5432`), "outbound|5432||db.example");
  assert.equal(beside.clustersOf("240.240.9.9_5432"), "outbound|5432||old.example");
  assert.deepEqual(beside.ipsOf("old.example"), ["240.240.9.9"]);
  const tcpOnly = withGiven([entryAddress], { ports: [{ name: "tcp", number: 80, protocol: "TCP" }] });
  assert.equal(tcpOnly.clustersOf(`${entryAddress}_80`), "", "a TCP port takes no HTTP requests");
  const tls = { ports: [{ name: "tls", number: 443, protocol: "TLS" }] };
  const added = { ports: [{ name: "tcp", number: 5432, protocol: "TCP" }], addresses: [entryAddress] };
  const joined = withGiven(["240.240.9.9"], tls, "evil", added);
  assert.equal(joined.clustersOf("240.240.9.9_443"), "outbound|443||old.example");
  assert.equal(joined.clustersOf(`${entryAddress}_5432`), "outbound|5432||db.example");
  assert.equal(joined.clustersOf("0.0.0.0_5432"), "", "an entry that adds a port has no listener for every address");
  const own = withGiven([entryAddress], {}, "shop");
  assert.equal(own.clustersOf(`${entryAddress}_5432`), "outbound|5432||old.example", "a namespace decides on its own");
});

test("a ServiceImport takes no address that was given to another namespace's entry", () => {
  const { apply, serve, inputs } = createOutboundFixture();
  const multiClusterServices = { host: true, clusterLocal: false, group: "multicluster.x-k8s.io" };
  inputs.mesh.set(meshKey, { ...testMesh, multiClusterServices });
  apply(
    namespace("evil"),
    Object.assign(
      aged(config("ServiceEntry", "shop/db", { hosts: ["db.example"], resolution: "DNS", ports: [entryPort] }), 3),
      {
        status: { addresses: [{ value: entryAddress, host: "db.example" }] },
      },
    ),
    aged(service("evil/sink", "10.96.0.66", { app: "sink" }, [tcp]), 1),
    config("ServiceImport", "evil/sink", { ips: [entryAddress], type: "ClusterSetIP", ports: [tcp] }),
  );
  const found = serve({ dnsCapture: true }).listeners()[`${entryAddress}_5432`];
  assert.deepEqual(
    new Set(JSON.stringify(found).match(/outbound\|5432\|\|[a-z.]+/g)),
    new Set(["outbound|5432||db.example"]),
  );
});

test("an address that a ServiceImport lists twice is a domain once", () => {
  const { apply, serve, inputs } = createOutboundFixture();
  const multiClusterServices = { host: true, clusterLocal: false, group: "multicluster.x-k8s.io" };
  inputs.mesh.set(meshKey, { ...testMesh, multiClusterServices });
  apply(
    namespace("evil"),
    service("evil/web", "10.96.0.66", { app: "web" }, [{ name: "http", port: 80 }]),
    config("ServiceImport", "evil/web", {
      ips: ["FD00::1", "fd00::1", "fd00::1"],
      type: "ClusterSetIP",
      ports: [{ name: "http", port: 80, protocol: "TCP" }],
    }),
  );
  const hosts = serve().routes()["80"]?.["virtualHosts"] as unknown as { name: string; domains: string[] }[];
  const domains = hosts.find(({ name }) => name === "web.evil.svc.clusterset.local:80")?.domains ?? [];
  assert.deepEqual(
    domains.filter((domain) => domain.startsWith("[")),
    ["[fd00::1]"],
  );
});

test("a ServiceImport takes no address of another namespace's Service", () => {
  for (const own of [plainService, httpService]) {
    const { apply, serve, inputs } = createOutboundFixture();
    const multiClusterServices = { host: true, clusterLocal: false, group: "multicluster.x-k8s.io" };
    inputs.mesh.set(meshKey, { ...testMesh, multiClusterServices });
    apply(
      namespace("shop"),
      namespace("evil"),
      aged(own, 2),
      aged(service("evil/trap", "10.96.0.66", { app: "trap" }, [tcp]), 1),
      config("ServiceImport", "evil/trap", { ips: [address, "242.0.0.1"] }),
    );
    const listeners = serve().listeners();
    assert.doesNotMatch(JSON.stringify(listeners[`${address}_5432`] ?? {}), /evil/);
    assert.match(JSON.stringify(listeners["242.0.0.1_5432"]), /trap\.evil\.svc\.clusterset\.local/);
  }
});

test("a ServiceImport takes no address of a pod behind another namespace's headless Service", () => {
  for (const ips of [[entryAddress], [entryAddress, "242.0.0.1"]]) {
    const { apply, serve, inputs } = createOutboundFixture();
    const multiClusterServices = { host: true, clusterLocal: false, group: "multicluster.x-k8s.io" };
    inputs.mesh.set(meshKey, { ...testMesh, multiClusterServices });
    apply(
      namespace("shop"),
      namespace("store"),
      namespace("evil"),
      pod("store/db-0", entryAddress),
      slice("store/db", tcp, [{ address: entryAddress, pod: "db-0" }]),
      aged(service("store/db", "None", { app: "db" }, [tcp]), 2),
      aged(service("evil/trap", "10.96.0.66", { app: "trap" }, [tcp]), 1),
      config("ServiceImport", "evil/trap", { ips }),
    );
    const found = JSON.stringify(serve().listeners()[`${entryAddress}_5432`]);
    assert.match(found, /outbound\|5432\|\|db\.store/);
    assert.doesNotMatch(found, /evil/);
  }
});

test("a change of a service's labels rebuilds no listener of the headless Services on its port", () => {
  const { apply, serve, graph } = createOutboundFixture();
  const labelled = (track: string): KubernetesObject => {
    const own = service("shop/api", address, { app: "api" }, [tcp]);
    return { ...own, metadata: { ...own.metadata, labels: { track } } };
  };
  apply(
    namespace("shop"),
    namespace("store"),
    pod("store/db-0", "10.244.1.9"),
    slice("store/db", tcp, [{ address: "10.244.1.9", pod: "db-0" }]),
    service("store/db", "None", { app: "db" }, [tcp]),
    labelled("a"),
  );
  serve();
  const rebuilt = (): number =>
    graph.collections.find(({ name }) => name === "lds-outbound")?.stats.recomputations ?? 0;
  const before = rebuilt();
  apply(labelled("b"));
  assert.equal(rebuilt() - before, 1, "the service's own");
});

function endpointsOf(served: ServedOutbound, name: string): readonly string[] {
  return [...JSON.stringify(served.endpoints()[name] ?? {}).matchAll(/"address":"([^"]+)"/g)].map(
    ([, found]) => found ?? "",
  );
}

function withEntries(ports: readonly (readonly object[])[], host: string): ServedOutbound {
  const { apply, serve } = createOutboundFixture();
  apply(
    namespace("shop"),
    service("shop/db", address, { app: "db" }, [tcp]),
    ...ports.map((own, index) =>
      aged(
        config("ServiceEntry", `shop/e${index}`, {
          hosts: [host],
          location: "MESH_INTERNAL",
          resolution: "STATIC",
          ports: own,
          endpoints: [{ address: `192.${index >> 8}.2.${index & 255}` }],
        }),
        index + 1,
      ),
    ),
  );
  return serve();
}

test("endpoints of a ServiceEntry join a port only if its number and name are equal", () => {
  const other = { ...entryPort, name: "other" };
  const clusterHost = "db.shop.svc.cluster.local";
  const key = (host: string): string => `outbound|5432||${host}`;
  assert.deepEqual(endpointsOf(withEntries([[entryPort]], clusterHost), key(clusterHost)), ["192.0.2.0"]);
  assert.deepEqual(endpointsOf(withEntries([[other], [entryPort]], clusterHost), key(clusterHost)), ["192.0.2.1"]);
  const host = "db.example.org";
  assert.deepEqual(endpointsOf(withEntries([[entryPort], [other], [entryPort]], host), key(host)), [
    "192.0.2.0",
    "192.0.2.2",
  ]);
  const udp = { number: 5432, name: "udp", protocol: "UDP" };
  assert.deepEqual(endpointsOf(withEntries([[udp], [entryPort], [entryPort]], host), key(host)), [
    "192.0.2.1",
    "192.0.2.2",
  ]);
});

test("a ServiceEntry that serviceEntryVisibility hides from sidecars adds no endpoints to a Service", () => {
  const found = ["PUBLIC", "NAMESPACE", "NONE"].map((visibility) => {
    const { apply, serve, inputs } = createOutboundFixture();
    const { value } = parseMeshConfig({
      serviceEntryVisibility: { defaultVisibility: visibility, applyToSidecars: true },
    });
    assert.ok(value !== undefined);
    inputs.mesh.set(meshKey, meshSettings(value, testMesh));
    apply(
      namespace("shop"),
      plainService,
      config("ServiceEntry", "shop/vm", {
        hosts: ["db.shop.svc.cluster.local"],
        resolution: "STATIC",
        ports: [entryPort],
        endpoints: [{ address: "192.0.2.1" }],
      }),
    );
    return endpointsOf(serve(), "outbound|5432||db.shop.svc.cluster.local");
  });
  assert.deepEqual(found, [["192.0.2.1"], [], []]);
});

test("if a host has more ServiceEntries than the limit, the oldest ones form its service", () => {
  const served = withEntries(
    Array.from({ length: 1001 }, (_, index) => [index < 1000 ? entryPort : { ...entryPort, number: 5433 }]),
    "db.example.org",
  );
  assert.equal(served.clusters()["outbound|5433||db.example.org"], undefined);
  assert.ok(served.clusters()["outbound|5432||db.example.org"] !== undefined);
});
