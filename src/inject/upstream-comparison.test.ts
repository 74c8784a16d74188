import assert from "node:assert/strict";
import { test } from "node:test";
import type { Container, Pod } from "../api/kubernetes/index.ts";
import { injectPod, readInjectionSettings, readMeshForInjection } from "./index.ts";

/**
 * This pod was compared field by field with the pod that an istiod of 1.32 returns. Order, names, values and patches
 * are the same. Only empty values differ. istiod's probes omit `initialDelaySeconds` if it is 0, its empty volumes have
 * no `emptyDir: {}`, and the application's container gets `resources: {}`. The API server stores the same for both.
 */
const pod: Pod = {
  metadata: {
    generateName: "client-7f-",
    labels: { app: "client", "pod-template-hash": "7f" },
    annotations: {},
    ownerReferences: [{ apiVersion: "apps/v1", kind: "ReplicaSet", name: "client-7f", uid: "1", controller: true }],
  },
  spec: {
    serviceAccountName: "client",
    containers: [
      {
        name: "client",
        image: "client:1",
        ports: [{ containerPort: 8080 }],
        readinessProbe: { httpGet: { path: "/up", port: 8080 } },
      },
    ],
  },
};
const settings = readInjectionSettings(
  {},
  {
    hub: "hub.example",
    tag: "1.31.0",
    istioNamespace: "istio-system",
    revision: "default",
    clusterName: "Kubernetes",
    network: "",
  },
);
const outcome = injectPod(
  { pod, namespace: "demo", namespaceLabels: {} },
  { settings, mesh: readMeshForInjection({}), revision: "default", nativeSidecars: false, proxyConfigs: [] },
);
const result = outcome.kind === "injected" ? outcome.pod : assert.fail(outcome.reason);
const [app, proxy] = result.spec?.containers ?? [];
const [init] = result.spec?.initContainers ?? [];
const names = (list: readonly { readonly name: string }[] | undefined): string =>
  (list ?? []).map(({ name }) => name).join(" ");

test("labels and annotations equal istiod's", () => {
  const { "sidecar.istio.io/status": status, ...annotations } = result.metadata.annotations ?? {};
  assert.deepEqual(annotations, {
    "istio.io/rev": "default",
    "kubectl.kubernetes.io/default-container": "client",
    "kubectl.kubernetes.io/default-logs-container": "client",
    "prometheus.io/path": "/stats/prometheus",
    "prometheus.io/port": "15020",
    "prometheus.io/scrape": "true",
  });
  assert.deepEqual(JSON.parse(status ?? ""), {
    initContainers: ["istio-init"],
    containers: ["istio-proxy"],
    volumes: [
      "workload-socket",
      "credential-socket",
      "workload-certs",
      "istio-envoy",
      "istio-data",
      "istio-podinfo",
      "istio-token",
      "istiod-ca-cert",
      "istio-ca-crl",
    ],
    imagePullSecrets: null,
    revision: "default",
  });
  assert.deepEqual(result.metadata.labels, {
    ...pod.metadata.labels,
    "security.istio.io/tlsMode": "istio",
    "service.istio.io/canonical-name": "client",
    "service.istio.io/canonical-revision": "latest",
  });
});

test("the proxy's container equals istiod's, variable by variable", () => {
  assert.equal(
    names(proxy?.env),
    "PILOT_CERT_PROVIDER CA_ADDR POD_NAME POD_NAMESPACE INSTANCE_IP SERVICE_ACCOUNT HOST_IP ISTIO_CPU_LIMIT PROXY_CONFIG ISTIO_META_POD_PORTS ISTIO_META_APP_CONTAINERS GOMEMLIMIT ISTIO_META_CLUSTER_ID ISTIO_META_NODE_NAME ISTIO_META_INTERCEPTION_MODE ISTIO_META_WORKLOAD_NAME ISTIO_META_OWNER ISTIO_META_MESH_ID TRUST_DOMAIN ISTIO_KUBE_APP_PROBERS",
  );
  const value = (name: string): string | undefined => proxy?.env?.find((one) => one.name === name)?.value;
  assert.equal(value("PROXY_CONFIG"), "{}\n");
  assert.equal(value("ISTIO_META_POD_PORTS"), '[\n    {"containerPort":8080}\n]');
  assert.equal(value("ISTIO_META_OWNER"), "kubernetes://apis/apps/v1/namespaces/demo/deployments/client");
  assert.equal(value("ISTIO_KUBE_APP_PROBERS"), '{"/app-health/client/readyz":{"httpGet":{"path":"/up","port":8080}}}');
  assert.deepEqual(proxy?.args, [
    "proxy",
    "sidecar",
    "--domain",
    "$(POD_NAMESPACE).svc.cluster.local",
    "--proxyLogLevel=warning",
    "--proxyComponentLogLevel=misc:error",
    "--log_output_level=default:info",
  ]);
  assert.equal(
    names(proxy?.volumeMounts),
    "workload-socket credential-socket workload-certs istiod-ca-cert istio-ca-crl istio-data istio-envoy istio-token istio-podinfo",
  );
  assert.deepEqual(proxy?.securityContext, {
    allowPrivilegeEscalation: false,
    capabilities: { drop: ["ALL"] },
    privileged: false,
    readOnlyRootFilesystem: true,
    runAsNonRoot: true,
    runAsUser: 1337,
    runAsGroup: 1337,
    // Serin's own addition. istiod does not set it, so PodSecurity's `restricted` would refuse a pod whose containers
    // set it themselves.
    seccompProfile: { type: "RuntimeDefault" },
  });
  assert.deepEqual(proxy?.resources, {
    limits: { cpu: "2", memory: "1Gi" },
    requests: { cpu: "100m", memory: "128Mi" },
  });
  assert.deepEqual(app?.readinessProbe, { httpGet: { path: "/app-health/client/readyz", port: 15_020 } });
});

test("the redirect's container equals istiod's", () => {
  const given: Container = init ?? assert.fail("no init container");
  assert.deepEqual(given.args, [
    "istio-iptables",
    "-p",
    "15001",
    "-z",
    "15006",
    "-u",
    "1337",
    "-m",
    "REDIRECT",
    "-i",
    "*",
    "-x",
    "",
    "-b",
    "*",
    "-d",
    "15090,15021,15020",
    "--log_output_level=default:info",
  ]);
  assert.deepEqual(given.securityContext?.capabilities, { add: ["NET_ADMIN", "NET_RAW"], drop: ["ALL"] });
});
