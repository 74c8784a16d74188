import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import type { ExtensionProvider } from "../../../api/istio/index.ts";
import { ListenerSchema } from "../../../wire/envoy/index.ts";
import { meshKey } from "../../model/facts.ts";
import { deriveSecretReferences } from "../../model/gateway/secret-references.ts";
import { decodeResource, valueAt } from "../../testing/decode-resource.ts";
import { config, createModelFixture, namespace, service, testMesh } from "../../testing/model-fixture.ts";
import { deriveMeshModel } from "../mesh-model.ts";
import { scopedResourceKey } from "../resource.ts";
import { deriveClassicGatewayResources } from "./gateway-classic-resources.ts";

const group = "group of the ingress gateway";
const host = "certs.vault.svc.cluster.local";
const certs: ExtensionProvider = { kind: "secrets", name: "vault", settings: { service: host, port: 8443 } };

function gateway(tls: object, ...extensionProviders: readonly ExtensionProvider[]) {
  const { graph, inputs, apply } = createModelFixture();
  const model = deriveMeshModel(graph, inputs);
  const classic = deriveClassicGatewayResources(graph, model);
  const { groups } = model.scopes;
  const [references] = deriveSecretReferences(graph, { inputs, groups, mergedGateways: classic.merged });
  groups.set(group, {
    kind: "router",
    namespace: "edge",
    labels: { istio: "ingressgateway" },
    locality: { region: "", zone: "", subzone: "" },
    node: "",
    network: "",
    hbone: false,
    dnsCapture: false,
  });
  inputs.mesh.set(meshKey, { ...testMesh, extensionProviders });
  const servers = [{ port: { number: 443, protocol: "HTTPS", name: "https" }, hosts: ["shop.example"], tls }];
  apply(namespace("edge"), namespace("vault"), {
    ...config("Gateway", "edge/web", { selector: { istio: "ingressgateway" }, servers }),
    apiVersion: "networking.istio.io/v1",
  });
  const common = (): JsonValue | undefined => {
    const listener = decodeResource(
      ListenerSchema,
      classic.listeners.get(scopedResourceKey(group, "0.0.0.0_443"))?.resource,
    );
    const [chain] = (listener["filterChains"] ?? []) as JsonObject[];
    return valueAt(chain, "transportSocket", "typedConfig", "commonTlsContext");
  };
  const nameAndSource = (secret: JsonValue | undefined): readonly unknown[] => [
    valueAt(secret, "name"),
    valueAt(secret, "sdsConfig", "apiConfigSource", "grpcServices", "0", "envoyGrpc", "clusterName") ??
      Object.keys(valueAt(secret, "sdsConfig") as JsonObject)[0],
  ];
  return {
    apply,
    certificates: () =>
      ((valueAt(common(), "tlsCertificateSdsSecretConfigs") ?? []) as JsonObject[]).map(nameAndSource),
    certificate: () => ((valueAt(common(), "tlsCertificateSdsSecretConfigs") ?? []) as JsonObject[])[0],
    authority: () => nameAndSource(valueAt(common(), "combinedValidationContext", "validationContextSdsSecretConfig")),
    references: () => [...(references?.values() ?? [])].map(({ resource }) => resource),
  };
}

const providerService = service("vault/certs", "10.96.0.9", { app: "certs" }, [
  { name: "grpc", port: 8443, targetPort: 8443 },
]);
const cluster = `outbound|8443||${host}`;

test("a certificate named sds://… comes from the provider's cluster by gRPC, and no Secret with this name is read", () => {
  const { apply, certificate, references } = gateway({ mode: "SIMPLE", credentialName: "sds://shop" }, certs);
  apply(providerService);
  assert.deepEqual(certificate(), {
    name: "shop",
    sdsConfig: {
      apiConfigSource: {
        apiType: "GRPC",
        transportApiVersion: "V3",
        setNodeOnFirstMessageOnly: true,
        grpcServices: [{ envoyGrpc: { clusterName: cluster, authority: host } }],
      },
      resourceApiVersion: "V3",
    },
  });
  assert.deepEqual(references(), []);
});

test("the authority of clients comes from the same provider, unless the server names another one", () => {
  const beside = gateway({ mode: "MUTUAL", credentialName: "sds://shop" }, certs);
  beside.apply(providerService);
  assert.deepEqual(beside.certificates(), [["shop", cluster]]);
  assert.deepEqual(beside.authority(), ["shop-cacert", cluster]);
  const own = gateway(
    { mode: "MUTUAL", credentialNames: ["sds://rsa", "ecdsa"], caCertCredentialName: "sds://clients" },
    certs,
  );
  own.apply(providerService);
  assert.deepEqual(own.certificates(), [
    ["rsa", cluster],
    ["kubernetes://ecdsa", "ads"],
  ]);
  assert.deepEqual(own.authority(), ["clients", cluster]);
  assert.deepEqual(own.references(), ["kubernetes://ecdsa"]);
});

test("the provider's service may be a ServiceEntry, and the first of several providers is used", () => {
  const other: ExtensionProvider = { kind: "secrets", name: "late", settings: { service: "other.example", port: 1 } };
  const { apply, certificates } = gateway({ mode: "SIMPLE", credentialName: "sds://shop" }, certs, other);
  apply({
    ...config("ServiceEntry", "istio-system/certs", {
      hosts: [host],
      ports: [{ number: 8443, name: "grpc", protocol: "GRPC" }],
      resolution: "STATIC",
      location: "MESH_INTERNAL",
      endpoints: [{ address: "127.0.0.1" }],
    }),
    apiVersion: "networking.istio.io/v1",
  });
  assert.deepEqual(certificates(), [["shop", cluster]]);
});

test("without a provider, the name means a Secret", () => {
  const { certificates, authority, references } = gateway({ mode: "MUTUAL", credentialName: "sds://shop" });
  assert.deepEqual(certificates(), [["kubernetes://shop", "ads"]]);
  assert.deepEqual(authority(), ["kubernetes://shop-cacert", "ads"]);
  assert.deepEqual([...new Set(references())], ["kubernetes://shop", "kubernetes://shop-cacert"]);
});

test("until the provider's service exists, the listener names a certificate that never arrives", () => {
  const { apply, certificates } = gateway({ mode: "SIMPLE", credentialName: "sds://shop" }, certs);
  assert.deepEqual(certificates(), [["invalid://sds-provider-without-service/shop", "ads"]]);
  apply(providerService);
  assert.deepEqual(certificates(), [["shop", cluster]]);
});
