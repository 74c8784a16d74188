import assert from "node:assert/strict";
import { test } from "node:test";
import type { Gateway } from "../../api/gateway/index.ts";
import { waypointCanary, waypointObjects } from "./waypoint-objects.ts";

const proxy = {
  revision: "next",
  image: "proxyv2:1",
  discoveryAddress: "istiod-next.istio-system.svc:15012",
  clusterId: "Kubernetes",
  clusterDomain: "cluster.local",
  trustDomain: "cluster.local",
  network: "",
  proxyMetadata: {},
};

function gateway(gatewayClassName: string): Gateway {
  const listeners = [
    { name: "mesh", port: 15_008, protocol: "HBONE", allowedRoutes: { namespaces: { from: "Same" } } },
  ];
  return {
    metadata: {
      name: "wp",
      namespace: "shop",
      uid: "1",
      annotations: { "rollout.serin.dev/canary-revision": "next", "rollout.serin.dev/canary-replicas": "3" },
    },
    spec: { gatewayClassName, listeners },
  } as unknown as Gateway;
}

for (const [className, waypoint] of [
  ["istio-waypoint", { name: "wp", account: "wp" }],
  ["istio-mesh", { name: "web-waypoint-proxy", account: "web" }],
] as const) {
  test(`the canary of a waypoint of class ${className} has the same Gateway and account, and selects no pod of another Deployment`, () => {
    const own = waypointObjects(gateway(className), waypoint, { ...proxy, revision: "old" });
    const canary = waypointCanary(gateway(className), waypoint, proxy);
    assert.deepEqual(
      [canary.metadata.name, canary.spec?.replicas, own.deployment.spec?.replicas],
      [`${waypoint.name}-next`, 3, undefined],
    );
    assert.equal(canary.spec?.template.spec?.serviceAccountName, waypoint.account);
    const labels = canary.spec?.template.metadata?.labels ?? {};
    const selects = (
      selector: Readonly<Record<string, string>> | undefined,
      expected: Readonly<Record<string, string>>,
    ): boolean => Object.entries(selector ?? {}).every(([name, value]) => expected[name] === value);
    assert.ok(selects(canary.spec?.selector.matchLabels, labels));
    assert.ok(!selects(canary.spec?.selector.matchLabels, own.deployment.spec?.template.metadata?.labels ?? {}));
    if (own.service !== undefined) assert.ok(selects(own.service.spec?.selector, labels), "the Service leads to both");
    assert.equal(labels["gateway.networking.k8s.io/gateway-name"], "wp");
    assert.equal(labels["rollout.serin.dev/canary-of"], "wp");
  });
}

test("a terminating waypoint keeps open connections for an hour, so that an upgrade cuts none", () => {
  const { deployment } = waypointObjects(gateway("istio-waypoint"), { name: "wp", account: "wp" }, proxy);
  assert.equal(deployment.spec?.template.spec?.terminationGracePeriodSeconds, 3600);
});

test("a waypoint's process is not the first of its PID namespace, so that SIGTERM ends it also while it starts", () => {
  const { deployment } = waypointObjects(gateway("istio-waypoint"), { name: "wp", account: "wp" }, proxy);
  assert.equal(deployment.spec?.template.spec?.shareProcessNamespace, true);
});

test("a gateway between networks is made like a waypoint, for clients outside the cluster, and belongs to the network that it names", () => {
  const made = gateway("istio-east-west");
  const named = { ...made, metadata: { ...made.metadata, labels: { "topology.istio.io/network": "north" } } };
  const { deployment, service, serviceAccount } = waypointObjects(named, { name: "wp", account: "own" }, proxy);
  assert.deepEqual(
    [deployment.metadata.name, service?.metadata.name, service?.spec?.type, serviceAccount?.metadata.name],
    ["wp", "wp", "LoadBalancer", "own"],
  );
  const labels = deployment.spec?.template.metadata?.labels ?? {};
  assert.deepEqual(
    ["gateway.istio.io/managed", "gateway.networking.k8s.io/gateway-class-name", "topology.istio.io/network"].map(
      (name) => labels[name],
    ),
    ["istio.io-eastwest-controller", "istio-east-west", "north"],
  );
  const [container] = deployment.spec?.template.spec?.containers ?? [];
  assert.equal(container?.env?.find(({ name }) => name === "ISTIO_META_NETWORK")?.value, "north");
  assert.deepEqual(container?.args?.slice(0, 2), ["proxy", "waypoint"]);
});

test("each port of the Service of a gateway between networks has the protocol of its listener", () => {
  const made = gateway("istio-east-west");
  const listeners = [
    ...made.spec.listeners,
    { name: "api", port: 443, protocol: "TLS", tls: { mode: "Passthrough" } },
  ] as Gateway["spec"]["listeners"];
  const { service } = waypointObjects(
    { ...made, spec: { ...made.spec, listeners } },
    { name: "wp", account: "wp" },
    proxy,
  );
  assert.deepEqual(
    service?.spec?.ports?.map(({ port, appProtocol }) => [port, appProtocol]),
    [
      [15_021, "tcp"],
      [15_008, "hbone"],
      [443, "tls"],
    ],
  );
});

test("a waypoint may take ten minutes to start before its node kills it, and requests the memory that it uses", () => {
  const { deployment } = waypointObjects(gateway("istio-waypoint"), { name: "wp", account: "wp" }, proxy);
  const [container] = deployment.spec?.template.spec?.containers ?? [];
  const { failureThreshold = 0, periodSeconds = 0 } = container?.startupProbe ?? {};
  assert.equal(failureThreshold * periodSeconds, 600);
  assert.equal(container?.resources?.requests?.["memory"], "128Mi");
});

test("the control plane's compliance policy reaches the proxies of Gateways, whatever the mesh config says", () => {
  const policies = (more: object) => {
    const { deployment } = waypointObjects(
      gateway("istio-waypoint"),
      { name: "wp", account: "wp" },
      { ...proxy, ...more },
    );
    const { env = [] } = deployment.spec?.template.spec?.containers[0] ?? {};
    return env.filter(({ name }) => name === "COMPLIANCE_POLICY").map(({ value }) => value);
  };
  const proxyMetadata = { COMPLIANCE_POLICY: "fips-140-2" };
  assert.deepEqual(policies({}), []);
  assert.deepEqual(policies({ proxyMetadata }), ["fips-140-2"]);
  assert.deepEqual(policies({ proxyMetadata, compliance: "pqc" }), ["pqc"]);
});
