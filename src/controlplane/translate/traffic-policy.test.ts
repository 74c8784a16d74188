import assert from "node:assert/strict";
import { test } from "node:test";
import type { LocalityLoadBalancer, ZoneAwareLoadBalancer } from "../../api/istio/index.ts";
import { localitySetting, type EffectivePolicy } from "./traffic-policy.ts";

const locality = (enabled: boolean): LocalityLoadBalancer => ({
  enabled,
  distribute: [],
  failover: [],
  failoverPriority: [],
});
const zones = (minClusterSize: number): ZoneAwareLoadBalancer => ({
  minClusterSize,
  failover: [],
  failoverPriority: [],
});
const rule = (loadBalancer?: object): EffectivePolicy => ({ loadBalancer });
const plainMesh = { localityLbSetting: locality(true) };

test("a rule's zone-aware setting comes before everything, and its locality setting before the mesh config", () => {
  const mesh = { localityLbSetting: locality(true), zoneAwareLbSetting: zones(9) };
  const own = zones(3);
  assert.deepEqual(localitySetting(rule({ zoneAwareLbSetting: own }), "close", mesh), { zoneAware: own });
  const ofRule = locality(true);
  assert.equal(localitySetting(rule({ localityLbSetting: ofRule }), "close", mesh), ofRule);
  assert.equal(localitySetting(rule({ localityLbSetting: locality(false) }), "none", mesh), "off");
});

test("a service's preference takes precedence over the mesh config, even if that turns locality off", () => {
  assert.equal(localitySetting(rule(), "close", { localityLbSetting: locality(false) }), "close");
  assert.equal(
    localitySetting(rule(), "node", { localityLbSetting: locality(true), zoneAwareLbSetting: zones(9) }),
    "node",
  );
});

test("the mesh config's zone-aware setting comes before its locality setting", () => {
  const zoneAware = zones(9);
  assert.deepEqual(
    localitySetting(rule(), "none", { localityLbSetting: locality(false), zoneAwareLbSetting: zoneAware }),
    { zoneAware },
  );
  assert.equal(localitySetting(rule(), "none", plainMesh), plainMesh.localityLbSetting);
  assert.equal(localitySetting(rule(), "none", { localityLbSetting: locality(false) }), "off");
});
