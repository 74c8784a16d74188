import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject } from "@bufbuild/protobuf";
import { AddressSchema } from "../../../wire/workload/index.ts";
import { decodeResource } from "../../testing/decode-resource.ts";
import { config, createModelFixture, namespace, pod, service, slice } from "../../testing/model-fixture.ts";
import { deriveAmbientResources } from "./ambient-resources.ts";

function ambient() {
  const fixture = createModelFixture();
  const { addresses } = deriveAmbientResources(fixture.graph, fixture.inputs);
  const found = (name: string) =>
    addresses.map((collection) => collection.get(name)).find((resource) => resource !== undefined);
  const address = (name: string): JsonObject => decodeResource(AddressSchema, found(name));
  return {
    ...fixture,
    names: () => addresses.flatMap((collection) => [...collection.entries()].map(([name]) => name)).sort(),
    service: (name: string) => address(name)["service"] as JsonObject,
    workload: (name: string) => address(name)["workload"] as JsonObject,
  };
}

const http = { number: 80, name: "http", protocol: "HTTP" };
const entryUid = "Kubernetes/networking.istio.io/ServiceEntry/shop";

test("a ServiceEntry's endpoints become workloads of its service, by address or name, with port, weight, locality and identity", () => {
  const { apply, service: serviceOf, workload } = ambient();
  apply(
    config("ServiceEntry", "shop/db", {
      hosts: ["db.example.com"],
      addresses: ["192.0.2.7"],
      location: "MESH_INTERNAL",
      resolution: "DNS",
      ports: [{ number: 5432, name: "tcp", protocol: "TCP", targetPort: 15_432 }],
      subjectAltNames: ["spiffe://cluster.local/ns/shop/sa/db"],
      endpoints: [
        { address: "db.internal" },
        {
          address: "10.9.0.1",
          ports: { tcp: 6000 },
          weight: 3,
          locality: "r1/z2",
          serviceAccount: "db",
          network: "n2",
        },
      ],
    }),
  );
  assert.deepEqual(serviceOf("shop/db.example.com")["ports"], [
    { servicePort: 5432, targetPort: 15_432, appProtocol: "TCP" },
  ]);
  assert.deepEqual(serviceOf("shop/db.example.com")["subjectAltNames"], ["spiffe://cluster.local/ns/shop/sa/db"]);
  assert.equal(serviceOf("shop/db.example.com")["canonical"], true);
  const named = workload(`${entryUid}/db/db.internal`);
  assert.deepEqual(
    [named["hostname"], named["addresses"], named["services"]],
    ["db.internal", undefined, { "shop/db.example.com": { ports: [{ servicePort: 5432, targetPort: 15_432 }] } }],
  );
  assert.deepEqual(workload(`${entryUid}/db/10.9.0.1`), {
    uid: `${entryUid}/db/10.9.0.1`,
    name: "db",
    namespace: "shop",
    addresses: ["CgkAAQ=="],
    network: "n2",
    serviceAccount: "db",
    canonicalName: "db",
    canonicalRevision: "latest",
    workloadType: "POD",
    workloadName: "db",
    services: { "shop/db.example.com": { ports: [{ servicePort: 5432, targetPort: 6000 }] } },
    clusterId: "Kubernetes",
    locality: { region: "r1", zone: "z2" },
    capacity: 3,
  });
});

test("a CIDR becomes its first address and its length, and NONE passes connections through", () => {
  const { apply, service: serviceOf } = ambient();
  apply(
    config("ServiceEntry", "shop/range", {
      hosts: ["range.example.com"],
      addresses: ["198.51.100.9/24"],
      resolution: "NONE",
      ports: [http],
    }),
  );
  assert.deepEqual(serviceOf("shop/range.example.com")["addresses"], [{ address: "xjNkAA==", length: 24 }]);
  assert.deepEqual(serviceOf("shop/range.example.com")["loadBalancing"], {
    mode: "PASSTHROUGH",
    healthPolicy: "ALLOW_ALL",
  });
});

test("a resolved host without endpoints becomes a workload of its own service", () => {
  const { apply, workload } = ambient();
  apply(
    config("ServiceEntry", "shop/two", { hosts: ["a.example.com", "b.example.com"], resolution: "DNS", ports: [http] }),
  );
  assert.deepEqual(workload(`${entryUid}/two/b.example.com`)["services"], {
    "shop/b.example.com": { ports: [{ servicePort: 80, targetPort: 80 }] },
  });
});

test("a selector matches pods and WorkloadEntries of its namespace, and maps ports by name", () => {
  const { apply, workload } = ambient();
  apply(
    config("ServiceEntry", "shop/web", {
      hosts: ["web.example.com"],
      resolution: "STATIC",
      location: "MESH_INTERNAL",
      ports: [{ number: 80, name: "web", protocol: "HTTP" }],
      workloadSelector: { labels: { app: "web" } },
    }),
    service("shop/web", "10.96.0.5", { app: "web" }, [{ name: "http", port: 81, targetPort: "web" }]),
    pod("shop/web-1", "10.244.1.5", { labels: { app: "web" } }),
    config("WorkloadEntry", "shop/vm", {
      address: "10.9.0.2",
      labels: { app: "web" },
      ports: { web: 9090 },
      serviceAccount: "web",
    }),
  );
  const services = {
    "shop/web.example.com": { ports: [{ servicePort: 80, targetPort: 8080 }] },
    "shop/web.shop.svc.cluster.local": { ports: [{ servicePort: 81, targetPort: 8080 }] },
  };
  assert.deepEqual(workload("Kubernetes//Pod/shop/web-1")["services"], services);
  const vm = workload("Kubernetes/networking.istio.io/WorkloadEntry/shop/vm");
  assert.deepEqual(vm["services"], {
    "shop/web.example.com": { ports: [{ servicePort: 80, targetPort: 9090 }] },
    "shop/web.shop.svc.cluster.local": { ports: [{ servicePort: 81, targetPort: 9090 }] },
  });
  assert.deepEqual([vm["canonicalName"], vm["serviceAccount"], vm["status"]], ["web", "web", undefined]);
});

test("a probed WorkloadEntry is unhealthy until a probe succeeds", () => {
  const { apply, workload } = ambient();
  const entry = config(
    "WorkloadEntry",
    "shop/vm",
    { address: "10.9.0.2" },
    { annotations: { "proxy.istio.io/health-checks-enabled": "true" } },
  );
  const uid = "Kubernetes/networking.istio.io/WorkloadEntry/shop/vm";
  apply(entry);
  assert.equal(workload(uid)["status"], "UNHEALTHY");
  apply({ ...entry, status: { conditions: [{ type: "Healthy", status: "True" }] } } as typeof entry);
  assert.equal(workload(uid)["status"], undefined);
});

test("the oldest of several entries for a host wins in its namespace, and a Service of that name takes precedence", () => {
  const { apply, remove, names, service: serviceOf } = ambient();
  const entry = (key: string, createdAt: string, host = "api.example.com") =>
    config(
      "ServiceEntry",
      key,
      { hosts: [host], resolution: "STATIC", ports: [http], endpoints: [{ address: "10.9.0.9" }] },
      { creationTimestamp: createdAt },
    );
  const first = entry("shop/first", "2026-01-01T00:00:00Z");
  apply(first, entry("shop/second", "2026-01-02T00:00:00Z"), entry("other/third", "2026-01-03T00:00:00Z"));
  assert.equal(serviceOf("shop/api.example.com")["name"], "first");
  assert.deepEqual(
    [serviceOf("shop/api.example.com")["canonical"], serviceOf("other/api.example.com")["canonical"]],
    [true, undefined],
  );
  assert.ok(!names().includes(`${entryUid}/second/10.9.0.9`));
  remove(first);
  assert.equal(serviceOf("shop/api.example.com")["name"], "second");
  apply(
    service("shop/web", "10.96.0.5", { app: "web" }, [{ name: "http", port: 80 }]),
    entry("shop/shadowed", "2026-01-01T00:00:00Z", "web.shop.svc.cluster.local"),
    entry("other/beside", "2026-01-01T00:00:00Z", "web.shop.svc.cluster.local"),
  );
  assert.equal(serviceOf("shop/web.shop.svc.cluster.local")["ipFamilies"], "IPV4_ONLY");
  assert.equal(serviceOf("other/web.shop.svc.cluster.local")["canonical"], undefined);
});

test("clients of other namespaces do not reach an entry that claims a Service's address", () => {
  const { apply, remove, service: serviceOf } = ambient();
  const web = service("shop/web", "10.96.0.5", { app: "web" }, [{ name: "http", port: 80 }]);
  const entry = (host: string, addresses: readonly string[]) =>
    config("ServiceEntry", `other/${host}`, {
      hosts: [host],
      addresses,
      resolution: "STATIC",
      ports: [http],
      endpoints: [{ address: "10.9.0.9" }],
    });
  apply(
    web,
    entry("taken.example", ["192.0.2.1", "10.96.0.5"]),
    entry("written.example", ["10.96.0.5/32"]),
    entry("range.example", ["10.96.0.0/16"]),
    entry("beside.example", ["10.96.0.6"]),
  );
  const canonical = (host: string) => serviceOf(`other/${host}`)["canonical"] === true;
  assert.deepEqual(
    ["taken", "written", "range", "beside"].map((name) => canonical(`${name}.example`)),
    [false, false, true, true],
  );
  assert.equal(serviceOf("shop/web.shop.svc.cluster.local")["canonical"], true);
  remove(web);
  assert.equal(canonical("taken.example"), true);
});

test("clients of other namespaces do not reach an entry that claims an address that another entry was given", () => {
  const { apply, service: serviceOf } = ambient();
  const entry = (key: string, addresses: readonly string[], given: readonly string[] = []) => {
    const host = `${key.split("/")[1] ?? ""}.example`;
    const spec = {
      hosts: [host],
      addresses,
      resolution: "STATIC",
      ports: [http],
      endpoints: [{ address: "10.9.0.9" }],
    };
    return { ...config("ServiceEntry", key, spec), status: { addresses: given.map((value) => ({ value, host })) } };
  };
  apply(
    entry("shop/given", [], ["240.240.0.7"]),
    entry("shop/same", ["240.240.0.7"]),
    entry("other/taken", ["240.240.0.7"]),
    entry("other/beside", ["240.240.0.8"]),
  );
  assert.deepEqual(
    ["shop/given", "shop/same", "other/taken", "other/beside"].map(
      (key) => serviceOf(`${key}.example`)["canonical"] === true,
    ),
    [true, true, false, true],
  );
});

test("allocated addresses apply if the entry has no addresses and requests some", () => {
  const { apply, service: serviceOf } = ambient();
  const entry = (labels: Record<string, string>, addresses: string[] = []) =>
    ({
      ...config(
        "ServiceEntry",
        "shop/auto",
        { hosts: ["auto.example.com"], resolution: "DNS", ports: [http], addresses },
        { labels },
      ),
      status: {
        addresses: [
          { value: "240.240.0.7", host: "auto.example.com" },
          { value: "2001:2::7", host: "auto.example.com" },
        ],
      },
    }) as ReturnType<typeof config>;
  apply(entry({}));
  assert.deepEqual(serviceOf("shop/auto.example.com")["addresses"], [
    { address: "8PAABw==" },
    { address: "IAEAAgAAAAAAAAAAAAAABw==" },
  ]);
  apply(entry({ "networking.istio.io/enable-autoallocate-ip": "false" }));
  assert.equal(serviceOf("shop/auto.example.com")["addresses"], undefined);
  apply(entry({}, ["192.0.2.1"]));
  assert.deepEqual(serviceOf("shop/auto.example.com")["addresses"], [{ address: "wAACAQ==" }]);
});

test("a host that is called like a function of JavaScript has no address until one is allocated for it", () => {
  const { apply, service: serviceOf } = ambient();
  apply({
    ...config("ServiceEntry", "shop/auto", {
      hosts: ["auto.example.com", "constructor"],
      resolution: "DNS",
      ports: [http],
    }),
    status: { addresses: [{ value: "240.240.0.7", host: "auto.example.com" }] },
  } as ReturnType<typeof config>);
  const { addresses, ports } = serviceOf("shop/constructor");
  assert.deepEqual([addresses, ports], [undefined, serviceOf("shop/auto.example.com")["ports"]]);
});

test("a Service without a selector has the pods in its slices", () => {
  const { apply, workload } = ambient();
  apply(
    service("shop/manual", "10.96.0.6", {}, [{ name: "web", port: 80, targetPort: 8080 }]),
    pod("shop/web-1", "10.244.1.5"),
    slice("shop/manual", { name: "web", port: 8080 }, [{ address: "10.244.1.5", pod: "web-1" }]),
  );
  assert.deepEqual(workload("Kubernetes//Pod/shop/web-1")["services"], {
    "shop/manual.shop.svc.cluster.local": { ports: [{ servicePort: 80, targetPort: 8080 }] },
  });
});

test("a namespace's annotation sets traffic distribution for services without one, and an ExternalName is no service", () => {
  const { apply, names, service: serviceOf } = ambient();
  const annotated = {
    kind: "Namespace",
    metadata: { name: "shop", annotations: { "networking.istio.io/traffic-distribution": "PreferSameNode" } },
  };
  const local = service("shop/said", "10.96.0.8", {}, [{ port: 80 }]) as ReturnType<typeof service> & { spec: object };
  apply(
    annotated,
    namespace("other"),
    service("shop/web", "10.96.0.7", {}, [{ port: 80 }]),
    { ...local, spec: { ...local.spec, trafficDistribution: "PreferClose" } } as typeof local,
    {
      kind: "Service",
      metadata: { name: "alias", namespace: "shop" },
      spec: { type: "ExternalName", externalName: "example.com" },
    } as ReturnType<typeof service>,
  );
  assert.deepEqual(serviceOf("shop/web.shop.svc.cluster.local")["loadBalancing"], {
    routingPreference: ["NETWORK", "REGION", "ZONE", "SUBZONE", "NODE"],
    mode: "FAILOVER",
  });
  assert.deepEqual(serviceOf("shop/said.shop.svc.cluster.local")["loadBalancing"], {
    routingPreference: ["NETWORK", "REGION", "ZONE"],
    mode: "FAILOVER",
  });
  assert.ok(!names().some((name) => name.includes("alias")));
});

test("entries of one host are compared once for each change, and the oldest of each namespace counts", () => {
  const { apply, remove, graph, service: serviceOf, names } = ambient();
  const entry = (key: string, port: number) =>
    config("ServiceEntry", key, { hosts: ["db.example.com"], resolution: "NONE", ports: [{ ...http, number: port }] });
  const chosen = () =>
    graph.collections.find(({ name }) => name === "ambient-entries-chosen")?.stats.recomputations ?? 0;
  apply(...Array.from({ length: 30 }, (_, index) => entry(`shop/n${10 + index}`, 1000 + index)), entry("docs/a", 80));
  const portOf = (name: string) => (serviceOf(name)["ports"] as { servicePort: number }[])[0]?.servicePort;
  const hosts = () => names().filter((name) => name.endsWith("/db.example.com"));
  assert.deepEqual(hosts(), ["docs/db.example.com", "shop/db.example.com"]);
  assert.equal(portOf("shop/db.example.com"), 1000);
  const before = chosen();
  apply(entry("shop/n05", 999));
  assert.equal(chosen() - before, 1, "one of 32");
  assert.equal(portOf("shop/db.example.com"), 999);
  remove(entry("shop/n05", 999));
  assert.equal(portOf("shop/db.example.com"), 1000);
  assert.deepEqual(
    hosts().map((name) => serviceOf(name)["canonical"] === true),
    [true, false],
  );
});
