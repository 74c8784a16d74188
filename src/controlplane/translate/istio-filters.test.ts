import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { parseAllDocuments } from "yaml";
import type { KubernetesObject } from "../../api/index.ts";
import { showFeature } from "../testing/feature-fixture.ts";

const objects = ["golden/shop.yaml", "golden/compliance.yaml"].flatMap((file) =>
  parseAllDocuments(readFileSync(new URL(file, import.meta.url), "utf8")).map(
    (document) => document.toJSON() as KubernetesObject,
  ),
);
const exchanging = [
  "sidecar listener 0.0.0.0_80",
  "sidecar cluster outbound|80||web.shop.svc.cluster.local",
  "sidecar cluster PassthroughCluster",
  "inbound listener virtualInbound",
  "gateway listener 0.0.0.0_8443",
  "gateway cluster outbound|5432||db.shop.svc.cluster.local",
  "router listener 0.0.0.0_444",
  "waypoint listener main_internal",
];
const httpType = "type.googleapis.com/io.istio.http.peer_metadata.Config";
const tcpType = "type.googleapis.com/envoy.tcp.metadataexchange.config.MetadataExchange";

function exchangesIn(
  value: JsonValue | undefined,
): readonly { readonly typeUrl: string; readonly value: JsonObject }[] {
  if (typeof value !== "object" || value === null) return [];
  if (Array.isArray(value)) return value.flatMap(exchangesIn);
  const { typeUrl, value: config } = value;
  return typeUrl === httpType || typeUrl === tcpType
    ? [{ typeUrl, value: config as JsonObject }]
    : Object.values(value).flatMap(exchangesIn);
}

function exchangesWith(exchangedLabels: readonly string[]) {
  const shown = showFeature(
    { exchangedLabels, labels: { istio: "ingressgateway" }, shows: exchanging.map((of) => ({ of })) },
    objects,
  );
  return exchanging.map((resource) => ({ resource, filters: exchangesIn(shown[resource]) }));
}

test("every filter that sends or reads a proxy's own metadata gets the labels of PILOT_MX_ADDITIONAL_LABELS", () => {
  for (const { resource, filters } of exchangesWith(["custom-label", "role"])) {
    const sending = filters.filter(({ typeUrl }) => typeUrl === tcpType || !resource.startsWith("waypoint"));
    assert.notEqual(sending.length, 0, resource);
    for (const { value } of sending) assert.deepEqual(value["additional_labels"], ["custom-label", "role"], resource);
    // As in upstream, workload discovery, from which a waypoint knows its peers, has no labels.
    for (const { value } of filters.filter((filter) => !sending.includes(filter)))
      assert.deepEqual(value, { upstream_discovery: [{ workload_discovery: {} }] });
  }
});

test("without labels the filters do not contain the field", () => {
  for (const { resource, filters } of exchangesWith([]))
    for (const { value } of filters) assert.equal("additional_labels" in value, false, resource);
});
