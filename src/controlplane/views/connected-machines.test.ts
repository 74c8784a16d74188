import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject } from "@bufbuild/protobuf";
import type { KubernetesObject } from "../../api/index.ts";
import { typeUrls } from "../../wire/xds/index.ts";
import { createExtensionFixture, type ProxyResources, type TestProxy } from "../testing/extension-fixture.ts";
import { config, namespace, pod, service } from "../testing/model-fixture.ts";

const machine: TestProxy = { pod: "shop/vm-1", labels: { app: "web" } };
const registering: TestProxy = { ...machine, metadata: { AUTO_REGISTER_GROUP: "vms" } };
const web = service("shop/web", "10.96.0.5", { app: "web" }, [
  { name: "http", port: 80, targetPort: "web" },
  { name: "tcp-db", port: 90, targetPort: 9000 },
]);
const entry = (spec: object = {}): KubernetesObject =>
  config("WorkloadEntry", "shop/vm-1", { address: "10.0.0.1", labels: { app: "web" }, ports: { web: 8080 }, ...spec });

/** The sidecar's own port has a chain that refuses connections, and other ports pass without a service. */
function isServed(port: unknown): port is number {
  return typeof port === "number" && port !== 15_006;
}

function inboundOf(proxy: ProxyResources): { readonly clusters: readonly string[]; readonly ports: readonly number[] } {
  const clusters = Object.keys(proxy.show(typeUrls.cluster)).filter((name) => name.startsWith("inbound|"));
  const chains = (proxy.show(typeUrls.listener)["virtualInbound"]?.["filter_chains"] ?? []) as JsonObject[];
  const ports = chains.map((chain) => (chain["filter_chain_match"] as JsonObject | undefined)?.["destination_port"]);
  return { clusters: clusters.sort(), ports: [...new Set(ports)].filter(isServed).sort((left, right) => left - right) };
}

test("a machine's sidecar serves the ports of the Services and ServiceEntries that select its WorkloadEntry", () => {
  const { apply, remove, connect } = createExtensionFixture();
  const external = config("ServiceEntry", "shop/external", {
    hosts: ["db.example.org"],
    ports: [{ number: 5432, name: "tcp", protocol: "TCP" }],
    resolution: "STATIC",
    workloadSelector: { labels: { role: "db" } },
  });
  const headless = service("shop/headless", "None", { app: "web" }, [{ name: "http", port: 81, targetPort: 8181 }]);
  apply(namespace("shop"), web, external, headless, entry({ labels: { app: "web", role: "db" } }));
  const proxy = connect({ ...machine, labels: {} });
  assert.deepEqual(inboundOf(proxy).clusters, ["inbound|5432||", "inbound|8080||", "inbound|9000||"]);
  assert.deepEqual(inboundOf(proxy).ports, [5432, 8080, 9000]);
  apply(entry({ ports: { web: 8081, "tcp-db": 9001 } }));
  assert.deepEqual(inboundOf(proxy).ports, [8081, 9001]);
  remove(entry());
  assert.deepEqual(inboundOf(proxy).ports, [], "without an entry, the machine serves no service");
});

test("a machine that registers itself serves its Services from the start, by the labels that it sends", () => {
  const { apply, connect } = createExtensionFixture();
  apply(namespace("shop"), web);
  const proxy = connect(registering);
  assert.deepEqual(inboundOf(proxy), { clusters: ["inbound|9000||"], ports: [9000] });
  apply(entry());
  assert.deepEqual(inboundOf(proxy), { clusters: ["inbound|8080||", "inbound|9000||"], ports: [8080, 9000] });
});

test("a WorkloadEntry that appears later gives a connected machine its inbound listener", () => {
  const { apply, connect } = createExtensionFixture();
  apply(namespace("shop"), web);
  const proxy = connect(machine);
  const changedNames: string[] = [];
  using _following = proxy.view(typeUrls.listener).subscribe((names) => void changedNames.push(...names));
  assert.deepEqual(inboundOf(proxy).ports, []);
  apply(entry());
  assert.ok(changedNames.includes("virtualInbound"));
  assert.deepEqual(inboundOf(proxy).ports, [8080, 9000]);
});

test("a machine's sidecar follows the policies of its labels and of its namespace", () => {
  const { apply, connect } = createExtensionFixture();
  apply(
    namespace("shop"),
    web,
    entry({ labels: { app: "web", tier: "back" } }),
    config("PeerAuthentication", "shop/back", {
      selector: { matchLabels: { tier: "back" } },
      mtls: { mode: "STRICT" },
    }),
    config("AuthorizationPolicy", "shop/deny", { selector: { matchLabels: { tier: "back" } } }),
  );
  const shown = JSON.stringify(connect(machine).show(typeUrls.listener)["virtualInbound"]);
  assert.ok(shown.includes("envoy.filters.network.rbac") || shown.includes("envoy.filters.http.rbac"));
  assert.ok(!shown.includes('"transport_protocol":"raw_buffer"'), "STRICT accepts no plaintext");
});

test("a sidecar whose pod appears later gets only the inbound resources of its pod", () => {
  const { apply, connect } = createExtensionFixture();
  apply(namespace("shop"), web, entry({ ports: { web: 8088 } }));
  const proxy = connect(machine);
  assert.deepEqual(inboundOf(proxy).ports, [8088, 9000]);
  const made = pod("shop/vm-1", "10.0.0.9", { labels: { app: "web" }, redirected: false }) as KubernetesObject & {
    spec: { containers: object[] };
  };
  made.spec.containers.push({ name: "istio-proxy", args: ["proxy", "sidecar"], env: [] });
  apply(made);
  const names = [...proxy.view(typeUrls.listener).all()].map(({ name }) => name);
  assert.equal(names.filter((name) => name === "virtualInbound").length, 1);
  assert.deepEqual(inboundOf(proxy).ports, [8080, 9000], "the entry has another address than the pod");
});

test("a sidecar in a namespace that is no longer read keeps its inbound listener, without ports of Services", () => {
  const { apply, remove, connect, inputs } = createExtensionFixture();
  const own = pod("shop/vm-1", "10.0.0.1", { labels: { app: "web" }, redirected: false }) as KubernetesObject & {
    spec: { containers: object[] };
  };
  own.spec.containers.push({ name: "istio-proxy", args: ["proxy", "sidecar"], env: [] });
  apply(namespace("shop"), web, own);
  const proxy = connect(machine);
  assert.deepEqual(inboundOf(proxy).ports, [8080, 9000]);
  inputs.excludedNamespaces.set("shop", true);
  remove(own, web);
  const listens = (of: ProxyResources): boolean => of.show(typeUrls.listener)["virtualInbound"] !== undefined;
  assert.deepEqual([listens(proxy), inboundOf(proxy).ports], [true, []]);
  assert.ok(listens(connect({ ...machine, pod: "shop/vm-2" })), "new sidecars get one too");
  inputs.excludedNamespaces.delete("shop");
  apply(web, own);
  assert.deepEqual(inboundOf(proxy).ports, [8080, 9000]);
});

test("machines with the same name serve their own ports", () => {
  const { apply, connect } = createExtensionFixture();
  apply(
    namespace("shop"),
    service("shop/a", "10.96.0.6", { app: "a" }, [{ name: "http", port: 80, targetPort: 8001 }]),
    service("shop/b", "10.96.0.7", { app: "b" }, [{ name: "http", port: 80, targetPort: 8002 }]),
    config("WorkloadEntry", "shop/a", { address: "10.0.0.1", labels: { app: "a" } }),
    config("WorkloadEntry", "shop/b", { address: "10.0.0.2", labels: { app: "b" } }),
  );
  const first = connect({ ...machine, labels: {} });
  const second = connect({ ...machine, labels: {}, address: "10.0.0.2" });
  assert.deepEqual([inboundOf(first).ports, inboundOf(second).ports], [[8001], [8002]]);
});

test("a sidecar without a pod, a registration or a WorkloadEntry gets no inbound listener", () => {
  const { apply, connect } = createExtensionFixture();
  apply(namespace("shop"), web);
  assert.deepEqual(inboundOf(connect(machine)), { clusters: [], ports: [] });
});

test("a Service's named target port is the port of that name in a WorkloadEntry, for clients as for its sidecar", () => {
  const { apply, connect } = createExtensionFixture();
  const client = pod("shop/client", "10.0.0.7", { labels: { app: "client" } });
  const unnamed = config("WorkloadEntry", "shop/vm-2", { address: "10.0.0.2", labels: { app: "web" } });
  apply(namespace("shop"), client, web, entry(), unnamed);
  const shown = connect({ pod: "shop/client", address: "10.0.0.7" }).show(typeUrls.endpoint);
  const addressesOf = (port: number): readonly string[] =>
    [
      ...JSON.stringify(shown[`outbound|${port}||web.shop.svc.cluster.local`]).matchAll(
        /"address":"([\d.]+)","port_value":(\d+)/g,
      ),
    ].map(([, address, target]) => `${address}:${target}`);
  assert.deepEqual(addressesOf(80), ["10.0.0.1:8080"], "the second entry has no port of that name");
  assert.deepEqual(addressesOf(90), ["10.0.0.1:9000", "10.0.0.2:9000"]);
});

test("a pod whose address a ServiceEntry or a WorkloadEntry of its namespace names serves their ports", () => {
  const { apply, connect } = createExtensionFixture();
  const made = pod("shop/web-1", "10.0.0.1", { labels: { app: "other" }, redirected: false }) as KubernetesObject & {
    spec: { containers: object[] };
  };
  made.spec.containers.push({ name: "istio-proxy", args: ["proxy", "sidecar"], env: [] });
  const named = config("ServiceEntry", "shop/named", {
    hosts: ["named.example.org"],
    ports: [{ number: 81, name: "tcp", protocol: "TCP" }],
    resolution: "STATIC",
    endpoints: [{ address: "10.0.0.1", ports: { tcp: 8100 } }],
  });
  apply(namespace("shop"), web, made, named);
  const proxy = connect({ pod: "shop/web-1" });
  assert.deepEqual(inboundOf(proxy).ports, [8100]);
  apply(entry());
  assert.deepEqual(inboundOf(proxy).ports, [8080, 8100, 9000]);
});

test("a WorkloadEntry with a socket is no endpoint of what selects it, and a ServiceEntry may name one itself", () => {
  const { apply, connect } = createExtensionFixture();
  const entryWith = (name: string, spec: object): KubernetesObject =>
    config("ServiceEntry", `shop/${name}`, {
      hosts: [`${name}.example.org`],
      ports: [{ number: 80, name: "http", protocol: "HTTP" }],
      resolution: "STATIC",
      ...spec,
    });
  apply(
    namespace("shop"),
    namespace("other"),
    pod("other/client", "10.0.0.7", { labels: { app: "client" } }),
    service("shop/web", "10.96.0.5", { app: "web" }, [{ name: "http", port: 80, targetPort: 8080 }]),
    entryWith("selecting", { workloadSelector: { labels: { app: "web" } } }),
    entryWith("naming", { endpoints: [{ address: "unix:///run/named.sock" }] }),
    config("WorkloadEntry", "shop/socket", { address: "unix:///run/selected.sock", labels: { app: "web" } }),
  );
  const shown = JSON.stringify(connect({ pod: "other/client", address: "10.0.0.7" }).show(typeUrls.endpoint));
  assert.deepEqual([shown.includes("/run/selected.sock"), shown.includes("/run/named.sock")], [false, true]);
});
