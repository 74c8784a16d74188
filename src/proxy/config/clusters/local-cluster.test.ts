import assert from "node:assert/strict";
import { test } from "node:test";
import { endpointAt } from "../../testing/harness.ts";
import { localZones, ownPlace, type OwnPlace } from "./local-cluster.ts";

const settings = {
  role: "sidecar",
  instanceIp: "10.0.0.1",
  labels: {},
  metadata: { ENABLE_SELF_DISCOVERY: "true", INSTANCE_IPS: "10.0.0.1,fd00::1" },
};
const at = (address: string, zone: string, healthy = true) =>
  endpointAt(80, { address, healthy, locality: { name: `r/${zone}/`, weight: 0 } });

test("only a sidecar with the setting requests the endpoints of its own workload", () => {
  assert.notEqual(ownPlace(settings), undefined);
  assert.notEqual(ownPlace({ ...settings, metadata: { ENABLE_SELF_DISCOVERY: true } }), undefined);
  assert.equal(ownPlace({ ...settings, metadata: {} }), undefined);
  assert.equal(ownPlace({ ...settings, metadata: { ENABLE_SELF_DISCOVERY: "false" } }), undefined);
  assert.equal(ownPlace({ ...settings, role: "router" }), undefined);
});

test("the pod's labels determine its locality, as they do for the control plane", () => {
  const localities = [
    { "istio-locality": "r.z.s" },
    { "istio-locality": "r/z" },
    { "istio-locality": "r.z", "topology.istio.io/locality": "other" },
    { "istio-locality": "" },
  ].map((labels) => ownPlace({ ...settings, labels })?.locality);
  assert.deepEqual(localities, ["r/z/s", "r/z/", "other//", undefined]);
});

test("without a label, the locality is that of the endpoint with one of the proxy's addresses", () => {
  const place = ownPlace(settings) as OwnPlace;
  const endpoints = [at("10.0.0.2", "a"), at("fd00::1", "b"), at("10.0.0.3", "b"), at("10.0.0.4", "b", false)];
  assert.deepEqual(localZones(endpoints, place), {
    own: "r/b/",
    usable: new Map([
      ["r/a/", 1],
      ["r/b/", 2],
    ]),
    usableFraction: 0.75,
  });
  assert.equal(localZones([at("10.0.0.2", "a")], place), undefined);
  assert.equal(localZones([at("10.0.0.2", "a")], { ...place, locality: "r/c/" })?.own, "r/c/");
});
