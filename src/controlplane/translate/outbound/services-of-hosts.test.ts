import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import type { KubernetesObject } from "../../../api/index.ts";
import { config, service } from "../../testing/model-fixture.ts";
import { addressesOf, createOutboundFixture, hostsOf, http, smallMesh } from "../../testing/outbound-fixture.ts";

test("ServiceEntries of one namespace with one host are one service with the ports and endpoints of all", () => {
  const { apply, remove, serve } = createOutboundFixture();
  const entry = (name: string, day: number, port: object, rest: object, labels: object = {}): KubernetesObject =>
    config(
      "ServiceEntry",
      `shop/${name}`,
      { hosts: ["api.example.org"], resolution: "STATIC", ports: [port], ...rest },
      { creationTimestamp: `2026-01-0${day}T00:00:00Z`, labels },
    );
  const plain = { number: 80, name: "http", protocol: "HTTP" };
  const secure = { number: 443, name: "tls", protocol: "TLS" };
  const at = (address: string): object => ({ endpoints: [{ address }] });
  // The order of the names differs from that of the ages, so that only age can decide.
  const oldest = entry("b", 1, plain, at("192.0.2.1"));
  apply(
    ...smallMesh,
    oldest,
    entry("a", 2, secure, { ...at("192.0.2.2"), location: "MESH_INTERNAL", subjectAltNames: ["spiffe://a/b"] }),
    entry("c", 3, plain, at("192.0.2.3")),
    entry("d", 4, { ...secure, number: 8443 }, { resolution: "NONE", endpoints: [] }),
    config("WorkloadEntry", "shop/vm", { address: "192.0.2.5", labels: { app: "vm" } }),
    entry("e", 5, secure, { workloadSelector: { labels: { app: "vm" } } }),
    // Entries whose settings differ from those of the oldest entry add endpoints, but no ports.
    entry("f", 6, { ...plain, number: 8080 }, at("192.0.2.6"), { team: "f" }),
    entry("g", 6, plain, at("192.0.2.7"), { team: "g" }),
    entry("h", 6, plain, { ...at("192.0.2.8"), exportTo: ["third"] }),
    entry("i", 6, plain, { resolution: "DNS", endpoints: [{ address: "192.0.2.9" }, { address: "i.example.org" }] }),
    entry("j", 6, { ...plain, name: "other" }, at("192.0.2.10")),
  );
  const sidecar = serve();
  const endpoints = (): object =>
    Object.fromEntries(
      Object.entries(sidecar.endpoints())
        .filter(([name]) => name.includes("example"))
        .map(([name, assignment]) => [name, addressesOf(assignment).flatMap(([, , addresses]) => addresses)]),
    );
  const later = ["192.0.2.3", "192.0.2.7", "192.0.2.8", "192.0.2.9"];
  assert.deepEqual(endpoints(), {
    "outbound|443||api.example.org": ["192.0.2.2", "192.0.2.5"],
    "outbound|80||api.example.org": ["192.0.2.1", ...later],
  });
  assert.deepEqual(
    hostsOf(sidecar.routes()["80"]).find(([name]) => name.includes("example"))?.[0],
    "api.example.org:80",
  );
  assert.match(JSON.stringify(sidecar.listeners()), /"serverNames":\["api\.example\.org"\]/);
  remove(oldest);
  assert.deepEqual(endpoints(), {
    "outbound|443||api.example.org": ["192.0.2.2", "192.0.2.5"],
    "outbound|80||api.example.org": later,
  });
});

test("a namespace sees those ServiceEntries of a host that are exported to it, and all of their endpoints", () => {
  const { apply, remove, serve } = createOutboundFixture();
  const entry = (name: string, number: number, exportTo: readonly string[]): KubernetesObject =>
    config("ServiceEntry", `other/${name}`, {
      hosts: ["api.example.org"],
      resolution: "STATIC",
      ports: [{ number, name: "http", protocol: "HTTP" }],
      endpoints: [{ address: `192.0.2.${number}` }],
      exportTo,
    });
  const own = entry("a", 81, ["."]);
  const later = entry("d", 82, ["shop"]);
  apply(...smallMesh, own, entry("b", 82, ["*"]), entry("c", 83, ["*"]), later, entry("e", 84, ["~"]));
  const shop = serve();
  const other = serve({ namespace: "other" });
  const third = serve({ namespace: "third" });
  const seenBy = (client: typeof shop): object =>
    Object.fromEntries(
      Object.entries(client.endpoints())
        .filter(([name]) => name.includes("example"))
        .map(([name, assignment]) => [name.split("|")[1], addressesOf(assignment).flatMap(([, , found]) => found)]),
    );
  const of82 = ["192.0.2.82"];
  assert.deepEqual(seenBy(other), { 81: ["192.0.2.81"] });
  assert.deepEqual(seenBy(shop), { 82: of82 });
  assert.deepEqual(seenBy(third), { 82: of82, 83: ["192.0.2.83"] });
  assert.deepEqual(hostsOf(third.routes()["83"])[0]?.[0], "api.example.org:83");
  remove(later);
  assert.deepEqual(seenBy(shop), { 82: of82, 83: ["192.0.2.83"] });
  remove(own);
  assert.deepEqual(seenBy(other), { 82: of82, 83: ["192.0.2.83"] });
});

test("ServiceEntries of one host form at most 16 services for different namespaces", () => {
  const { apply, serve } = createOutboundFixture();
  apply(
    ...smallMesh,
    ...Array.from({ length: 17 }, (_, index) =>
      config(
        "ServiceEntry",
        `other/e-${index}`,
        {
          hosts: ["api.example.org"],
          resolution: "STATIC",
          ports: [{ number: 80, name: "http", protocol: "HTTP" }],
          endpoints: [{ address: "192.0.2.1" }],
          exportTo: [`n-${index}`],
        },
        { creationTimestamp: new Date(Date.UTC(2026, 0, 1 + index)).toISOString() },
      ),
    ),
  );
  const sees = (namespaceOfClient: string): boolean =>
    Object.hasOwn(serve({ namespace: namespaceOfClient }).clusters(), "outbound|80||api.example.org");
  assert.deepEqual([sees("n-0"), sees("n-15"), sees("n-16")], [true, true, false]);
});

test("ServiceEntries of one host have their own addresses for their own ports", () => {
  const { apply, serve } = createOutboundFixture();
  const entry = (name: string, number: number, addresses: readonly string[]): KubernetesObject =>
    config("ServiceEntry", `shop/${name}`, {
      hosts: ["db.example.org"],
      addresses,
      resolution: "STATIC",
      ports: [{ number, name: `tcp-${number}`, protocol: "TCP" }],
      endpoints: [{ address: "192.0.2.1" }],
    });
  const client = serve();
  apply(
    ...smallMesh,
    entry("a", 5001, ["240.0.0.1"]),
    entry("b", 5002, ["240.0.0.2"]),
    entry("c", 5001, ["240.0.0.3"]),
    entry("d", 5004, []),
    entry("e", 5004, ["240.0.0.5"]),
  );
  const listeners = (): readonly string[] => Object.keys(client.listeners()).filter((name) => name.includes("_50"));
  assert.deepEqual(listeners(), ["0.0.0.0_5004", "240.0.0.1_5001", "240.0.0.2_5002", "240.0.0.3_5001"]);
});

test("a host that is looked up has one name if its clusters may have only one, and no endpoint twice", () => {
  const { apply, serve } = createOutboundFixture();
  const entries = (resolution: string, annotations: object = {}): readonly KubernetesObject[] =>
    ["a", "b"].map((name, index) =>
      config(
        "ServiceEntry",
        `shop/${name}`,
        {
          hosts: ["api.example.org"],
          ports: [{ number: 80, name: "http", protocol: "HTTP" }],
          resolution,
          ...(index === 0 ? {} : { endpoints: [{ address: "b.example.org" }] }),
        },
        { annotations },
      ),
    );
  const sidecar = serve();
  const namesOf = (): readonly JsonValue[] =>
    addressesOf(sidecar.clusters()["outbound|80||api.example.org"]?.["loadAssignment"] as JsonObject).flatMap(
      ([, , addresses]) => addresses,
    );
  apply(...smallMesh, ...entries("DNS"));
  assert.deepEqual(namesOf(), ["api.example.org", "b.example.org"]);
  apply(...entries("DNS_ROUND_ROBIN"));
  assert.deepEqual(namesOf(), ["api.example.org"]);
  apply(...entries("DNS", { "istio.io/connect-strategy": "RACE_FIRST_TCP_CONNECT" }));
  assert.deepEqual(namesOf(), ["api.example.org"]);
  const [first] = entries("DNS");
  assert.ok(first !== undefined);
  apply(...entries("DNS"), { ...first, metadata: { ...first.metadata, name: "c" } });
  assert.deepEqual(namesOf(), ["api.example.org", "b.example.org"]);
});

test("a ServiceEntry adds endpoints to the Service of its namespace with its host, and to no other", () => {
  const { apply, serve } = createOutboundFixture();
  const entry = (key: string, address: string, fields: object = {}): KubernetesObject =>
    config("ServiceEntry", key, {
      hosts: ["web.shop.svc.cluster.local"],
      location: "MESH_INTERNAL",
      resolution: "STATIC",
      ports: [{ number: 80, name: "http", protocol: "HTTP" }],
      endpoints: [{ address }, { address: "10.244.1.5", ports: { http: 8080 } }],
      ...fields,
    });
  apply(
    ...smallMesh,
    entry("shop/vm", "192.0.2.1"),
    entry("other/vm", "192.0.2.2"),
    entry("shop/name", "192.0.2.3", { ports: [{ number: 81, name: "http", protocol: "HTTP" }] }),
    entry("shop/team", "192.0.2.4", { resolution: "DNS", exportTo: ["other"] }),
  );
  const sidecar = serve();
  assert.deepEqual(
    addressesOf(sidecar.endpoints()["outbound|80||web.shop.svc.cluster.local"]).flatMap(([, , addresses]) => addresses),
    ["192.0.2.1", "192.0.2.4", "10.244.1.5", "10.244.2.6"],
  );
});

test("an alias of an alias leads to the same host, and one that leads back to itself to none", () => {
  const { apply, serve } = createOutboundFixture();
  const alias = (name: string, externalName: string): KubernetesObject =>
    ({
      kind: "Service",
      metadata: { name, namespace: "other" },
      spec: { type: "ExternalName", externalName, ports: [http] },
    }) as KubernetesObject;
  const client = serve();
  apply(
    ...smallMesh,
    alias("first", "second.other.svc.cluster.local"),
    alias("second", "web.shop.svc.cluster.local"),
    alias("self", "self.other.svc.cluster.local"),
    alias("ping", "pong.other.svc.cluster.local"),
    alias("pong", "ping.other.svc.cluster.local"),
    ...Array.from({ length: 40 }, (_, index) => alias(`n${index}`, `n${index + 1}.other.svc.cluster.local`)),
  );
  const domains = hostsOf(client.routes()["80"]).find(([name]) => name === "web.shop.svc.cluster.local:80")?.[1] ?? [];
  assert.deepEqual(
    domains.filter((domain) => domain.endsWith(".other.svc.cluster.local")),
    ["first.other.svc.cluster.local", "second.other.svc.cluster.local"],
  );
  assert.doesNotMatch(JSON.stringify(client.routes()), /ping|pong|self/);
  apply(alias("second", "api.other.svc.cluster.local"));
  assert.match(
    JSON.stringify(hostsOf(client.routes()["80"]).find(([name]) => name === "api.other.svc.cluster.local:80")),
    /first\.other/,
  );
});

test("a WorkloadEntry is an endpoint of a Service with an address, and of no headless one", () => {
  const { apply, serve } = createOutboundFixture();
  const gateway = serve({ kind: "router", namespace: "other" });
  const sidecar = serve();
  const port = { name: "tcp", port: 9000, targetPort: 9000 };
  const addresses = (): readonly JsonValue[] =>
    addressesOf(gateway.endpoints()["outbound|9000||vm.shop.svc.cluster.local"]).flatMap(([, , found]) => found);
  const listens = (): boolean => Object.hasOwn(sidecar.listeners(), "192.0.2.5_9000");
  apply(
    ...smallMesh,
    config("WorkloadEntry", "shop/vm", { address: "192.0.2.5", labels: { app: "vm" } }),
    service("shop/vm", "10.96.0.9", { app: "vm" }, [port]),
  );
  assert.deepEqual([addresses(), listens()], [["192.0.2.5"], false]);
  apply(service("shop/vm", "None", { app: "vm" }, [port]));
  assert.deepEqual([addresses(), listens()], [[], false]);
});
