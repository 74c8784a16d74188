import assert from "node:assert/strict";
import { test } from "node:test";
import { readGatewayPodValues } from "./pod-values.ts";
import { proxyPodTemplate, type ProxyPod } from "./proxy-pod.ts";

const proxy = {
  revision: "default",
  image: "proxyv2:1",
  discoveryAddress: "istiod.istio-system.svc:15012",
  clusterId: "Kubernetes",
  clusterDomain: "cluster.local",
  trustDomain: "cluster.local",
  network: "",
  proxyMetadata: {},
};
const podOf = (mode: ProxyPod["mode"], values: Readonly<Record<string, unknown>> | undefined) =>
  proxyPodTemplate(
    { ...proxy, podValues: values === undefined ? undefined : readGatewayPodValues(values) },
    { mode, namespace: "shop", name: "gw", serviceAccount: "gw", labels: {} },
  ).spec;

const tolerations = [{ key: "edge", operator: "Exists" }];
const spread = [{ maxSkew: 1, topologyKey: "zone", whenUnsatisfiable: "ScheduleAnyway" }];

test("waypoints get their placement and resources from global.waypoint, and other gateways do not", () => {
  const values = {
    global: {
      waypoint: {
        resources: { requests: { cpu: "10m", memory: null }, limits: {} },
        affinity: { nodeAffinity: {} },
        nodeSelector: { pool: "edge" },
        tolerations,
        topologySpreadConstraints: spread,
      },
      proxy: { resources: { limits: { memory: "3Gi" } } },
    },
  };
  const waypoint = podOf("waypoint", values);
  assert.deepEqual(waypoint?.containers[0]?.resources, { requests: { cpu: "10m" } });
  assert.deepEqual(
    [waypoint?.affinity, waypoint?.nodeSelector, waypoint?.tolerations, waypoint?.topologySpreadConstraints],
    [{ nodeAffinity: {} }, { pool: "edge" }, tolerations, spread],
  );
  const router = podOf("router", values);
  assert.deepEqual(router?.containers[0]?.resources, { limits: { memory: "3Gi" } });
  assert.deepEqual([router?.affinity, router?.nodeSelector, router?.tolerations], [undefined, undefined, undefined]);
});

test("gateways of both kinds pull their images, and are confined, as the values say", () => {
  const values = {
    global: { imagePullPolicy: "Always", imagePullSecrets: ["registry"] },
    gateways: { seccompProfile: { type: "Localhost" } },
  };
  for (const mode of ["router", "waypoint"] as const) {
    const pod = podOf(mode, values);
    assert.deepEqual(pod?.["imagePullSecrets"], [{ name: "registry" }]);
    const [container] = pod?.containers ?? [];
    assert.equal(container?.imagePullPolicy, "Always");
    assert.deepEqual(container?.securityContext?.seccompProfile, { type: "Localhost" });
  }
});

test("gateways of both kinds mount the mesh's root from where the values say that it is", () => {
  const root = (mode: ProxyPod["mode"], values: Readonly<Record<string, unknown>>): unknown =>
    podOf(mode, values)?.volumes?.find(({ name }) => name === "istiod-ca-cert");
  for (const mode of ["router", "waypoint"] as const) {
    assert.deepEqual(root(mode, { global: { trustBundleName: "mine" } }), {
      name: "istiod-ca-cert",
      configMap: { name: "mine" },
    });
    const bundle = { name: "istio.io:istiod-ca:root-cert", path: "root-cert.pem" };
    assert.deepEqual(root(mode, { pilot: { env: { ENABLE_CLUSTER_TRUST_BUNDLE_API: true } } }), {
      name: "istiod-ca-cert",
      projected: { sources: [{ clusterTrustBundle: bundle }] },
    });
  }
});

test("the charts' defaults, and values of a wrong form, change nothing of a gateway's pod", () => {
  const resources = { requests: { cpu: "100m", memory: "128Mi" }, limits: { cpu: "2000m", memory: "1024Mi" } };
  const defaults = {
    global: {
      imagePullPolicy: "",
      imagePullSecrets: [],
      proxy: { resources },
      waypoint: { resources, affinity: {}, nodeSelector: {}, tolerations: [], topologySpreadConstraints: [] },
    },
    gateways: { seccompProfile: {} },
  };
  const wrong = { global: { imagePullPolicy: "Sometimes", imagePullSecrets: "registry", waypoint: { affinity: "x" } } };
  for (const mode of ["router", "waypoint"] as const)
    for (const values of [defaults, wrong, {}])
      assert.equal(JSON.stringify(podOf(mode, values)), JSON.stringify(podOf(mode, undefined)));
});
