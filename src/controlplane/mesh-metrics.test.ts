import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../base/index.ts";
import { MetricsRegistry, renderPrometheus } from "../telemetry/index.ts";
import { addMeshMetrics } from "./mesh-metrics.ts";
import { config, createModelFixture, namespace, pod, service, slice } from "./testing/model-fixture.ts";

test("each scrape counts the mesh's anomalies, and repaired ones disappear", () => {
  const { inputs, apply, remove } = createModelFixture();
  const metrics = new MetricsRegistry();
  addMeshMetrics(inputs, metrics, "1.2.3", systemClock);
  const value = (name: string): number | undefined => {
    const line = renderPrometheus(metrics)
      .split("\n")
      .find((text) => text.startsWith(`${name} `) || text.startsWith(`${name}{`));
    return line === undefined ? undefined : Number(line.slice(line.lastIndexOf(" ") + 1));
  };
  const odd = [
    "endpoint_no_pod",
    "pilot_vservice_dup_domain",
    "pilot_destrule_subsets",
    "pilot_duplicate_envoy_clusters",
  ];
  apply(
    namespace("shop"),
    service("shop/web", "10.96.0.5", { app: "web" }, [{ name: "http", port: 80 }]),
    pod("shop/web-1", "10.1.0.1", { labels: { app: "web" } }),
    slice("shop/web", { name: "http", port: 8080 }, [{ address: "10.1.0.1", pod: "web-1" }]),
  );
  apply(config("VirtualService", "shop/a", { hosts: ["web"], http: [{ route: [{ destination: { host: "web" } }] }] }));
  assert.deepEqual([...odd.map(value), value("pilot_virt_services"), value("pilot_info")], [0, 0, 0, 0, 1, 1]);
  apply(
    slice("shop/web", { name: "http", port: 8080 }, [
      { address: "10.1.0.1", pod: "web-1" },
      { address: "10.1.0.2", pod: "web-2" },
    ]),
    config("VirtualService", "shop/b", {
      hosts: ["web.shop.svc.cluster.local"],
      http: [{ route: [{ destination: { host: "web" } }] }],
    }),
    ...["a", "b"].map((name) =>
      config("DestinationRule", `shop/${name}`, { host: "web", subsets: [{ name: "v1", labels: { version: "v1" } }] }),
    ),
    ...["a", "b"].map((name) =>
      config("ServiceEntry", `shop/${name}`, {
        hosts: ["one.test"],
        ports: [{ number: 80, name: "http", protocol: "HTTP" }],
        resolution: "DNS",
      }),
    ),
  );
  assert.deepEqual(odd.map(value), [1, 1, 1, 1]);
  remove(config("VirtualService", "shop/b", {}));
  assert.equal(value("pilot_vservice_dup_domain"), 0);
});
