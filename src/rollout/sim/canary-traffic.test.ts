import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../../base/index.ts";
import { weightedBackends } from "./canary-rules.ts";
import { objectsOf, plainCanary, routePointer, type SimApp } from "./canary-shape.ts";
import { canaryBefore, podTemplate } from "./canary-before.ts";
import { ModelCluster } from "./model-cluster.ts";
import { templatePointer } from "./sim-canary.ts";

function clusterOf(app: SimApp): ModelCluster {
  const cluster = new ModelCluster(seededRandom(1));
  for (const [object, fields] of canaryBefore(app)) cluster.add(object, fields);
  cluster.traffic.add(app);
  return cluster;
}

function ticked(cluster: ModelCluster, times = 20): ModelCluster {
  for (let tick = 0; tick < times; tick += 1) cluster.tick(500, () => 0);
  return cluster;
}

const subsets: SimApp = { name: "r0", namespace: "a", canary: { ...plainCanary, by: "subsets" } };
const to = (subset: string, weight: number) => ({ destination: { host: "r0", subset }, weight });

function write(cluster: ModelCluster, app: SimApp, route: readonly object[]): void {
  const found = cluster.find(objectsOf(app).route);
  assert.ok(found !== undefined);
  cluster.setField(found, routePointer(app), [{ name: "main", route }], "engine");
}

test("proxies of the model learn of a weight after a while, and divide requests by it", () => {
  const cluster = ticked(clusterOf(subsets));
  assert.equal(cluster.traffic.canaryShare(subsets), 0);
  write(cluster, subsets, [to("v1", 75), to("v2", 25)]);
  assert.equal(cluster.traffic.notAcknowledged(objectsOf(subsets).route), "not acknowledged yet");
  cluster.controlPlaneUp = false;
  assert.equal(ticked(cluster).traffic.canaryShare(subsets), 0, "nobody tells them");
  cluster.controlPlaneUp = true;
  assert.equal(ticked(cluster).traffic.canaryShare(subsets), 25);
  assert.equal(cluster.traffic.notAcknowledged(objectsOf(subsets).route), undefined);
  assert.ok(cluster.traffic.countersOf("r0").canaryTotal > 0);
});

test("the model notices requests to a subset that nobody has defined, and to a version without pods", () => {
  const cluster = clusterOf(subsets);
  write(cluster, subsets, [to("v1", 75), to("v3", 25)]);
  assert.match(ticked(cluster).traffic.unserved.get("r0") ?? "", /to r0 subset v3: 25 % reach no pod/);
  write(cluster, subsets, [to("v1", 75), to("v2", 25)]);
  assert.equal(ticked(cluster).traffic.unserved.size, 0);
  cluster.traffic.lostPods.add("r0");
  assert.match(ticked(cluster, 1).traffic.unserved.get("r0") ?? "", /to r0 subset v2/);
});

test("the model notices a backend of another namespace without a ReferenceGrant", () => {
  const app: SimApp = {
    name: "r0",
    namespace: "a",
    canary: { ...plainCanary, target: "httpRoute", routes: "HTTPRoute", elsewhere: true },
  };
  const cluster = clusterOf(app);
  const route = cluster.find(objectsOf(app).route);
  assert.ok(route !== undefined);
  const backendRefs = [{ name: "canary-r0", namespace: "x-r0", port: 80 }];
  cluster.setField(route, routePointer(app), [{ backendRefs }], "engine");
  assert.match(ticked(cluster).traffic.unserved.get("r0") ?? "", /to canary-r0: 100 % reach no pod/);
});

test("a held Deployment of the model keeps its pods while its template changes, and a resumed one replaces them", () => {
  const app: SimApp = { name: "r0", namespace: "a", canary: { ...plainCanary, target: "deployment" } };
  const cluster = clusterOf(app);
  const { app: reference } = objectsOf(app);
  const deployment = cluster.find(reference);
  assert.ok(deployment !== undefined);
  cluster.setField(deployment, "/spec/paused", true, "engine");
  cluster.setField(deployment, templatePointer, podTemplate(app, "v2"), "somebody");
  ticked(cluster);
  assert.deepEqual(deployment.running, podTemplate(app, "v1"));
  assert.equal(cluster.observer.settled({ type: "ready", object: reference }).state, "waiting");
  cluster.setField(deployment, "/spec/paused", undefined, "engine");
  ticked(cluster);
  assert.deepEqual(deployment.running, podTemplate(app, "v2"));
  assert.equal(cluster.observer.settled({ type: "ready", object: reference }).state, "met");
});

test("a weight below 0 or with a fraction is out of its bounds", () => {
  for (const weight of [-1, 0.5])
    assert.throws(() => weightedBackends("HTTPRoute", { backendRefs: [{ name: "s", weight }] }), /has the weight/);
});
