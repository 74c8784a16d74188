// The fields of Kubernetes' own kinds that the control plane reads, as schemas.
import type { StructuralSchema } from "../../src/cluster/schema/crd/structural-schema.ts";

export interface AttackerKind {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly schema: StructuralSchema;
}

const text: StructuralSchema = { type: "string" };
const port: StructuralSchema = { type: "integer", minimum: 1, maximum: 65_535 };
const texts: StructuralSchema = { type: "array", items: text };
const labels: StructuralSchema = { type: "object", additionalProperties: text };
const oneOf = (...values: readonly unknown[]): StructuralSchema => ({ type: "string", enum: values });
const fields = (properties: Readonly<Record<string, StructuralSchema>>, ...required: string[]): StructuralSchema => ({
  type: "object",
  properties,
  required,
});
const list = (items: StructuralSchema): StructuralSchema => ({ type: "array", minItems: 1, items });

const servicePort = fields(
  {
    name: oneOf("http", "tcp-data", "tls", "grpc", "http2-x", "a", "mongo", "auto"),
    port,
    targetPort: { "x-kubernetes-int-or-string": true },
    appProtocol: oneOf("http", "kubernetes.io/h2c", "TCP", "grpc-web", "example.com/x", "https"),
    protocol: oneOf("TCP", "UDP", "SCTP"),
  },
  "name",
  "port",
);

const service = fields(
  {
    ports: list(servicePort),
    selector: labels,
    type: oneOf("ClusterIP", "LoadBalancer", "ExternalName", "NodePort"),
    clusterIP: oneOf("None", "10.96.9.9", "10.96.9.10"),
    externalIPs: texts,
    externalName: text,
    publishNotReadyAddresses: { type: "boolean" },
    internalTrafficPolicy: oneOf("Local", "Cluster"),
    trafficDistribution: oneOf("PreferClose", "PreferSameNode"),
    sessionAffinity: oneOf("ClientIP", "None"),
  },
  "ports",
  "clusterIP",
);

const endpoint = fields(
  {
    addresses: { type: "array", minItems: 1, items: text },
    conditions: fields({ ready: { type: "boolean" }, serving: { type: "boolean" }, terminating: { type: "boolean" } }),
    hostname: text,
    nodeName: oneOf("node-1", "node-9"),
    zone: text,
    targetRef: fields({
      kind: oneOf("Pod", "Node"),
      name: oneOf("web-1", "pod-1", "cart-1"),
      namespace: oneOf("shop", "evil", "amb"),
    }),
  },
  "addresses",
);

const container = fields(
  {
    name: oneOf("app", "istio-proxy"),
    image: oneOf("x"),
    args: texts,
    ports: list(
      fields({ name: oneOf("web", "http"), containerPort: port, protocol: oneOf("TCP", "UDP") }, "containerPort"),
    ),
    env: list(
      fields(
        { name: oneOf("ISTIO_META_ENABLE_HBONE", "ISTIO_META_INTERCEPTION_MODE"), value: oneOf("true", "NONE", "x") },
        "name",
      ),
    ),
  },
  "name",
  "image",
);

const pod = fields(
  {
    containers: list(container),
    serviceAccountName: oneOf("web", "cart", "default"),
    nodeName: oneOf("node-1"),
    hostname: text,
    subdomain: oneOf("web"),
    hostNetwork: { type: "boolean" },
  },
  "containers",
  "nodeName",
);

const backend = fields({
  service: fields({ name: oneOf("web", "cart"), port: fields({ number: port, name: oneOf("http") }) }, "name", "port"),
});
const ingress = fields(
  {
    ingressClassName: oneOf("istio"),
    defaultBackend: backend,
    rules: list(
      fields({
        host: text,
        http: fields(
          {
            paths: list(
              fields(
                { path: text, pathType: oneOf("Prefix", "Exact", "ImplementationSpecific"), backend },
                "pathType",
                "backend",
              ),
            ),
          },
          "paths",
        ),
      }),
    ),
    tls: list(fields({ hosts: texts, secretName: text })),
  },
  "rules",
);

export const builtInKinds: readonly AttackerKind[] = [
  { group: "", version: "v1", kind: "Service", schema: fields({ spec: service }) },
  { group: "", version: "v1", kind: "Pod", schema: fields({ spec: pod }) },
  { group: "", version: "v1", kind: "ServiceAccount", schema: fields({}) },
  { group: "networking.k8s.io", version: "v1", kind: "Ingress", schema: fields({ spec: ingress }) },
  {
    group: "discovery.k8s.io",
    version: "v1",
    kind: "EndpointSlice",
    schema: fields({
      addressType: oneOf("IPv4", "IPv6", "FQDN"),
      endpoints: list(endpoint),
      ports: list(fields({ name: oneOf("http", "tcp-data", "tls"), port, protocol: oneOf("TCP", "UDP") }, "port")),
    }),
  },
];

/** Kinds whose CRDs other programs install. */
export const multiClusterKinds: readonly AttackerKind[] = [
  {
    group: "multicluster.x-k8s.io",
    version: "v1alpha1",
    kind: "ServiceExport",
    schema: { type: "object", properties: { spec: { type: "object", properties: {} } } },
  },
  {
    group: "multicluster.x-k8s.io",
    version: "v1alpha1",
    kind: "ServiceImport",
    schema: fields({ spec: fields({ ips: texts, type: oneOf("ClusterSetIP", "Headless") }) }),
  },
];
