import assert from "node:assert/strict";
import { test } from "node:test";
import type { KubernetesObject } from "../../../api/index.ts";
import { meshKey, type MeshSettings } from "../facts.ts";
import { config, node, pod, service, slice, testMesh } from "../../testing/model-fixture.ts";
import { createOutboundFixture, type OutboundFixture } from "../../testing/outbound-fixture.ts";

const host = "web.shop.svc.cluster.local";

function shop(ports: readonly object[] = [{ name: "http", port: 80, targetPort: 8080 }]): OutboundFixture {
  const fixture = createOutboundFixture();
  fixture.apply(
    service("shop/web", "10.96.0.1", { app: "web" }, ports),
    pod("shop/web-1", "10.1.0.1", { labels: { app: "web", version: "v1" }, redirected: false }),
    pod("shop/web-2", "10.1.0.2", { labels: { app: "web", version: "v2" }, redirected: false }),
  );
  return fixture;
}

function endpointsOf(fixture: OutboundFixture, cluster = `outbound|80||${host}`): readonly string[] {
  const assignment = fixture.serve().endpoints()[cluster];
  const found = JSON.stringify(assignment).matchAll(
    /"address":"([^"]+)","portValue":(\d+).*?"healthStatus":"([A-Z]+)"/g,
  );
  return [...found].map(([, address, port, health]) => `${address}:${port} ${health}`);
}

const port = { name: "http", port: 8080 };
const first = { address: "10.1.0.1", pod: "web-1" };
const second = { address: "10.1.0.2", pod: "web-2" };

test("a terminating endpoint that still serves gets requests only if there is no other", () => {
  const fixture = shop();
  fixture.apply(slice("shop/web", port, [{ ...first, terminating: true }, second]));
  assert.deepEqual(endpointsOf(fixture), ["10.1.0.2:8080 HEALTHY"]);
  fixture.apply(slice("shop/web", port, [{ ...first, terminating: true }]));
  assert.deepEqual(endpointsOf(fixture), ["10.1.0.1:8080 HEALTHY"]);
  fixture.apply(slice("shop/web", port, [{ ...first, terminating: true, ready: false }]));
  assert.deepEqual(endpointsOf(fixture), [], "it does not serve any more");
});

test("a terminating endpoint serves its subset while another subset has ready ones", () => {
  const fixture = shop();
  const subsets = ["v1", "v2"].map((version) => ({ name: version, labels: { version } }));
  fixture.apply(
    config("DestinationRule", "shop/web", { host, subsets }),
    slice("shop/web", port, [{ ...first, terminating: true }, second]),
  );
  assert.deepEqual(endpointsOf(fixture, `outbound|80|v1|${host}`), ["10.1.0.1:8080 HEALTHY"]);
  assert.deepEqual(endpointsOf(fixture, `outbound|80|v2|${host}`), ["10.1.0.2:8080 HEALTHY"]);
});

test("the last endpoint that terminates gets new requests, although the service keeps sessions", () => {
  const fixture = shop();
  const labels = { "istio.io/persistent-session": "cookie" };
  fixture.apply(
    service("shop/web", "10.96.0.1", { app: "web" }, [{ name: "http", port: 80, targetPort: 8080 }], labels),
    slice("shop/web", port, [{ ...first, terminating: true }, second]),
  );
  assert.deepEqual(endpointsOf(fixture), ["10.1.0.1:8080 DRAINING", "10.1.0.2:8080 HEALTHY"]);
  fixture.apply(slice("shop/web", port, [{ ...first, terminating: true }]));
  assert.deepEqual(endpointsOf(fixture), ["10.1.0.1:8080 HEALTHY"]);
});

test("a renamed port keeps its endpoints until the slice has the new name", () => {
  const fixture = shop([
    { name: "http-web", port: 80, targetPort: 8080 },
    { name: "metrics", port: 90, targetPort: 9090 },
  ]);
  fixture.apply(slice("shop/web", port, [first]));
  assert.deepEqual(endpointsOf(fixture), ["10.1.0.1:8080 HEALTHY"]);
  assert.deepEqual(endpointsOf(fixture, `outbound|90||${host}`), [], "the slice has no such port");
});

test("a port is not found by its number if another port of the service has the slice's name", () => {
  const fixture = shop([
    { name: "http-web", port: 80, targetPort: 8080 },
    { name: "http", port: 81, targetPort: 8080 },
  ]);
  fixture.apply(slice("shop/web", port, [first]));
  assert.deepEqual(endpointsOf(fixture), []);
  assert.deepEqual(endpointsOf(fixture, `outbound|81||${host}`), ["10.1.0.1:8080 HEALTHY"]);
});

test("an endpoint of a pod that is not known gets no plain text", () => {
  const fixture = shop();
  fixture.apply(slice("shop/web", port, [first, { address: "10.1.0.3", pod: "web-3" }, { address: "192.0.2.1" }]));
  assert.deepEqual(endpointsOf(fixture), ["10.1.0.1:8080 HEALTHY", "192.0.2.1:8080 HEALTHY"]);
});

test("proxies know of an endpoint that is not ready, and call it healthy once it is", () => {
  const fixture = shop();
  fixture.apply(slice("shop/web", port, [{ ...first, ready: false }, second]));
  assert.deepEqual(endpointsOf(fixture), ["10.1.0.1:8080 UNHEALTHY", "10.1.0.2:8080 HEALTHY"]);
  fixture.apply(slice("shop/web", port, [first, second]));
  assert.deepEqual(endpointsOf(fixture), ["10.1.0.1:8080 HEALTHY", "10.1.0.2:8080 HEALTHY"]);
  fixture.apply(slice("shop/web", port, [{ ...first, terminating: true, ready: false }, second]));
  assert.deepEqual(endpointsOf(fixture), ["10.1.0.2:8080 HEALTHY"], "one that ends does not count");
});

test("endpoints that are not ready stay away from clients that could use them, and may be switched off", () => {
  const fixture = shop();
  const { graph, inputs } = fixture;
  const rule = (outlierDetection: object): void =>
    fixture.apply(config("DestinationRule", "shop/web", { host, trafficPolicy: { outlierDetection } }));
  const use = (mesh: Partial<MeshSettings>): void =>
    graph.batch(() => inputs.mesh.set(meshKey, { ...testMesh, ...mesh }));
  fixture.apply(slice("shop/web", port, [{ ...first, ready: false }, second]));
  const [ready, both] = [["10.1.0.2:8080 HEALTHY"], ["10.1.0.1:8080 UNHEALTHY", "10.1.0.2:8080 HEALTHY"]];

  rule({ minHealthPercent: 30 });
  assert.deepEqual(endpointsOf(fixture), ready, "a proxy that panics would use it");
  use({ unreadyEndpoints: "always" });
  assert.deepEqual(endpointsOf(fixture), both);
  rule({ consecutive5xxErrors: 3 });
  use({});
  assert.deepEqual(endpointsOf(fixture), both);
  use({ unreadyEndpoints: "never" });
  assert.deepEqual(endpointsOf(fixture), ready);
  const near = service("shop/web", "10.96.0.1", { app: "web" }, [{ name: "http", port: 80, targetPort: 8080 }]);
  const spec = { ...(near as unknown as { spec: object }).spec, trafficDistribution: "PreferClose" };
  fixture.apply({ ...near, spec } as KubernetesObject);
  assert.deepEqual(endpointsOf(fixture), both, "the zone's health decides when clients leave it");
});

test("a proxy that knows of endpoints that are not ready does not use them because few others are ready", () => {
  const fixture = shop();
  const { graph, inputs } = fixture;
  const web = (trafficDistribution?: string): KubernetesObject => {
    const plain = service("shop/web", "10.96.0.1", { app: "web" }, [{ name: "http", port: 80, targetPort: 8080 }]);
    const spec = { ...(plain as unknown as { spec: object }).spec, trafficDistribution };
    return { ...plain, spec } as KubernetesObject;
  };
  const use = (mesh: Partial<MeshSettings>): void =>
    graph.batch(() => inputs.mesh.set(meshKey, { ...testMesh, ...mesh }));
  const seen = (): object => {
    const common = fixture.serve().clusters()[`outbound|80||${host}`]?.["commonLbConfig"] as Record<string, unknown>;
    return { endpoints: endpointsOf(fixture).length, threshold: common["healthyPanicThreshold"] };
  };
  fixture.apply(
    slice("shop/web", port, [{ ...first, ready: false }, second]),
    config("DestinationRule", "shop/web", { host, trafficPolicy: { outlierDetection: { minHealthPercent: 60 } } }),
  );
  assert.deepEqual(seen(), { endpoints: 1, threshold: { value: 60 } });
  use({ unreadyEndpoints: "always" });
  assert.deepEqual(seen(), { endpoints: 2, threshold: {} });
  for (const unreadyEndpoints of ["automatic", "never"] as const) {
    use({ unreadyEndpoints });
    fixture.apply(web("PreferClose"));
    assert.deepEqual(seen(), { endpoints: 2, threshold: {} });
    fixture.apply(web());
    assert.deepEqual(seen(), { endpoints: 1, threshold: { value: 60 } });
  }
});

test("the order of the localities does not depend on which endpoints are ready", () => {
  const fixture = shop();
  const zones = (ready: boolean): unknown => {
    fixture.apply(
      slice("shop/web", port, [
        { ...first, ready, node: "node-1" },
        { ...second, node: "node-2" },
      ]),
    );
    const assignment = fixture.serve().endpoints()[`outbound|80||${host}`] as { endpoints: { locality: object }[] };
    return assignment.endpoints.map(({ locality }) => locality);
  };
  const pods = [
    pod("shop/web-1", "10.1.0.1", { labels: { app: "web" }, redirected: false, node: "node-1" }),
    pod("shop/web-2", "10.1.0.2", { labels: { app: "web" }, redirected: false, node: "node-2" }),
  ];
  fixture.apply(node("node-1", "z1"), node("node-2", "z2"), ...pods);
  const expected = [
    { region: "r1", zone: "z1" },
    { region: "r1", zone: "z2" },
  ];
  assert.deepEqual(zones(true), expected);
  assert.deepEqual(zones(false), expected);
});
