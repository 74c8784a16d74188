import assert from "node:assert/strict";
import { test } from "node:test";
import { config, createModelFixture } from "../../testing/model-fixture.ts";
import { deriveSecretReferences } from "./secret-references.ts";
import { nowhere } from "../service/service-endpoint-model.ts";
import type { ProxyGroup } from "../sidecar-scope.ts";

test("a DestinationRule gives its credential to gateways, and only to the sidecars that it selects", () => {
  const { graph, inputs, apply } = createModelFixture();
  const groups = graph.source<ProxyGroup>("groups");
  const references = deriveSecretReferences(graph, { inputs, groups, mergedGateways: graph.source("merged") });
  const group = (kind: ProxyGroup["kind"], namespace: string, app: string): ProxyGroup => ({
    kind,
    namespace,
    labels: { app },
    locality: nowhere,
    node: "",
    network: "",
    hbone: false,
    dnsCapture: false,
  });
  groups.set("gateway", group("router", "edge", "gateway"));
  groups.set("web", group("sidecar", "shop", "web"));
  const granted = (): string[] =>
    references
      .flatMap((collection) =>
        [...collection.values()].map(({ proxyNamespace, resource }) => `${proxyNamespace} ${resource}`),
      )
      .sort();
  const rule = { host: "db.example", trafficPolicy: { tls: { mode: "SIMPLE", credentialName: "db" } } };
  const toEdge = ["edge kubernetes://db", "edge kubernetes://db-cacert", "edge kubernetes://db-cacert"];
  apply(config("DestinationRule", "shop/db", rule));
  assert.deepEqual(granted(), toEdge);
  apply(config("DestinationRule", "shop/db", { ...rule, workloadSelector: { matchLabels: { app: "other" } } }));
  assert.deepEqual(granted(), toEdge);
  apply(config("DestinationRule", "shop/db", { ...rule, workloadSelector: { matchLabels: { app: "web" } } }));
  assert.deepEqual(granted(), [...toEdge, ...toEdge.map((line) => line.replace("edge", "shop"))]);
});
