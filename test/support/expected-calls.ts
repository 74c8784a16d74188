// The calls for each row of the table of ports, and what they must be answered.
import { create, toBinary } from "@bufbuild/protobuf";
import { createCertificate } from "../../src/rollout/admission/create-certificate.ts";
import { DiscoveryRequestSchema } from "../../src/wire/discovery/index.ts";
import { typeUrls } from "../../src/wire/xds/index.ts";
import type { ExpectedCall } from "./port-walk.ts";

/** Tokens for the audience `istio-ca`. */
export interface WalkTokens {
  /** Of an account in the root namespace that may list the Secrets there. */
  readonly gateway: string;
  /** Of an account in another namespace, without any right. */
  readonly workload: string;
}

/** Rows whose ports a mesh with one waypoint, one sidecar and nothing else does not open. */
export const elsewhere: ReadonlySet<string> = new Set([
  "proxy 15053 DNS queries",
  "operator 8383 /metrics, /ready",
  "operator 8080 /metrics, /ready, if Banzai Cloud's chart installed the operator",
  "operator 8443 /metrics",
  "probe 9191, 9192 all",
  "probe 9193 all",
  "dashboard 20001 or another all",
  "Kiali addon 20001 all",
  "Kiali addon 9090 /metrics",
  "Prometheus addon 9090 its API",
  "Prometheus addon 8080 /healthz of the reloader",
  "Grafana addon 3000 all",
]);

/** Further rows whose ports a real cluster does not open. */
export const ofLabsAlone: readonly string[] = [
  "lab: API server 6443 API",
  "lab: node 10250 kubelet's API",
  "lab: DNS 53 DNS queries",
];

const served = /^200$/;
const forbidden = /^403$/;
const unknown = /^401$/;
const unserved = /^grpc 12$/;
const unauthenticated = /^grpc 16$/;
/** Nothing listens on the port. A sidecar or ztunnel on the way may answer in place of the target. */
const nobody = /^(none|503)$/;
/** With mutual TLS, a connection without a certificate is closed before any answer. */
const noHandshake = /^none$/;

const methods = {
  discovery: "envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources",
  secrets: "envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets",
  authority: "istio.v1.auth.IstioCertificateService/CreateCertificate",
} as const;

export const walkedPort = 8443;

/** A key in the root namespace, and a Gateway that makes the ingress gateway get it. */
export async function walkedKey(nowMs: number): Promise<readonly object[]> {
  const { certificate, privateKey } = await createCertificate(["walked.test"], nowMs);
  const metadata = { name: "walked", namespace: "istio-system" };
  return [
    {
      apiVersion: "v1",
      kind: "Secret",
      metadata,
      type: "kubernetes.io/tls",
      stringData: { "tls.crt": certificate, "tls.key": privateKey },
    },
    {
      apiVersion: "networking.istio.io/v1",
      kind: "Gateway",
      metadata,
      spec: {
        selector: { istio: "ingressgateway" },
        servers: [
          {
            hosts: ["*"],
            port: { number: walkedPort, name: "https", protocol: "HTTPS" },
            tls: { mode: "SIMPLE", credentialName: "walked" },
          },
        ],
      },
    },
  ];
}

function secretRequest(namespace: string, name = "kubernetes://walked"): string {
  const request = create(DiscoveryRequestSchema, {
    node: { id: `router~10.0.0.1~walk.${namespace}~${namespace}.svc.cluster.local` },
    typeUrl: typeUrls.secret,
    resourceNames: [name],
  });
  return Buffer.from(toBinary(DiscoveryRequestSchema, request)).toString("base64");
}

const proxies = ["sidecar", "waypoint", "gateway"] as const;
const ofProxies = (asked: Omit<ExpectedCall, "target">): readonly ExpectedCall[] =>
  proxies.map((target) => ({ ...asked, target }));

export function expectedCallsByRow(tokens: WalkTokens): ReadonlyMap<string, readonly ExpectedCall[]> {
  return new Map<string, readonly ExpectedCall[]>([
    ...proxyRows(),
    ...ztunnelRows(),
    ...pilotRows(tokens),
    ...otherRows(),
  ]);
}

function proxyRows(): [string, readonly ExpectedCall[]][] {
  const post = { method: "POST", others: forbidden };
  return [
    ["proxy 15000 all", ofProxies({ url: "http://<target>:15000/config_dump", others: nobody, own: served })],
    [
      "proxy 15001, 15006 the pod's connections",
      [15_001, 15_006].map((port) => ({ url: `http://<target>:${port}/`, target: "sidecar", others: nobody })),
    ],
    [
      "proxy 15020 /quitquitquit, /drain",
      [
        ...ofProxies({ url: "http://<target>:15020/quitquitquit", ...post }),
        ...ofProxies({ url: "http://<target>:15020/drain", ...post }),
      ],
    ],
    [
      "proxy 15020 metrics, /healthz/ready, /app-health/…",
      ofProxies({ url: "http://<target>:15020/stats/prometheus", others: served, own: served }),
    ],
    [
      "proxy 15021 /healthz/ready",
      ofProxies({ url: "http://<target>:15021/healthz/ready", others: served, own: served }),
    ],
    [
      "proxy 15090 /stats/prometheus",
      ofProxies({ url: "http://<target>:15090/stats/prometheus", others: served, own: served }),
    ],
    [
      "proxy the ports of its Gateways requests",
      [{ url: `https://<target>:${walkedPort}/`, target: "gateway", others: /^404$/, own: /^404$/ }],
    ],
    [
      "proxy 15008 CONNECT",
      ["sidecar", "waypoint"].map((target) => ({
        url: "https://<target>:15008/",
        target,
        others: noHandshake,
        own: noHandshake,
      })),
    ],
  ];
}

function ztunnelRows(): [string, readonly ExpectedCall[]][] {
  const target = "ztunnel";
  return [
    ["ztunnel 15000 all", [{ url: "http://<target>:15000/config_dump", target, others: nobody, own: served }]],
    ["ztunnel 15020 metrics", [{ url: "http://<target>:15020/stats/prometheus", target, others: served, own: served }]],
    [
      "ztunnel 15008 in its own pod: CONNECT to 15020 and 15021",
      [{ url: "https://<target>:15008/", target, others: noHandshake }],
    ],
    [
      "ztunnel 15021 /healthz/ready",
      [{ url: "http://<target>:15021/healthz/ready", target, others: served, own: served }],
    ],
    [
      "ztunnel 15001, 15053 in each pod: the pod's connections and DNS queries",
      [15_001, 15_053].map((port) => ({ url: `http://<target>:${port}/`, target: "captured", others: nobody })),
    ],
    [
      "ztunnel 15006 in each pod: connections in plain text",
      [{ url: "http://<target>:15006/", target: "captured", others: nobody }],
    ],
    [
      "ztunnel 15008 in each pod: CONNECT",
      [{ url: "https://<target>:15008/", target: "captured", others: noHandshake }],
    ],
  ];
}

function pilotRows({ gateway, workload }: WalkTokens): [string, readonly ExpectedCall[]][] {
  const target = "istiod";
  const debug = "http://<target>:8080/debug/serin/proxies";
  const discovery = { url: `grpcs://<target>:15012/${methods.discovery}`, target };
  return [
    ["istiod 8080 /ready", [{ url: "http://<target>:8080/ready", target, others: served, own: served }]],
    [
      "istiod 8080 /debug/*",
      [
        { url: debug, target, others: unknown, own: served },
        { url: debug, target, token: "none", others: unknown },
        { url: debug, target, token: workload, others: forbidden },
        { url: debug, target, token: gateway, others: served },
      ],
    ],
    ["istiod 9876 /scopej/…", [{ url: "http://<target>:9876/scopej/", target, others: nobody, own: served }]],
    [
      "istiod 15010 discovery",
      [
        { url: `grpc://<target>:15010/${methods.secrets}`, target, others: unserved },
        { url: `grpc://<target>:15010/${methods.authority}`, target, others: unserved },
        {
          url: `grpc://<target>:15010/${methods.discovery}`,
          target,
          token: gateway,
          message: secretRequest("istio-system"),
          others: /^(none|grpc (message|\d+))$/,
        },
      ],
    ],
    [
      "istiod 15012 discovery, CA",
      [
        { url: `grpcs://<target>:15012/${methods.authority}`, target, others: unauthenticated },
        { ...discovery, message: secretRequest("istio-system"), others: unauthenticated },
        { ...discovery, message: secretRequest("istio-system"), token: "none", others: unauthenticated },
      ],
    ],
    [
      "istiod 15012 SDS",
      [
        { ...discovery, message: secretRequest("istio-system"), token: gateway, others: /^grpc key$/ },
        {
          ...discovery,
          message: secretRequest("default", "kubernetes://istio-system/walked"),
          token: workload,
          others: /^(none|grpc (message|\d+))$/,
        },
        { ...discovery, message: secretRequest("istio-system"), token: workload, others: /^grpc (7|16)$/ },
      ],
    ],
    [
      "istiod 15014 /metrics, /version",
      [{ url: "http://<target>:15014/version", target, others: served, own: served }],
    ],
    ["istiod 15014 /debug/*", [{ url: "http://<target>:15014/debug/syncz", target, others: unknown, own: served }]],
    [
      "istiod 15017 /inject, /validate",
      ["inject", "validate"].map((path) => ({
        url: `https://<target>:15017/${path}`,
        method: "POST",
        target,
        others: /^400$/,
      })),
    ],
  ];
}

function otherRows(): [string, readonly ExpectedCall[]][] {
  const open = (url: string, target: string): readonly ExpectedCall[] => [{ url, target, others: served, own: served }];
  return [
    [
      "rollout engine 15017 /review",
      [{ url: "https://<target>:15017/review", method: "POST", target: "engine", others: /^400$/ }],
    ],
    [
      "rollout engine 15017 /author",
      ["author", `author/${"0".repeat(64)}`].map((path) => ({
        url: `https://<target>:15017/${path}`,
        method: "POST",
        target: "engine",
        others: /^400$/,
      })),
    ],
    ["rollout engine 15014 /metrics, /ready, /version", open("http://<target>:15014/ready", "engine")],
    ["CNI agent 8000 /readyz, /healthz, /version, /debug/serin/enrolled", open("http://<target>:8000/readyz", "node")],
    ["CNI agent 15014 /metrics", open("http://<target>:15014/metrics", "node")],
    ["lab: API server 6443 API", [{ url: "https://<target>:6443/api/v1/secrets", target: "node", others: /^40[13]$/ }]],
    ["lab: node 10250 kubelet's API", [{ url: "https://<target>:10250/pods", target: "node", others: noHandshake }]],
    ["lab: DNS 53 DNS queries", [{ url: "tcp://<target>:53", target: "node", others: /^none$/ }]],
  ];
}
