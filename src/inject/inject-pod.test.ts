import assert from "node:assert/strict";
import { test } from "node:test";
import type { Container, Pod } from "../api/kubernetes/index.ts";
import {
  injectPod,
  readInjectionSettings,
  readMeshForInjection,
  type InjectionContext,
  type InjectionOutcome,
} from "./index.ts";

const defaults = {
  hub: "docker.io/istio",
  tag: "1.31.0",
  istioNamespace: "istio-system",
  revision: "default",
  clusterName: "Kubernetes",
  network: "",
};

function context(
  overrides: {
    readonly config?: string;
    readonly values?: string;
    readonly mesh?: unknown;
    readonly native?: boolean;
    readonly proxyConfigs?: InjectionContext["proxyConfigs"];
  } = {},
): InjectionContext {
  const { config, values, mesh = {}, native = false, proxyConfigs = [] } = overrides;
  return {
    settings: readInjectionSettings({ config, values }, defaults),
    mesh: readMeshForInjection(mesh),
    revision: "default",
    nativeSidecars: native,
    proxyConfigs,
  };
}

function pod(
  changes: {
    readonly labels?: Record<string, string>;
    readonly annotations?: Record<string, string>;
    readonly spec?: Partial<Pod["spec"]>;
  } = {},
): Pod {
  const { labels = {}, annotations = {}, spec = {} } = changes;
  return {
    metadata: {
      generateName: "web-5d-",
      labels: { app: "web", "pod-template-hash": "5d", ...labels },
      annotations,
      ownerReferences: [{ apiVersion: "apps/v1", kind: "ReplicaSet", name: "web-5d", uid: "1", controller: true }],
    },
    spec: { containers: [{ name: "app", image: "app:1", ports: [{ name: "http", containerPort: 8080 }] }], ...spec },
  };
}

function inject(given: Pod, using = context(), namespaceLabels: Record<string, string> = {}): InjectionOutcome {
  return injectPod({ pod: given, namespace: "demo", namespaceLabels }, using);
}

function injected(given: Pod, using = context()): Pod {
  const outcome = inject(given, using);
  assert.equal(outcome.kind, "injected");
  return outcome.kind === "injected" ? outcome.pod : given;
}

const names = (containers: readonly Container[] | undefined): string[] =>
  (containers ?? []).map((container) => container.name);
const proxyOf = (given: Pod): Container | undefined =>
  [...(given.spec?.containers ?? []), ...(given.spec?.initContainers ?? [])].find(
    (container) => container.name === "istio-proxy",
  );
const variable = (given: Pod, name: string): string | undefined =>
  proxyOf(given)?.env?.find((entry) => entry.name === name)?.value;

test("a pod gets the redirect after its own init containers and the proxy after its own containers", () => {
  const result = injected(pod({ spec: { initContainers: [{ name: "migrate", image: "m" }] } }));
  assert.deepEqual(names(result.spec?.initContainers), ["migrate", "istio-init"]);
  assert.deepEqual(names(result.spec?.containers), ["app", "istio-proxy"]);
  assert.equal(proxyOf(result)?.image, "docker.io/istio/proxyv2:1.31.0");
  assert.equal(result.metadata.labels?.["security.istio.io/tlsMode"], "istio");
  assert.equal(result.metadata.labels?.["service.istio.io/canonical-name"], "web");
  assert.equal(result.metadata.annotations?.["kubectl.kubernetes.io/default-container"], "app");
  assert.equal(variable(result, "ISTIO_META_OWNER"), "kubernetes://apis/apps/v1/namespaces/demo/deployments/web");
});

test("a native sidecar is the first init container after its redirect, and drains when the pod starts to end", () => {
  const result = injected(
    pod({ spec: { initContainers: [{ name: "migrate", image: "m" }] } }),
    context({ native: true }),
  );
  assert.deepEqual(names(result.spec?.initContainers), ["istio-init", "istio-proxy", "migrate"]);
  assert.deepEqual(names(result.spec?.containers), ["app"]);
  assert.equal(proxyOf(result)?.restartPolicy, "Always");
  assert.deepEqual(proxyOf(result)?.lifecycle?.preStop?.exec?.command, [
    "pilot-agent",
    "request",
    "--debug-port=15020",
    "POST",
    "drain",
  ]);
  const refused = injected(
    pod({ annotations: { "sidecar.istio.io/nativeSidecar": "false" } }),
    context({ native: true }),
  );
  assert.deepEqual(names(refused.spec?.containers), ["app", "istio-proxy"]);
});

test("the patch contains only the changes of the injection", () => {
  const outcome = inject(pod({ annotations: { note: "mine" }, spec: { volumes: [{ name: "own", emptyDir: {} }] } }));
  assert.equal(outcome.kind, "injected");
  const paths = outcome.kind === "injected" ? outcome.patch.map(({ op, path }) => `${op} ${path}`) : [];
  assert.ok(paths.includes("add /spec/containers/1"));
  assert.ok(paths.includes("add /spec/volumes/1"));
  assert.ok(paths.includes("add /metadata/annotations/istio.io~1rev"));
  assert.deepEqual(
    paths.filter((path) => !path.startsWith("add ")),
    [],
  );
});

test("injection skips pods on the host's network, ambient ones, and excluded ones by label, annotation or selector", () => {
  const reasons = (given: Pod, using = context(), namespaceLabels = {}): string | undefined => {
    const outcome = inject(given, using, namespaceLabels);
    return outcome.kind === "skipped" ? outcome.reason : undefined;
  };
  assert.match(reasons(pod({ spec: { hostNetwork: true } })) ?? "", /host's network/);
  assert.match(reasons(pod(), context(), { "istio.io/dataplane-mode": "ambient" }) ?? "", /namespace is labelled/);
  assert.equal(
    reasons(pod(), context(), { "istio.io/dataplane-mode": "ambient", "istio-injection": "enabled" }),
    undefined,
  );
  assert.match(reasons(pod({ labels: { "istio.io/dataplane-mode": "ambient" } })) ?? "", /ambient/);
  assert.match(reasons(pod({ annotations: { "ambient.istio.io/redirection": "enabled" } })) ?? "", /ztunnel/);
  assert.match(reasons(pod({ annotations: { "sidecar.istio.io/inject": "false" } })) ?? "", /"false"/);
  assert.equal(
    reasons(
      pod({ labels: { "sidecar.istio.io/inject": "true" }, annotations: { "sidecar.istio.io/inject": "false" } }),
    ),
    undefined,
  );
  const never = context({
    config: "neverInjectSelector: [{matchLabels: {app: web}}]\nalwaysInjectSelector: [{matchLabels: {app: web}}]",
  });
  assert.match(reasons(pod(), never) ?? "", /neverInjectSelector/);
  assert.match(reasons(pod(), context({ config: "policy: disabled" })) ?? "", /policy is disabled/);
  assert.equal(
    reasons(pod(), context({ config: "policy: disabled\nalwaysInjectSelector: [{matchLabels: {app: web}}]" })),
    undefined,
  );
});

test("probes of every kind go to the proxy, named ports become numbers, and commands stay", () => {
  const result = injected(
    pod({
      spec: {
        containers: [
          {
            name: "app",
            ports: [{ name: "http", containerPort: 8080 }],
            readinessProbe: { httpGet: { path: "/ready", port: "http", scheme: "HTTPS" }, timeoutSeconds: 2 },
            livenessProbe: { tcpSocket: { port: 8080 } },
            startupProbe: { grpc: { port: 9090 } },
            lifecycle: { preStop: { httpGet: { path: "/bye", port: 8080 } } },
          },
          { name: "other", livenessProbe: { exec: { command: ["true"] } } },
        ],
      },
    }),
  );
  const [app, other] = result.spec?.containers ?? [];
  assert.deepEqual(app?.readinessProbe, {
    httpGet: { path: "/app-health/app/readyz", port: 15_020, scheme: "HTTP" },
    timeoutSeconds: 2,
  });
  assert.deepEqual(app?.livenessProbe, { httpGet: { path: "/app-health/app/livez", port: 15_020 } });
  assert.deepEqual(app?.startupProbe, { httpGet: { path: "/app-health/app/startupz", port: 15_020 } });
  assert.deepEqual(app?.lifecycle?.preStop, { httpGet: { path: "/app-health/app/prestopz", port: 15_020 } });
  assert.deepEqual(other?.livenessProbe, { exec: { command: ["true"] } });
  assert.deepEqual(JSON.parse(variable(result, "ISTIO_KUBE_APP_PROBERS") ?? ""), {
    "/app-health/app/readyz": { httpGet: { path: "/ready", port: 8080, scheme: "HTTPS" }, timeoutSeconds: 2 },
    "/app-health/app/livez": { tcpSocket: { port: 8080 } },
    "/app-health/app/startupz": { grpc: { port: 9090 } },
    "/app-health/app/prestopz": { httpGet: { path: "/bye", port: 8080 } },
  });
  const kept = injected(
    pod({
      annotations: { "sidecar.istio.io/rewriteAppHTTPProbers": "false" },
      spec: { containers: [{ name: "app", readinessProbe: { tcpSocket: { port: 1 } } }] },
    }),
  );
  assert.deepEqual(kept.spec?.containers[0]?.readinessProbe, { tcpSocket: { port: 1 } });
});

test("Prometheus scrapes the proxy, which knows where the application's metrics are", () => {
  const result = injected(
    pod({ annotations: { "prometheus.io/scrape": "true", "prometheus.io/port": "9102", "prometheus-io/path": "/m" } }),
  );
  const { annotations = {} } = result.metadata;
  assert.deepEqual(
    [annotations["prometheus.io/port"], annotations["prometheus.io/path"], annotations["prometheus-io/path"]],
    ["15020", "/stats/prometheus", undefined],
  );
  assert.deepEqual(JSON.parse(variable(result, "ISTIO_PROMETHEUS_ANNOTATIONS") ?? ""), {
    scrape: "true",
    path: "/m",
    port: "9102",
  });
  assert.equal(
    injected(pod({ annotations: { "prometheus.io/scrape": "false" } })).metadata.annotations?.["prometheus.io/port"],
    undefined,
  );
  assert.equal(
    injected(pod(), context({ mesh: { enablePrometheusMerge: false } })).metadata.annotations?.["prometheus.io/port"],
    undefined,
  );
});

test("the proxy knows several addresses of metrics, and none of them may be an address of the proxy itself", () => {
  const inject = (targets: string): Pod =>
    injected(pod({ annotations: { "prometheus.istio.io/scrape-targets": targets } }));
  assert.deepEqual(JSON.parse(variable(inject("8080:/m, 9100 ,"), "ISTIO_PROMETHEUS_ANNOTATIONS") ?? ""), {
    scrape: "",
    path: "/m",
    port: "8080",
    targets: [
      { port: "8080", path: "/m" },
      { port: "9100", path: "/metrics" },
    ],
  });
  assert.throws(() => inject("15090:/m"), /scrape-targets is 15090, which is the sidecar's own port/);
  assert.throws(() => inject("metrics"), /scrape-targets must be a port from 1 to 65535, got "metrics"/);
});

test("Prometheus gets the port of metrics behind mutual TLS, unless the pod names its own", () => {
  const config = { "proxy.istio.io/config": 'proxyMetadata: {ENVOY_SECURE_MERGED_METRICS_PORT: "15092"}' };
  const portOf = (annotations: Record<string, string>): string | undefined =>
    injected(pod({ annotations })).metadata.annotations?.["prometheus.istio.io/secure-port"];
  assert.equal(portOf(config), "15092");
  assert.equal(portOf({ ...config, "prometheus.istio.io/secure-port": "1" }), "1");
  assert.equal(
    portOf({ "proxy.istio.io/config": 'proxyMetadata: {ENVOY_SECURE_MERGED_METRICS_PORT: "0"}' }),
    undefined,
  );
  assert.equal(portOf({}), undefined);
});

test("annotations of a pod configure its redirect and its proxy", () => {
  const result = injected(
    pod({
      annotations: {
        "traffic.sidecar.istio.io/excludeInboundPorts": "22",
        "traffic.sidecar.istio.io/excludeOutboundPorts": "3306",
        "traffic.sidecar.istio.io/includeOutboundIPRanges": "10.0.0.0/8",
        "sidecar.istio.io/proxyCPU": "10m",
        "sidecar.istio.io/proxyImage": "example.com/proxyv2:mine",
        "sidecar.istio.io/logLevel": "debug",
        "proxy.istio.io/config":
          "holdApplicationUntilProxyStarts: true\nproxyMetadata: {ISTIO_META_DNS_CAPTURE: 'true'}",
      },
    }),
  );
  const [init] = result.spec?.initContainers ?? [];
  const flag = (name: string): string | undefined => init?.args?.[init.args.indexOf(name) + 1];
  assert.deepEqual([flag("-d"), flag("-o"), flag("-i")], ["15090,15021,22,15020", "3306", "10.0.0.0/8"]);
  assert.deepEqual(init?.env, [{ name: "ISTIO_META_DNS_CAPTURE", value: "true" }]);
  assert.deepEqual(proxyOf(result)?.resources, { requests: { cpu: "10m" } });
  assert.equal(proxyOf(result)?.image, "example.com/proxyv2:mine");
  assert.ok(proxyOf(result)?.args?.includes("--proxyLogLevel=debug"));
  assert.deepEqual(names(result.spec?.containers), ["istio-proxy", "app"]);
  assert.deepEqual(proxyOf(result)?.lifecycle?.postStart?.exec?.command, ["pilot-agent", "wait"]);
});

test("every unusable annotation is reported with the expected value", () => {
  const bad = pod({
    annotations: {
      "sidecar.istio.io/interceptionMode": "MAGIC",
      "traffic.sidecar.istio.io/excludeOutboundPorts": "http",
    },
  });
  assert.throws(
    () => inject(bad),
    /interceptionMode must be REDIRECT, TPROXY or NONE, got "MAGIC"; annotation .*excludeOutboundPorts must be port numbers/,
  );
  assert.throws(
    () => inject(pod({ annotations: { "inject.istio.io/templates": "sidecar,grpc" } })),
    /template "grpc" does not exist \(use grpc-agent .*\); known: sidecar, gateway/,
  );
});

test("ProxyConfig objects override the mesh's settings, from the root namespace to the one that selects the pod", () => {
  const object = (
    namespace: string,
    name: string,
    environmentVariables: Record<string, string>,
    app?: string,
  ): InjectionContext["proxyConfigs"][number] => ({
    metadata: { namespace, name },
    spec: {
      environmentVariables,
      ...(app === undefined
        ? {}
        : { selector: { matchLabels: { app } }, concurrency: 3, image: { imageType: "debug" } }),
    },
  });
  const proxyConfigs = [
    object("istio-system", "all", { A: "root", B: "root", C: "root", D: "root" }),
    object("demo", "here", { B: "namespace", C: "namespace", D: "namespace" }),
    object("demo", "web", { D: "selected" }, "web"),
    object("other", "else", { A: "no" }),
    object("demo", "api", { A: "no" }, "api"),
  ];
  const given = pod({ annotations: { "proxy.istio.io/config": "proxyMetadata: {C: pod, D: pod}" } });
  const result = injected(given, context({ proxyConfigs, mesh: { defaultConfig: { proxyMetadata: { E: "mesh" } } } }));
  assert.deepEqual(
    ["A", "B", "C", "D", "E"].map((name) => variable(result, name)),
    ["root", "namespace", "pod", "selected", "mesh"],
  );
  assert.equal(proxyOf(result)?.image, "docker.io/istio/proxyv2:1.31.0-debug");
  assert.match(variable(result, "PROXY_CONFIG") ?? "", /"concurrency":3/);
});

test("the user's own istio-proxy container takes precedence field by field, even over a native sidecar, with a warning", () => {
  const own = {
    name: "istio-proxy",
    image: "auto",
    env: [{ name: "EXTRA", value: "1" }],
    securityContext: { runAsUser: 2000 },
    resources: { requests: { cpu: "5m" } },
  };
  for (const native of [false, true]) {
    const result = injected(pod({ spec: { containers: [own, { name: "app" }] } }), context({ native }));
    const proxy = proxyOf(result);
    assert.equal(proxy?.image, "docker.io/istio/proxyv2:1.31.0");
    assert.equal(proxy?.resources?.requests?.["cpu"], "5m");
    assert.ok(
      proxy?.env?.some((entry) => entry.name === "EXTRA") === true &&
        proxy.env.some((entry) => entry.name === "POD_NAME"),
    );
    const init = result.spec?.initContainers?.find((container) => container.name === "istio-init");
    assert.equal(init?.args?.[init.args.indexOf("-u") + 1], "2000");
    assert.match(result.metadata.annotations?.["proxy.istio.io/overrides"] ?? "", /"EXTRA"/);
    assert.deepEqual(names(result.spec?.containers), native ? ["app"] : ["app", "istio-proxy"]);
  }
});

test("in mode TPROXY, by annotation or for the mesh, the proxy is root with NET_ADMIN, whatever user is requested", () => {
  const annotations = { "sidecar.istio.io/interceptionMode": "TPROXY" };
  const own = { name: "istio-proxy", image: "auto", securityContext: { runAsUser: 2000, runAsGroup: 3000 } };
  const mesh = context({ mesh: { defaultConfig: { interceptionMode: "TPROXY" } } });
  for (const result of [injected(pod({ annotations })), injected(pod(), mesh)]) {
    const [init] = result.spec?.initContainers ?? [];
    assert.equal(init?.args?.slice(5, 9).join(" "), "-u 1337 -m TPROXY");
    assert.equal(variable(result, "ISTIO_META_INTERCEPTION_MODE"), "TPROXY");
    const { runAsUser, runAsGroup, runAsNonRoot, capabilities } = proxyOf(result)?.securityContext ?? {};
    assert.deepEqual(
      [runAsUser, runAsGroup, runAsNonRoot, capabilities],
      [0, 1337, false, { add: ["NET_ADMIN"], drop: ["ALL"] }],
    );
  }
  const low = { ...annotations, "sidecar.istio.io/capNetBindService": "true" };
  assert.deepEqual(proxyOf(injected(pod({ annotations: low })))?.securityContext?.capabilities?.add, [
    "NET_ADMIN",
    "NET_BIND_SERVICE",
  ]);
  const cni = context({ values: "pilot: {cni: {enabled: true}}" });
  const result = injected(pod({ annotations, spec: { containers: [own, { name: "app" }] } }), cni);
  const [validation] = result.spec?.initContainers ?? [];
  assert.deepEqual(
    [validation?.name, validation?.securityContext?.runAsUser, validation?.args?.[6]],
    ["istio-validation", 1337, "1337"],
  );
  assert.deepEqual(
    [proxyOf(result)?.securityContext?.runAsUser, proxyOf(result)?.securityContext?.runAsGroup],
    [0, 1337],
  );
});

test("the gateway template fills a container whose image is auto and adds no redirect", () => {
  const gateway = pod({
    labels: { "sidecar.istio.io/inject": "true" },
    annotations: { "inject.istio.io/templates": "gateway" },
    spec: { containers: [{ name: "istio-proxy", image: "auto", ports: [{ containerPort: 8080 }] }] },
  });
  const result = injected(gateway, context({ native: true }));
  assert.deepEqual(names(result.spec?.containers), ["istio-proxy"]);
  assert.equal(result.spec?.initContainers, undefined);
  assert.equal(proxyOf(result)?.image, "docker.io/istio/proxyv2:1.31.0");
  assert.deepEqual(proxyOf(result)?.args?.slice(0, 2), ["proxy", "router"]);
  assert.deepEqual(
    proxyOf(result)
      ?.ports?.map((port) => port.containerPort)
      .toSorted(),
    [15_090, 8080],
  );
});

test("with the CNI agent the init container only validates, and needs no rights", () => {
  const result = injected(
    pod({ spec: { initContainers: [{ name: "migrate", image: "m" }] } }),
    context({ values: '{"pilot":{"cni":{"enabled":true}}}' }),
  );
  assert.deepEqual(names(result.spec?.initContainers), ["istio-validation", "migrate"]);
  const [init] = result.spec?.initContainers ?? [];
  assert.deepEqual(init?.securityContext?.capabilities, { drop: ["ALL"] });
  assert.ok(init?.args?.includes("--skip-rule-apply"));
  assert.equal(result.metadata.annotations?.["traffic.sidecar.istio.io/excludeInboundPorts"], "15020");
});

test("the certificate authority is the control plane's Service, whose name has a revision only if the values set one", () => {
  const revision = "sample.istio-system";
  const addressOf = (values: string) =>
    readInjectionSettings({ config: undefined, values }, { ...defaults, revision }).values.caAddress;
  assert.equal(addressOf('{"revision":""}'), "istiod.istio-system.svc:15012");
  assert.equal(addressOf('{"revision":"sample-17"}'), "istiod-sample-17.istio-system.svc:15012");
  assert.equal(addressOf("{}"), `istiod-${revision}.istio-system.svc:15012`);
});

test("null values count as absent", () => {
  const given = {
    metadata: { name: "w", creationTimestamp: null, annotations: null, labels: null },
    spec: {
      containers: [{ name: "app", env: null, ports: null, livenessProbe: null }, null],
      volumes: null,
      initContainers: null,
    },
  } as unknown as Pod;
  const outcome = inject(given);
  assert.equal(outcome.kind, "injected");
  if (outcome.kind !== "injected") return;
  assert.deepEqual(names(outcome.pod.spec?.containers), ["app", "istio-proxy"]);
  assert.equal(
    outcome.patch.some(({ path }) => path === "/metadata/creationTimestamp"),
    false,
  );
});

test("the control plane's compliance policy reaches injected proxies and users' templates", () => {
  const template = 'spec:\n  containers: [{name: extra, image: "{{ .CompliancePolicy }}"}]\n';
  const config = JSON.stringify({ templates: { extra: template }, defaultTemplates: ["sidecar", "extra"] });
  const under = (compliance: InjectionContext["compliance"]) => {
    const result = injected(pod(), { ...context({ config }), compliance });
    const extra = result.spec?.containers.find(({ name }) => name === "extra")?.image;
    return [variable(result, "COMPLIANCE_POLICY"), variable(result, "GODEBUG"), extra];
  };
  assert.deepEqual(under("pqc"), ["pqc", undefined, "pqc"]);
  assert.deepEqual(under("fips-140-3"), ["fips-140-3", "fips140=only", "fips-140-3"]);
  const [policy, debug] = under(undefined);
  assert.deepEqual([policy, debug], [undefined, undefined]);
});
