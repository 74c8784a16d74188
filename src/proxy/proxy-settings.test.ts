import assert from "node:assert/strict";
import { test } from "node:test";
import { readSettings } from "./proxy-settings.ts";

const read = (env: Record<string, string>, args: readonly string[] = [], labelsFile?: string) =>
  readSettings({ env, args, version: "1.2.3", labelsFile });

/** Settings of a proxy whose pod has these annotations, as the kubelet writes them. */
const annotated = (annotations: Readonly<Record<string, string>>, proxyConfig: object) =>
  readSettings({
    env: { PROXY_CONFIG: JSON.stringify(proxyConfig) },
    args: ["proxy", "router"],
    version: "1.2.3",
    labelsFile: undefined,
    annotationsFile: Object.entries(annotations)
      .map(([name, value]) => `${name}=${JSON.stringify(value)}\n`)
      .join(""),
  });

test("the proxy reads upstream's environment and arguments", () => {
  const settings = read(
    {
      POD_NAME: "gw-1",
      POD_NAMESPACE: "shop",
      INSTANCE_IP: "10.1.2.3",
      SERVICE_ACCOUNT: "gw",
      PROXY_CONFIG: "discoveryAddress: istiod-canary.istio-system.svc:15012\nterminationDrainDuration: 1m30s\n",
      ISTIO_META_CLUSTER_ID: "c1",
      ISTIO_META_WORKLOAD_NAME: "gw",
    },
    ["proxy", "router", "--domain", "$(POD_NAMESPACE).svc.cluster.local", "--proxyLogLevel=warning"],
    'app="gw"\nistio.io/rev="canary"\nquoted="a\\"b"\n',
  );
  assert.deepEqual(
    [
      settings.role,
      settings.xdsUrl,
      settings.caUrl,
      settings.domain,
      settings.drainMs,
      settings.clusterId,
      settings.revision,
    ],
    [
      "router",
      "https://istiod-canary.istio-system.svc:15012",
      "https://istiod-canary.istio-system.svc:15012",
      "shop.svc.cluster.local",
      90_000,
      "c1",
      "canary",
    ],
  );
  assert.deepEqual(settings.metadata["LABELS"], { app: "gw", "istio.io/rev": "canary", quoted: 'a"b' });
  assert.deepEqual(
    [settings.metadata["ISTIO_VERSION"], settings.metadata["WORKLOAD_NAME"], settings.metadata["ENABLE_HBONE"]],
    ["1.2.3", "gw", "true"],
  );
});

test("only a sidecar captures DNS", () => {
  const captures = (role: string): boolean => read({ ISTIO_META_DNS_CAPTURE: "true" }, ["proxy", role]).capturesDns;
  assert.deepEqual([captures("sidecar"), captures("router"), captures("waypoint")], [true, false, false]);
});

test("a discovery port for plaintext means gRPC without TLS and without a root for the token", () => {
  const settings = read({ PROXY_CONFIG: '{"discoveryAddress":"istiod.istio-system.svc:15010"}' });
  assert.deepEqual([settings.xdsUrl, settings.xdsRootFile], ["http://istiod.istio-system.svc:15010", undefined]);
});

test("the error for an invalid value names it", () => {
  assert.throws(() => read({ PROXY_CONFIG: "[" }), /PROXY_CONFIG/);
  assert.throws(() => read({ STATS_PORT: "-1" }), /STATS_PORT must be a port from 0 to 65535, got "-1"/);
  assert.throws(() => read({ EXIT_ON_ZERO_ACTIVE_CONNECTIONS: "maybe" }), /EXIT_ON_ZERO.* must be true or false/);
  assert.throws(() => read({ SECRET_TTL: "soon" }), /SECRET_TTL must be a duration such as 24h or 5s, got "soon"/);
  assert.throws(() => read({ COMPLIANCE_POLICY: "pqs" }), /COMPLIANCE_POLICY must be .* got "pqs"/);
  assert.throws(() => read({ FILE_MOUNTED_CERTS: "true" }), /FILE_MOUNTED_CERTS is not supported/);
  assert.throws(() => read({}, ["proxy", "engine"]), /router, sidecar or waypoint, got "engine"/);
  assert.throws(() => read({}, ["router", "--proxyLogLevel", "loud"]), /--proxyLogLevel must be one of/);
});

test("in a pod without injection, the annotation proxy.istio.io/config overrides PROXY_CONFIG field by field", () => {
  const config = `
discoveryAddress: istiod-canary.istio-system.svc:15012
terminationDrainDuration: 9s
proxy_metadata: { ISTIO_META_NETWORK: "far", B: 2 }
proxyHeaders: { server: { disabled: true } }
`;
  const ofVariable = {
    discoveryAddress: "istiod.istio-system.svc:15012",
    drainDuration: "8s",
    proxyMetadata: { A: "1", B: "1" },
    proxyHeaders: { requestId: { disabled: true }, setCurrentClientCertDetails: { dns: true } },
  };
  const settings = annotated({ "proxy.istio.io/config": config }, ofVariable);
  assert.equal(settings.xdsUrl, "https://istiod-canary.istio-system.svc:15012");
  assert.deepEqual([settings.drainMs, settings.connectionDrainMs], [9000, 8000]);
  assert.equal(settings.metadata["NETWORK"], "far", "variables of the node count, as in upstream's agent");
  assert.deepEqual(settings.metadata["PROXY_CONFIG"], {
    discoveryAddress: "istiod-canary.istio-system.svc:15012",
    terminationDrainDuration: "9s",
    drainDuration: "8s",
    proxyMetadata: { A: "1", B: "2", ISTIO_META_NETWORK: "far" },
    proxyHeaders: { requestId: { disabled: true }, server: { disabled: true } },
  });
  assert.throws(
    () => annotated({ "proxy.istio.io/config": "{" }, {}),
    /annotation proxy\.istio\.io\/config is neither/,
  );
});

test("an injected pod's PROXY_CONFIG contains the annotation already, under ProxyConfig objects that select the pod", () => {
  const annotations = { "proxy.istio.io/config": "drainDuration: 9s", "sidecar.istio.io/status": "{}" };
  assert.equal(annotated(annotations, { drainDuration: "8s" }).connectionDrainMs, 8000);
});

test("annotations for the control plane's address and the status port override both, as in upstream's agent", () => {
  const settings = annotated(
    {
      "proxy.istio.io/config": "statusPort: 15999",
      "sidecar.istio.io/discoveryAddress": "istiod-old.istio-system.svc:15012",
      "status.sidecar.istio.io/port": "16000",
    },
    { discoveryAddress: "istiod.istio-system.svc:15012", statusPort: 15_020 },
  );
  assert.deepEqual([settings.xdsUrl, settings.ports.stats], ["https://istiod-old.istio-system.svc:15012", 16_000]);
  assert.throws(
    () => annotated({ "status.sidecar.istio.io/port": "none" }, {}),
    /annotation status\.sidecar\.istio\.io\/port must be a port, got "none"/,
  );
});

test("the kubelet quotes annotations as Go does", () => {
  const annotationsFile = String.raw`a="line\nnext \\n \"q\" \u2028\x00\U0001f600 é"`;
  const { metadata } = readSettings({ env: {}, args: [], version: "1", labelsFile: undefined, annotationsFile });
  assert.deepEqual(metadata["ANNOTATIONS"], { a: 'line\nnext \\n "q" \u2028\0\u{1f600} é' });
});
