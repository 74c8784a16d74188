import assert from "node:assert/strict";
import { test } from "node:test";
import { MetricsRegistry, renderPrometheus } from "../../telemetry/index.ts";
import { typeUrls } from "../../wire/xds/index.ts";
import { createDiscoveryMetrics } from "./discovery-metrics.ts";

const registry = new MetricsRegistry();
const metrics = createDiscoveryMetrics(registry);
const lines = (start: string): string[] =>
  renderPrometheus(registry)
    .split("\n")
    .filter((line) => line.startsWith(start));

test("types that clients invent count as one, so that those of others are still counted", () => {
  for (let index = 0; index < 3_000; index += 1) {
    const typeUrl = `type.googleapis.com/invented.Type${index}`;
    metrics.rejected(typeUrl);
    metrics.expired(typeUrl);
    metrics.pushed(typeUrl, 1, undefined, 1);
  }
  metrics.rejected(typeUrls.listener);
  metrics.expired(typeUrls.cluster);
  metrics.pushed(typeUrls.endpoint, 1, 1, 1);
  assert.deepEqual(lines("pilot_total_xds_rejects"), [
    'pilot_total_xds_rejects{type="unknown"} 3000',
    'pilot_total_xds_rejects{type="lds"} 1',
  ]);
  assert.deepEqual(lines("pilot_xds_expired_nonce"), [
    'pilot_xds_expired_nonce{type="unknown"} 3000',
    'pilot_xds_expired_nonce{type="cds"} 1',
  ]);
  assert.deepEqual(lines("pilot_xds_pushes"), [
    'pilot_xds_pushes{type="unknown"} 3000',
    'pilot_xds_pushes{type="eds"} 1',
  ]);
  assert.deepEqual(lines("pilot_xds_lds_reject"), ["pilot_xds_lds_reject 1"]);
});

test("a version has a series while proxies with it are connected, and versions beyond the limit share one", () => {
  const [kept, again] = [metrics.connected("1-18-1"), metrics.connected("1-18-1")];
  const invented = Array.from({ length: 3_000 }, (_, index) => metrics.connected(`invented-${index}`));
  assert.equal(lines("pilot_xds{").length, 257);
  assert.deepEqual(lines('pilot_xds{version="other"}'), ['pilot_xds{version="other"} 2745']);
  for (const stream of invented) stream[Symbol.dispose]();
  assert.deepEqual(lines("pilot_xds{"), ['pilot_xds{version="1-18-1"} 2']);
  again[Symbol.dispose]();
  metrics.connected("1-18-2");
  assert.deepEqual(lines("pilot_xds{"), ['pilot_xds{version="1-18-1"} 1', 'pilot_xds{version="1-18-2"} 1']);
  kept[Symbol.dispose]();
  assert.deepEqual(lines("pilot_xds{"), ['pilot_xds{version="1-18-2"} 1']);
});
