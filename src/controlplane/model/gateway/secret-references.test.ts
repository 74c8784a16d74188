import assert from "node:assert/strict";
import { test } from "node:test";
import type { KubernetesObject } from "../../../api/index.ts";
import { config, createModelFixture } from "../../testing/model-fixture.ts";
import { deriveConfigMapReferences, deriveSecretReferences } from "./secret-references.ts";
import { nowhere } from "../service/service-endpoint-model.ts";
import type { ProxyGroup } from "../scope-choice.ts";

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

test("a Gateway's secrets are for the account of its proxies, which is unknown if somebody else deploys them", () => {
  const { graph, inputs, apply } = createModelFixture();
  const references = deriveSecretReferences(graph, {
    inputs,
    groups: graph.source<ProxyGroup>("groups"),
    mergedGateways: graph.source("merged"),
  });
  const listener = { name: "a", port: 443, protocol: "HTTPS", tls: { certificateRefs: [{ name: "web" }] } };
  const gateway = (spec: object, annotations: Readonly<Record<string, string>> = {}): KubernetesObject => ({
    ...config("Gateway", "edge/web", { gatewayClassName: "istio", listeners: [listener], ...spec }, { annotations }),
    apiVersion: "gateway.networking.k8s.io/v1",
  });
  const recipients = (): unknown[] =>
    references.flatMap((collection) => [...collection.values()].map(({ recipient }) => recipient));
  apply(gateway({}));
  assert.deepEqual(recipients(), [{ gateway: "web", account: "web-istio" }]);
  apply(gateway({}, { "gateway.istio.io/service-account": "edge" }));
  assert.deepEqual(recipients(), [{ gateway: "web", account: "edge" }]);
  apply(gateway({ addresses: [{ type: "Hostname", value: "ingress.edge.svc.cluster.local" }] }));
  assert.deepEqual(recipients(), [{ gateway: "web" }]);
});

test("a Secret or ConfigMap of another namespace is read only if a ReferenceGrant allows it, and for the Gateway's namespace", () => {
  const { graph, inputs, apply } = createModelFixture();
  const secrets = deriveSecretReferences(graph, {
    inputs,
    groups: graph.source<ProxyGroup>("groups"),
    mergedGateways: graph.source("merged"),
  });
  const configMaps = deriveConfigMapReferences(graph, inputs);
  const names = (): string[] =>
    [...secrets, ...configMaps].flatMap((collection) =>
      [...collection.values()].map(({ namespace, name, author }) => `${namespace}/${name} for ${author}`),
    );
  const roots = { group: "", kind: "ConfigMap", namespace: "shop", name: "roots" };
  const pair = { namespace: "shop", name: "pair" };
  apply({
    ...config("Gateway", "edge/web", {
      gatewayClassName: "istio",
      listeners: [{ name: "a", port: 443, protocol: "HTTPS", tls: { certificateRefs: [pair] } }],
      tls: {
        backend: { clientCertificateRef: { namespace: "shop", name: "client" } },
        frontend: { default: { validation: { caCertificateRefs: [roots] } } },
      },
    }),
    apiVersion: "gateway.networking.k8s.io/v1",
  });
  assert.deepEqual(names(), []);
  const from = [{ group: "gateway.networking.k8s.io", kind: "Gateway", namespace: "edge" }];
  apply({
    ...config("ReferenceGrant", "shop/edge", {
      from,
      to: [
        { group: "", kind: "Secret" },
        { group: "", kind: "ConfigMap" },
      ],
    }),
    apiVersion: "gateway.networking.k8s.io/v1beta1",
  });
  assert.deepEqual(new Set(names()), new Set(["pair", "client", "roots"].map((name) => `shop/${name} for edge`)));
});
