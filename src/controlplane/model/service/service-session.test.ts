import assert from "node:assert/strict";
import { test } from "node:test";
import { createOutboundFixture } from "../../testing/outbound-fixture.ts";
import { pod, service, slice, testMesh } from "../../testing/model-fixture.ts";
import type { Labels } from "../facts.ts";
import { defaultSessionRules } from "../../../api/pilot-settings/index.ts";
import { keepsDraining, serviceSession } from "./service-session.ts";

const cookieLabel = "istio.io/persistent-session";
const on = { sessions: { ...defaultSessionRules, enabled: true } };

test("a service's label names the cookie and its path, or the header, and the cookie comes first", () => {
  const of = (labels: Labels) => serviceSession({ labels }, on);
  assert.deepEqual(of({ [cookieLabel]: "s" }), { kind: "cookie", name: "s", path: "/" });
  assert.deepEqual(of({ [cookieLabel]: "s:/shop" }), { kind: "cookie", name: "s", path: "/shop" });
  assert.deepEqual(of({ "istio.io/persistent-session-header": "x-s" }), { kind: "header", name: "x-s" });
  assert.equal(of({ [cookieLabel]: "s", "istio.io/persistent-session-header": "x-s" })?.kind, "cookie");
  assert.equal(of({}), undefined);
});

test("without the filter's variable no client keeps sessions, and a label without a name means nothing", () => {
  const labels = { [cookieLabel]: "s" };
  assert.equal(serviceSession({ labels }, testMesh), undefined);
  assert.equal(keepsDraining({ labels }, testMesh), true);
  const unnamed = { sessions: { ...defaultSessionRules, enabled: true, cookieLabel: "" } };
  assert.equal(serviceSession({ labels }, unnamed), undefined);
  assert.equal(keepsDraining({ labels }, unnamed), false);
});

/** One pod has the label of draining workloads. */
function healthOf(labels: Record<string, string>): unknown {
  const fixture = createOutboundFixture();
  fixture.apply(
    service("shop/web", "10.96.0.1", { app: "web" }, [{ name: "http", port: 80, targetPort: 8080 }], labels),
    pod("shop/web-0", "10.1.0.1", { labels: { app: "web" }, redirected: false }),
    pod("shop/web-1", "10.1.0.2", { labels: { app: "web", "istio.io/draining": "true" }, redirected: false }),
    slice("shop/web", { name: "http", port: 8080 }, [
      { address: "10.1.0.1", pod: "web-0" },
      { address: "10.1.0.2", pod: "web-1" },
    ]),
  );
  const assignment = fixture.serve().endpoints()["outbound|80||web.shop.svc.cluster.local"];
  return [...JSON.stringify(assignment).matchAll(/"address":"([^"]+)".*?"healthStatus":"([A-Z]+)"/g)].map(
    ([, address, health]) => `${address} ${health}`,
  );
}

test("a pod with the draining label gets no requests, and keeps those of sessions", () => {
  assert.deepEqual(healthOf({}), ["10.1.0.1 HEALTHY"]);
  assert.deepEqual(healthOf({ [cookieLabel]: "s" }), ["10.1.0.1 HEALTHY", "10.1.0.2 DRAINING"]);
});
