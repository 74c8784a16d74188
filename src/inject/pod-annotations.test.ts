import assert from "node:assert/strict";
import { test } from "node:test";
import type { Container, Pod } from "../api/kubernetes/index.ts";
import { parseProxyConfig } from "../api/proxy-config-text/index.ts";
import { annotationsWithoutEffect } from "./annotation-warnings.ts";
import { podAnnotations } from "./annotations.ts";
import { podProxyConfig } from "./mesh.ts";
import {
  imageTagOfType,
  injectPod,
  readInjectionSettings,
  readMeshForInjection,
  type InjectionOutcome,
} from "./index.ts";

const defaults = {
  hub: "hub",
  tag: "1",
  istioNamespace: "istio-system",
  revision: "default",
  clusterName: "Kubernetes",
  network: "",
};

function outcome(
  annotations: Record<string, string>,
  changes: {
    readonly values?: string;
    readonly config?: string;
    readonly labels?: Record<string, string>;
    readonly pod?: Partial<Pod["spec"]>;
  } = {},
): InjectionOutcome {
  const pod: Pod = {
    metadata: { name: "web", labels: changes.labels ?? {}, annotations },
    spec: {
      containers: [
        {
          name: "app",
          image: "app",
          ports: [{ containerPort: 80 }],
          readinessProbe: { httpGet: { path: "/", port: 80 } },
        },
      ],
      ...changes.pod,
    },
  };
  const settings = readInjectionSettings({ values: changes.values, config: changes.config }, defaults);
  return injectPod(
    { pod, namespace: "demo", namespaceLabels: {} },
    { settings, mesh: readMeshForInjection({}), revision: "default", nativeSidecars: false, proxyConfigs: [] },
  );
}

function injected(annotations: Record<string, string>, changes: Parameters<typeof outcome>[1] = {}): Pod {
  const found = outcome(annotations, changes);
  return found.kind === "injected" ? found.pod : assert.fail(found.reason);
}

const container = (pod: Pod, name: string): Container =>
  [...(pod.spec?.containers ?? []), ...(pod.spec?.initContainers ?? [])].find((one) => one.name === name) ??
  assert.fail(`no ${name}`);
const proxy = (pod: Pod): Container => container(pod, "istio-proxy");
const argument = (pod: Pod, flag: string): string | undefined => {
  const { args = [] } = container(pod, "istio-init");
  return args[args.indexOf(flag) + 1];
};

/** For each annotation: a value, and a function that returns the part of the pod in which its effect shows. */
const effects: Readonly<Record<string, readonly [value: string, seen: (pod: Pod) => unknown, expected: unknown]>> = {
  [podAnnotations.templates]: ["gateway", (pod) => proxy(pod).args?.[1], "router"],
  [podAnnotations.proxyConfig]: [
    "proxyMetadata: {A: b}",
    (pod) => proxy(pod).env?.find(({ name }) => name === "A")?.value,
    "b",
  ],
  [podAnnotations.nativeSidecar]: ["true", (pod) => proxy(pod).restartPolicy, "Always"],
  [podAnnotations.interceptionMode]: ["NONE", (pod) => pod.spec?.initContainers?.length ?? 0, 0],
  [podAnnotations.proxyImage]: ["a/b:c", (pod) => proxy(pod).image, "a/b:c"],
  [podAnnotations.proxyImageType]: ["debug", (pod) => proxy(pod).image, "hub/proxyv2:1-debug"],
  [podAnnotations.proxyCpu]: ["1m", (pod) => proxy(pod).resources, { requests: { cpu: "1m" } }],
  [podAnnotations.proxyCpuLimit]: ["2m", (pod) => proxy(pod).resources, { limits: { cpu: "2m" } }],
  [podAnnotations.proxyMemory]: ["1Mi", (pod) => proxy(pod).resources, { requests: { memory: "1Mi" } }],
  [podAnnotations.proxyMemoryLimit]: ["2Mi", (pod) => proxy(pod).resources, { limits: { memory: "2Mi" } }],
  [podAnnotations.logLevel]: ["debug", (pod) => proxy(pod).args?.includes("--proxyLogLevel=debug"), true],
  [podAnnotations.componentLogLevel]: [
    "http:trace",
    (pod) => proxy(pod).args?.includes("--proxyComponentLogLevel=http:trace"),
    true,
  ],
  [podAnnotations.agentLogLevel]: [
    "all:debug",
    (pod) => proxy(pod).args?.includes("--log_output_level=all:debug"),
    true,
  ],
  [podAnnotations.capNetBindService]: [
    "true",
    (pod) => proxy(pod).securityContext?.capabilities?.add,
    ["NET_BIND_SERVICE"],
  ],
  [podAnnotations.bootstrapOverride]: [
    "boot",
    (pod) => pod.spec?.volumes?.find(({ name }) => name === "custom-bootstrap-volume")?.configMap?.name,
    "boot",
  ],
  [podAnnotations.userVolume]: [
    '{"v":{"emptyDir":{}}}',
    (pod) => pod.spec?.volumes?.find(({ name }) => name === "v")?.emptyDir,
    {},
  ],
  [podAnnotations.userVolumeMount]: [
    '{"v":{"mountPath":"/v"}}',
    (pod) => proxy(pod).volumeMounts?.find(({ name }) => name === "v")?.mountPath,
    "/v",
  ],
  [podAnnotations.rewriteProbes]: ["false", (pod) => container(pod, "app").readinessProbe?.httpGet?.path, "/"],
  [podAnnotations.statusPort]: ["16000", (pod) => argument(pod, "-d"), "15090,15021,16000"],
  [podAnnotations.readinessInitialDelaySeconds]: ["7", (pod) => proxy(pod).readinessProbe?.initialDelaySeconds, 7],
  [podAnnotations.readinessPeriodSeconds]: ["8", (pod) => proxy(pod).readinessProbe?.periodSeconds, 8],
  [podAnnotations.readinessFailureThreshold]: ["9", (pod) => proxy(pod).readinessProbe?.failureThreshold, 9],
  [podAnnotations.includeOutboundIpRanges]: ["10.0.0.0/8", (pod) => argument(pod, "-i"), "10.0.0.0/8"],
  [podAnnotations.excludeOutboundIpRanges]: ["10.1.0.0/16", (pod) => argument(pod, "-x"), "10.1.0.0/16"],
  [podAnnotations.includeInboundPorts]: ["80,81", (pod) => argument(pod, "-b"), "80,81"],
  [podAnnotations.excludeInboundPorts]: ["82", (pod) => argument(pod, "-d"), "15090,15021,82,15020"],
  [podAnnotations.includeOutboundPorts]: ["83", (pod) => argument(pod, "-q"), "83"],
  [podAnnotations.excludeOutboundPorts]: ["84", (pod) => argument(pod, "-o"), "84"],
  [podAnnotations.excludeInterfaces]: ["eth1", (pod) => argument(pod, "-c"), "eth1"],
  [podAnnotations.kubevirtInterfaces]: ["net1", (pod) => argument(pod, "-k"), "net1"],
  [podAnnotations.rerouteVirtualInterfaces]: ["net2", (pod) => argument(pod, "-k"), "net2"],
  [podAnnotations.mergeMetrics]: ["false", (pod) => pod.metadata.annotations?.["prometheus.io/port"], undefined],
  [podAnnotations.scrapeTargets]: [
    "81:/a",
    (pod) => proxy(pod).env?.some(({ name }) => name === "ISTIO_PROMETHEUS_ANNOTATIONS"),
    true,
  ],
  [podAnnotations.defaultContainer]: [
    "mine",
    (pod) => pod.metadata.annotations?.[podAnnotations.defaultContainer],
    "mine",
  ],
  [podAnnotations.defaultLogsContainer]: [
    "mine",
    (pod) => pod.metadata.annotations?.[podAnnotations.defaultLogsContainer],
    "mine",
  ],
};

/**
 * Annotations with tests of their own: they decide about injection, or injection writes them, or the proxy reads them.
 */
const elsewhere = [
  podAnnotations.inject,
  podAnnotations.status,
  podAnnotations.revision,
  podAnnotations.overrides,
  podAnnotations.redirection,
  podAnnotations.multusNetworks,
  podAnnotations.statsHistogramBuckets,
  podAnnotations.discoveryAddress,
  podAnnotations.statsInclusionPrefixes,
  podAnnotations.statsInclusionSuffixes,
  podAnnotations.statsInclusionRegexps,
  podAnnotations.securePort,
];

/** The annotations of pods in upstream's list. */
const documented =
  "prometheus.istio.io/merge-metrics sidecar.istio.io/inject sidecar.istio.io/status sidecar.istio.io/rewriteAppHTTPProbers sidecar.istio.io/discoveryAddress sidecar.istio.io/proxyImage sidecar.istio.io/proxyImageType sidecar.istio.io/proxyCPU sidecar.istio.io/proxyCPULimit sidecar.istio.io/proxyMemory sidecar.istio.io/proxyMemoryLimit sidecar.istio.io/interceptionMode sidecar.istio.io/bootstrapOverride sidecar.istio.io/statsInclusionPrefixes sidecar.istio.io/statsInclusionSuffixes sidecar.istio.io/statsInclusionRegexps sidecar.istio.io/statsHistogramBuckets sidecar.istio.io/statsFlushInterval sidecar.istio.io/statsEvictionInterval sidecar.istio.io/statsHistogramBins sidecar.istio.io/userVolume sidecar.istio.io/userVolumeMount status.sidecar.istio.io/port sidecar.istio.io/logLevel sidecar.istio.io/componentLogLevel sidecar.istio.io/agentLogLevel sidecar.istio.io/nativeSidecar readiness.status.sidecar.istio.io/initialDelaySeconds readiness.status.sidecar.istio.io/periodSeconds readiness.status.sidecar.istio.io/failureThreshold readiness.status.sidecar.istio.io/applicationPorts traffic.sidecar.istio.io/includeOutboundIPRanges traffic.sidecar.istio.io/excludeOutboundIPRanges traffic.sidecar.istio.io/includeInboundPorts traffic.sidecar.istio.io/excludeInboundPorts traffic.sidecar.istio.io/excludeInterfaces traffic.sidecar.istio.io/includeOutboundPorts traffic.sidecar.istio.io/excludeOutboundPorts traffic.sidecar.istio.io/kubevirtInterfaces proxy.istio.io/config istio.io/rev proxy.istio.io/overrides inject.istio.io/templates sidecar.istio.io/extraStatTags ambient.istio.io/redirection istio.io/reroute-virtual-interfaces sidecar.istio.io/statsCompression".split(
    " ",
  );
/** Annotations of the node agent, which injection ignores. */
const ofTheNodeAgent = ["ambient.istio.io/bypass-inbound-capture", "ambient.istio.io/dns-capture"];

test("every pod annotation that upstream documents has its effect, or gets a warning that names it", () => {
  const accounted = new Set([...Object.keys(effects), ...Object.keys(annotationsWithoutEffect), ...elsewhere]);
  assert.deepEqual(
    documented.filter((name) => !accounted.has(name)),
    [],
  );
  assert.deepEqual(
    Object.values(podAnnotations).filter((name) => !accounted.has(name)),
    [],
  );
  for (const [name, [value, seen, expected]] of Object.entries(effects)) {
    assert.deepEqual(seen(injected({ [name]: value })), expected, name);
    const bare = name === podAnnotations.mergeMetrics ? "15020" : expected;
    if (name !== podAnnotations.mergeMetrics)
      assert.notDeepEqual(
        name === podAnnotations.userVolume ? undefined : seen(injected({})),
        bare,
        `${name} without it`,
      );
  }
  for (const [name, reason] of Object.entries(annotationsWithoutEffect)) {
    const found = outcome({ [name]: "x" });
    assert.deepEqual(found.kind === "injected" ? found.warnings : [], [`annotation ${name} ${reason}`]);
  }
  for (const name of ofTheNodeAgent)
    assert.deepEqual(outcome({ [name]: "true" }), { ...outcome({ [name]: "true" }), warnings: [] });
});

test("an expression for statistics that is not RE2 gets a warning, and the pod its proxy", () => {
  const found = outcome({
    "sidecar.istio.io/statsInclusionPrefixes": "cluster.outbound",
    "sidecar.istio.io/statsInclusionRegexps": ".*upstream_cx_.*,(",
  });
  assert.deepEqual(found.kind === "injected" ? found.warnings : [], [
    'annotation sidecar.istio.io/statsInclusionRegexps must be an RE2 expression (https://github.com/google/re2/wiki/Syntax), got "(": missing closing ): `(`; it includes nothing',
  ]);
  const configured = outcome({ "proxy.istio.io/config": 'proxyStatsMatcher: { inclusionRegexps: ["["] }' });
  assert.match(
    configured.kind === "injected" ? configured.warnings.join() : "",
    /^annotation proxy\.istio\.io\/config: proxyStatsMatcher\.inclusionRegexps\[0\] must be an RE2 expression/,
  );
});

test("an unknown annotation, an odd inject label and a custom DNS policy get warnings", () => {
  const found = outcome(
    { "sidecar.istio.io/proxyCPUs": "1" },
    { labels: { "sidecar.istio.io/inject": "yes" }, pod: { dnsPolicy: "None" } },
  );
  assert.deepEqual(found.kind === "injected" ? found.warnings : [], [
    "annotation sidecar.istio.io/proxyCPUs is not known and has no effect; did you mean sidecar.istio.io/proxyCPU?",
    'sidecar.istio.io/inject must be true or false, got "yes": the injection policy decides',
    "spec.dnsPolicy is None: the proxy may not resolve the control plane's name; use ClusterFirst",
  ]);
});

test("a user's template is merged onto the built-in one, and its faults are reported by name", () => {
  const config = (template: string): string =>
    JSON.stringify({ templates: { extra: template, "grpc-agent": "ignored" } });
  const annotations = { [podAnnotations.templates]: "sidecar,extra" };
  const template =
    "metadata:\n  labels: {team: {{ index .ObjectMeta.Labels `app` | quote }}}\nspec:\n  containers:\n  - name: istio-proxy\n    env:\n    - {name: GREETING, value: {{ .Values.greeting }} }\n  {{- if .Spec.Containers }}\n  volumes: [{name: more, emptyDir: {}}]\n  {{- end }}";
  const pod = injected(annotations, {
    config: config(template),
    values: '{"greeting":"hello"}',
    labels: { app: "web" },
  });
  assert.equal(proxy(pod).env?.find(({ name }) => name === "GREETING")?.value, "hello");
  assert.ok((proxy(pod).env?.length ?? 0) > 10);
  assert.equal(pod.metadata.labels?.["team"], "web");
  assert.ok(pod.spec?.volumes?.some(({ name }) => name === "more"));
  assert.throws(
    () => outcome(annotations, { config: config("{{ env `A` }}") }),
    /the template "extra" of the injection's configuration cannot be used: calls "env"/,
  );
  assert.throws(() => outcome(annotations, { config: config("status: {}") }), /"extra" .* produces "status"/);
  assert.throws(
    () => outcome({ [podAnnotations.templates]: "grpc" }, { config: config("") }),
    /template "grpc" does not exist \(use grpc-agent.*known: sidecar, gateway, grpc-agent, grpc-simple, extra/,
  );
});

test("grpc-simple writes a bootstrap by which gRPC connects to the control plane directly, and adds no proxy", () => {
  const pod = injected({ [podAnnotations.templates]: "grpc-simple" });
  assert.ok(pod.spec?.containers.every(({ name }) => name !== "istio-proxy"));
  assert.ok(
    pod.spec?.containers.every(({ env }) =>
      env?.some(({ name, value }) => name === "GRPC_XDS_BOOTSTRAP" && value === "/var/lib/grpc/data/bootstrap.json"),
    ),
  );
  const [init] = pod.spec?.initContainers ?? [];
  assert.equal(init?.name, "grpc-bootstrap-init");
  const bootstrap = JSON.parse(init?.env?.find(({ name }) => name === "BOOTSTRAP")?.value ?? "") as {
    xds_servers: { server_uri: string }[];
    node: unknown;
  };
  assert.match(bootstrap.xds_servers[0]?.server_uri ?? "", /^dns:\/\/\/istiod(-\w+)?\.istio-system\.svc:15010$/);
  assert.deepEqual(bootstrap.node, {
    id: "sidecar~$(INSTANCE_IP)~$(POD_NAME).$(POD_NAMESPACE)~cluster.local",
    metadata: { GENERATOR: "grpc" },
  });
  assert.ok(pod.spec?.volumes?.some(({ name }) => name === "grpc-io-proxyless-bootstrap"));
});

test("grpc-agent gives xDS-speaking gRPC an agent without a proxy and without a redirect", () => {
  const pod = injected(
    { [podAnnotations.templates]: "grpc-agent" },
    {
      pod: {
        containers: [
          {
            name: "app",
            image: "app:1",
            env: [{ name: "GRPC_XDS_BOOTSTRAP", value: "/mine.json" }],
            readinessProbe: { httpGet: { path: "/up", port: 8080 } },
          },
        ],
      },
    },
  );
  const [app, agent] = pod.spec?.containers ?? [];
  assert.deepEqual([app?.name, app?.image, agent?.name], ["app", "app:1", "istio-proxy"]);
  assert.deepEqual(pod.spec?.initContainers, undefined);
  const value = (name: string): string | undefined => agent?.env?.find((one) => one.name === name)?.value;
  assert.deepEqual(
    ["ISTIO_META_GENERATOR", "DISABLE_ENVOY", "OUTPUT_CERTS", "ISTIO_META_INTERCEPTION_MODE"].map(value),
    ["grpc", "true", "/var/lib/istio/data", undefined],
  );
  assert.deepEqual(agent?.lifecycle?.postStart?.exec?.command, [
    "pilot-agent",
    "wait",
    "--url=http://localhost:15020/healthz/ready",
  ]);
  assert.equal(agent?.readinessProbe?.httpGet?.port, 15_020);
  assert.deepEqual(app?.readinessProbe?.httpGet, { path: "/up", port: 8080 }, "nothing stands before the application");
  assert.deepEqual(app?.env, [
    { name: "GRPC_XDS_BOOTSTRAP", value: "/mine.json" },
    { name: "GRPC_XDS_EXPERIMENTAL_SECURITY_SUPPORT", value: "true" },
  ]);
  assert.deepEqual(
    app?.volumeMounts?.map(({ name, mountPath }) => `${name} ${mountPath}`),
    [
      "istio-data /var/lib/istio/data",
      "istio-xds /etc/istio/proxy",
      "workload-certs /var/run/secrets/workload-spiffe-credentials",
    ],
  );
  const mounted = new Set(
    pod.spec?.containers.flatMap(({ volumeMounts = [] }) => volumeMounts.map(({ name }) => name)),
  );
  assert.deepEqual([...mounted].sort(), pod.spec?.volumes?.map(({ name }) => name).sort());
  assert.equal(pod.metadata.labels?.["security.istio.io/tlsMode"], undefined);
});

test("the root comes from a ClusterTrustBundle if the values enable it", () => {
  const source = (values: string): unknown =>
    injected({}, { values }).spec?.volumes?.find(({ name }) => name === "istiod-ca-cert");
  assert.deepEqual(source("{}"), { name: "istiod-ca-cert", configMap: { name: "istio-ca-root-cert" } });
  assert.deepEqual(source('{"global":{"trustBundleName":"mine"}}'), {
    name: "istiod-ca-cert",
    configMap: { name: "mine" },
  });
  assert.deepEqual(source('{"pilot":{"env":{"ENABLE_CLUSTER_TRUST_BUNDLE_API":true}}}'), {
    name: "istiod-ca-cert",
    projected: { sources: [{ clusterTrustBundle: { name: "istio.io:istiod-ca:root-cert", path: "root-cert.pem" } }] },
  });
});

test("the annotation for Multus names our network once", () => {
  const values = '{"pilot":{"cni":{"enabled":true,"provider":"multus"}}}';
  const networks = (given?: string): string | undefined =>
    injected(given === undefined ? {} : { [podAnnotations.multusNetworks]: given }, { values }).metadata.annotations?.[
      podAnnotations.multusNetworks
    ];
  assert.equal(networks(), "default/istio-cni");
  assert.equal(networks("a, b"), "a, b, default/istio-cni");
  assert.deepEqual(JSON.parse(networks('[{"name":"a"}]') ?? ""), [
    { name: "a" },
    { name: "istio-cni", namespace: "default" },
  ]);
  assert.equal(networks("default/istio-cni"), "default/istio-cni");
});

test("a pod's proxy config is parsed like the mesh's: faults refuse the pod, and fields without effect get warnings", () => {
  const config = (value: string): Record<string, string> => ({ [podAnnotations.proxyConfig]: value });
  const found = outcome(config("holdApplicationUntilProxyStart: true\nstatNameLength: 9"));
  assert.deepEqual(found.kind === "injected" ? found.warnings : [], [
    "annotation proxy.istio.io/config: holdApplicationUntilProxyStart is not known and has no effect; did you mean holdApplicationUntilProxyStarts?",
  ]);
  assert.match(
    proxy(injected(config("concurrency: '2'"))).env?.find(({ name }) => name === "PROXY_CONFIG")?.value ?? "",
    /"concurrency":2\}/,
    "a number in quotes is one",
  );
  assert.throws(
    () => outcome(config("statusPort: abc\ninterceptionMode: SOME")),
    /config must be a proxy config \(statusPort must be .*; interceptionMode must be one of/,
  );
  assert.throws(() => outcome(config(`# ${"x".repeat(40_000)}`)), /must be at most 32768 characters, got 40002/);
  assert.throws(
    () => outcome(config(`tracing: ${"[".repeat(20_000)}`)),
    /annotation proxy\.istio\.io\/config must be nested at most 64 levels deep/,
  );
});

test("the proxy answers on the port of the pod's probes, and gets no probes if it has no port", () => {
  const moved = injected({ [podAnnotations.statusPort]: "16000" });
  assert.equal(container(moved, "app").readinessProbe?.httpGet?.port, 16_000);
  assert.match(proxy(moved).env?.find(({ name }) => name === "PROXY_CONFIG")?.value ?? "", /"statusPort":16000/);
  assert.equal(moved.metadata.annotations?.["prometheus.io/port"], "16000");
  const silent = injected({ [podAnnotations.statusPort]: "0" });
  assert.deepEqual(container(silent, "app").readinessProbe, { httpGet: { path: "/", port: 80 } });
  assert.equal(proxy(silent).readinessProbe, undefined);
});

test("a pod's header settings are merged with the mesh's other ones", () => {
  const mesh = readMeshForInjection({
    defaultConfig: {
      proxyHeaders: { requestId: { disabled: true }, server: { value: "mesh" }, preserveHttp1HeaderCase: true },
    },
  });
  const { json } = podProxyConfig(mesh, [parseProxyConfig("proxyHeaders: {server: {value: pod}}")]);
  assert.deepEqual(JSON.parse(json), { proxyHeaders: { requestId: { disabled: true }, server: { value: "pod" } } });
});

test("a pod's annotations, labels and image give OpenTelemetry collectors its service attributes", () => {
  const mesh = {
    extensionProviders: [{ name: "otel", opentelemetry: { serviceAttributeEnrichment: "OTEL_SEMANTIC_CONVENTIONS" } }],
  };
  const serviceVersion = (
    image: string,
    metadata: Partial<Pod["metadata"]> = {},
    given: unknown = mesh,
  ): string | undefined => {
    const pod: Pod = { metadata: { name: "web", ...metadata }, spec: { containers: [{ name: "app", image }] } };
    const found = injectPod(
      { pod, namespace: "demo", namespaceLabels: {} },
      {
        settings: readInjectionSettings({}, defaults),
        mesh: readMeshForInjection(given),
        revision: "default",
        nativeSidecars: false,
        proxyConfigs: [],
      },
    );
    return found.kind === "injected"
      ? proxy(found.pod).env?.find(({ name }) => name === "OTEL_RESOURCE_ATTRIBUTES")?.value
      : undefined;
  };
  assert.equal(
    serviceVersion("hub:5000/app:1.2@sha256:ab"),
    "service.namespace=demo,service.version=1.2@sha256:ab,service.instance.id=demo.$(POD_NAME).app",
  );
  assert.equal(
    serviceVersion("hub:5000/app", {
      annotations: {
        "resource.opentelemetry.io/service.namespace": "shop",
        "resource.opentelemetry.io/service.instance.id": "one",
      },
    }),
    "service.namespace=shop,service.instance.id=one",
  );
  assert.equal(
    serviceVersion("app:1", { labels: { "app.kubernetes.io/version": "2" } }),
    "service.namespace=demo,service.version=2,service.instance.id=demo.$(POD_NAME).app",
  );
  assert.equal(serviceVersion("app:1", {}, {}), undefined);
});

test("ranges must have valid addresses", () => {
  for (const name of [podAnnotations.includeOutboundIpRanges, podAnnotations.excludeOutboundIpRanges]) {
    assert.equal(outcome({ [name]: "10.0.0.0/8,fd00::/8,::ffff:1.2.3.4/128" }).kind, "injected");
    for (const bad of ["999.0.0.0/8", "10.0.0.0/33", "::::/8", "fd00::/129", "10.0.0.0", "10.0.0.0/8, 11.0.0.0/8"])
      assert.throws(() => outcome({ [name]: bad }), new RegExp(`${name} must be IP ranges`), bad);
  }
});

test("interfaces must be valid names", () => {
  for (const name of [
    podAnnotations.excludeInterfaces,
    podAnnotations.kubevirtInterfaces,
    podAnnotations.rerouteVirtualInterfaces,
  ]) {
    assert.equal(outcome({ [name]: "eth1, net1.5" }).kind, "injected");
    for (const bad of ["eth0;x", "eth0,,eth1", "0eth", "aninterfacewithalongname"])
      assert.throws(() => outcome({ [name]: bad }), new RegExp(`${name} must be names of interfaces`));
  }
});

test("oversized annotations are refused, and many unknown ones get one line", () => {
  assert.throws(
    () => outcome({ [podAnnotations.proxyCpu]: `${"1".repeat(20_000)}x` }),
    (error: Error) => /proxyCPU must be a quantity/.test(error.message) && error.message.length < 1000,
  );
  assert.throws(
    () => outcome({ [podAnnotations.templates]: Array.from({ length: 21 }, () => "sidecar").join(",") }),
    /templates must be at most 20 names/,
  );
  const found = outcome(
    Object.fromEntries(Array.from({ length: 50 }, (_, index) => [`sidecar.istio.io/none${index}`, ""])),
  );
  assert.deepEqual(found.kind === "injected" ? [found.warnings.length, found.warnings.at(-1)] : [], [
    21,
    "30 more annotations are not known and have no effect",
  ]);
});

test("an annotation with very many wrong expressions gets few warnings, which say how many more there are", () => {
  const given = { "sidecar.istio.io/statsInclusionRegexps": "(,".repeat(100_000) };
  const found = outcome(given);
  assert.ok(found.kind === "injected");
  assert.equal(found.warnings.length, 22);
  assert.match(found.warnings.at(-2) ?? "", /statsInclusionRegexps has 980 more such expressions$/);
  assert.match(found.warnings.at(-1) ?? "", /has 100001 expressions: only the first 1000 are checked$/);
});

test("an annotation may be named like a JavaScript property", () => {
  const found = outcome({ constructor: "x", toString: "y", valueOf: "z" });
  assert.deepEqual(found.kind === "injected" ? found.warnings : [], []);
});

test("a user's template may remove the pod's fields, and an invalid pod is reported", () => {
  const annotations = { [podAnnotations.templates]: "sidecar,extra" };
  const config = (spec: string): string => JSON.stringify({ templates: { extra: `spec:\n${spec}` } });
  const pod = injected(annotations, {
    config: config("  hostname:\n  volumes:\n  - {name: istio-data, $patch: delete}"),
    pod: { hostname: "mine" },
  });
  assert.equal(pod.spec?.hostname, undefined);
  assert.equal(
    pod.spec?.volumes?.some(({ name }) => name === "istio-data"),
    false,
  );
  for (const wrong of ["  containers: {a: b}", "  volumes: text", "  containers:\n  -", "  containers: [{image: a}]"])
    assert.throws(
      () => outcome(annotations, { config: config(wrong) }),
      /"extra" .* produces a spec\.(containers|volumes) that is not a list of objects with names/,
      wrong,
    );
});

test("empty labels and annotations count as absent", () => {
  const pod = injected(
    { [podAnnotations.nativeSidecar]: "" },
    { labels: { app: "", version: "", "security.istio.io/tlsMode": "", "service.istio.io/workload-name": "" } },
  );
  const { labels = {} } = pod.metadata;
  assert.deepEqual(
    [
      labels["service.istio.io/canonical-name"],
      labels["service.istio.io/canonical-revision"],
      labels["security.istio.io/tlsMode"],
    ],
    ["web", "latest", "istio"],
  );
  assert.deepEqual(
    [proxy(pod).env?.find(({ name }) => name === "ISTIO_META_WORKLOAD_NAME")?.value, proxy(pod).restartPolicy],
    ["web", undefined],
  );
});

test("a proxy config's image type applies to the proxy, and the annotation's also to the redirect", () => {
  const byConfig = injected({ [podAnnotations.proxyConfig]: "image: {imageType: distroless}" });
  assert.deepEqual(
    [proxy(byConfig).image, container(byConfig, "istio-init").image],
    ["hub/proxyv2:1-distroless", "hub/proxyv2:1"],
  );
  const byAnnotation = injected({ [podAnnotations.proxyImageType]: "debug" });
  assert.deepEqual(
    [proxy(byAnnotation).image, container(byAnnotation, "istio-init").image],
    ["hub/proxyv2:1-debug", "hub/proxyv2:1-debug"],
  );
});

test("an image type adds no suffix to a tag with a digest, which names one image", () => {
  const tag = `1@sha256:${"0a".repeat(32)}`;
  assert.equal(imageTagOfType(tag, "distroless"), tag);
  assert.equal(imageTagOfType(tag, "default"), tag);
});

test("a user's volume replaces the proxy's own volume of that name", () => {
  const pod = injected({ [podAnnotations.userVolume]: '{"workload-certs":{"secret":{"secretName":"s"}}}' });
  assert.deepEqual(
    pod.spec?.volumes?.filter(({ name }) => name === "workload-certs"),
    [{ name: "workload-certs", secret: { secretName: "s" } }],
  );
});

test("volumes and mounts may be lists of named entries", () => {
  const pod = injected({
    [podAnnotations.userVolume]: '[{"name":"v","emptyDir":{}}]',
    [podAnnotations.userVolumeMount]: '[{"name":"v","mountPath":"/v"}]',
  });
  assert.deepEqual(pod.spec?.volumes?.find(({ name }) => name === "v")?.emptyDir, {});
  assert.equal(proxy(pod).volumeMounts?.find(({ name }) => name === "v")?.mountPath, "/v");
});

test("a gateway gets no mount for a volume that it does not have", () => {
  const pod = injected({
    [podAnnotations.templates]: "gateway",
    [podAnnotations.userVolume]: '{"v":{"emptyDir":{}}}',
    [podAnnotations.userVolumeMount]: '{"v":{"mountPath":"/v"}}',
  });
  assert.deepEqual(
    [pod.spec?.volumes?.some(({ name }) => name === "v"), proxy(pod).volumeMounts?.some(({ name }) => name === "v")],
    [false, false],
  );
});

test("an invalid selector in the configuration selects nothing and is reported", () => {
  const bad = [
    { matchExpressions: [{ key: "app", operator: "Exist" }] },
    { matchExpressions: [null] },
    { matchLabels: { app: 1 } },
    { matchExpressions: [{ key: "app", operator: "In" }] },
  ];
  const config = JSON.stringify({ neverInjectSelector: bad });
  assert.equal(outcome({}, { config, labels: { app: "web" } }).kind, "injected");
  assert.deepEqual(readInjectionSettings({ config }, defaults).warnings, [
    'neverInjectSelector[0] has the operator "Exist"; expected In, NotIn, Exists or DoesNotExist, so it selects nothing',
    "neverInjectSelector[1] has an expression without a key, so it selects nothing",
    "neverInjectSelector[2] has matchLabels that are not a map of strings, so it selects nothing",
    "neverInjectSelector[3] has the operator In without values, so it selects nothing",
  ]);
});

test("a switch of a pod that is neither true nor false is a warning that says what applies", () => {
  const found = outcome({
    "sidecar.istio.io/nativeSidecar": "maybe",
    "sidecar.istio.io/rewriteAppHTTPProbers": "maybe",
    "sidecar.istio.io/capNetBindService": "maybe",
  });
  const seen = effects[podAnnotations.rewriteProbes]?.[1] ?? assert.fail();
  assert.deepEqual(seen(injected({ [podAnnotations.rewriteProbes]: "maybe" })), seen(injected({})));
  assert.deepEqual(found.kind === "injected" ? found.warnings : [], [
    'annotation sidecar.istio.io/nativeSidecar must be true or false, got "maybe": it counts as true',
    'annotation sidecar.istio.io/rewriteAppHTTPProbers must be true or false, got "maybe": the mesh\'s setting decides',
    'annotation sidecar.istio.io/capNetBindService must be true or false, got "maybe": it counts as false',
  ]);
});

test("a value of the injector's ConfigMap with another type is a warning that says what applies", () => {
  const values = JSON.stringify({
    global: { logAsJson: "maybe", proxy: { statusPort: "soon", readinessPeriodSeconds: "9", privileged: 1 } },
    pilot: { cni: { enabled: ["true"] } },
    sidecarInjectorWebhook: { rewriteAppHTTPProbe: "" },
  });
  const settings = readInjectionSettings({ values }, defaults);
  assert.equal(settings.values.proxy.readinessPeriodSeconds, 9);
  assert.deepEqual(settings.warnings, [
    'values: global.logAsJson must be true or false, got "maybe": false applies',
    'values: pilot.cni.enabled must be true or false, got ["true"]: false applies',
    "values: global.proxy.privileged must be true or false, got 1: false applies",
    'values: global.proxy.statusPort must be a whole number, got "soon": 15020 applies',
  ]);
});
