import assert from "node:assert/strict";
import { test } from "node:test";
import { readSettings } from "./proxy-settings.ts";

const read = (env: Record<string, string>, args: readonly string[] = [], labelsFile?: string) =>
  readSettings({ env, args, version: "1.2.3", labelsFile });

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
