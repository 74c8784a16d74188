import assert from "node:assert/strict";
import { test } from "node:test";
import { pod } from "../views/testing/small-mesh.ts";
import { TrafficReporters } from "./reported-traffic.ts";

const reporters = new TrafficReporters({
  injectors: [],
  namespaces: [{ metadata: { name: "led", labels: { "istio.io/use-waypoint-namespace": "gates" } } }],
  services: [
    { metadata: { name: "web", namespace: "single", labels: { "istio.io/use-waypoint-namespace": "gates" } } },
  ],
});
const ends = (reporter: string, source: string, destination: string, service = destination) => ({
  reporter,
  source_workload_namespace: source,
  destination_workload_namespace: destination,
  destination_service_namespace: service,
});

test("a proxy reports its own namespace's side of a call, and no call between others", () => {
  const proxy = pod("shop", "web");
  for (const own of [
    ends("source", "shop", "bank"),
    ends("source", "shop", "unknown", "unknown"),
    ends("destination", "bank", "shop"),
    ends("waypoint", "bank", "shop"),
    ends("waypoint", "bank", "unknown", "shop"),
    { reporter: "destination" },
  ])
    assert.ok(reporters.mayReport(proxy, own), JSON.stringify(own));
  for (const forged of [
    ends("destination", "shop", "bank"),
    ends("destination", "bank", "bank"),
    ends("source", "bank", "shop"),
    ends("source", "unknown", "bank"),
    ends("waypoint", "shop", "bank"),
    ends("waypoint", "shop", "led"),
    ends("", "bank", "bank"),
  ])
    assert.ok(!reporters.mayReport(proxy, forged), JSON.stringify(forged));
});

test("a waypoint reports for namespaces that use it, wholly or for one Service", () => {
  const waypoint = pod("gates", "waypoint");
  assert.ok(reporters.mayReport(waypoint, ends("waypoint", "shop", "led")));
  assert.ok(reporters.mayReport(waypoint, ends("waypoint", "shop", "single")));
  assert.ok(!reporters.mayReport(waypoint, ends("waypoint", "shop", "bank")));
});

test("a ztunnel reports all calls, and a pod of another namespace with its label does not", () => {
  const labels = { app: "ztunnel" };
  const call = ends("destination", "shop", "bank");
  assert.ok(reporters.mayReport(pod("istio-system", "ztunnel", { labels }), call));
  assert.ok(reporters.mayReport(pod("kube-system", "ztunnel", { labels }), call));
  assert.ok(!reporters.mayReport(pod("shop", "ztunnel", { labels }), call));
});
