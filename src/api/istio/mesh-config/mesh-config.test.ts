import assert from "node:assert/strict";
import { test } from "node:test";
import { parseMeshConfig } from "./mesh-config.ts";
import { readOwnProxyConfig } from "./proxy-config.ts";

const lines = (issues: readonly { readonly path: string; readonly message: string }[]): string[] =>
  issues.map(({ path, message }) => `${path}: ${message}`);

test("an empty mesh config has upstream's defaults, and no warnings", () => {
  const parsed = parseMeshConfig(undefined);
  const mesh = parsed.value;
  assert.deepEqual(parsed.warnings, []);
  assert.equal(mesh?.trustDomain, "cluster.local");
  assert.equal(mesh.connectTimeoutMs, 10_000);
  assert.equal(mesh.localityLbSetting.enabled, true);
  assert.equal(mesh.inboundTrafficPolicy, "PASSTHROUGH");
  assert.deepEqual([mesh.proxyListenPort, mesh.proxyInboundListenPort], [15_001, 15_006]);
  assert.deepEqual(
    [mesh.defaultConfig.discoveryAddress, mesh.defaultConfig.statusPort],
    ["istiod.istio-system.svc:15012", 15_020],
  );
});

test("values are read under upstream's names", () => {
  const mesh = parseMeshConfig({
    defaultConfig: {
      drainDuration: "1m30s",
      proxyMetadata: { A: true, B: 1, C: "c" },
      gatewayTopology: { numTrustedProxies: 2 },
      proxyHeaders: {
        server: { disabled: true },
        xForwardedHost: { enabled: true },
        xForwardedPort: {},
        preserveHttp1HeaderCase: true,
      },
    },
    defaultHttpRetryPolicy: { attempts: 0 },
    defaultTrafficPolicy: { outlierDetection: { consecutive5xxErrors: 3 } },
    localityLbSetting: { enabled: false },
    tlsDefaults: { minProtocolVersion: "TLSV1_3" },
  }).value;
  assert.equal(mesh?.defaultConfig.drainDurationMs, 90_000);
  assert.deepEqual(mesh.defaultConfig.proxyMetadata, { A: "true", B: "1", C: "c" });
  assert.equal(mesh.defaultConfig.gatewayTopology.numTrustedProxies, 2);
  const { serverDisabled, xForwardedHost, xForwardedPort, preserveHttp1HeaderCase } = mesh.defaultConfig.proxyHeaders;
  assert.deepEqual(
    [serverDisabled, xForwardedHost, xForwardedPort, preserveHttp1HeaderCase],
    [true, true, false, true],
  );
  assert.equal(mesh.defaultHttpRetryPolicy?.attempts, 0);
  assert.equal(mesh.defaultTrafficPolicy.outlierDetection?.consecutive5xxErrors, 3);
  assert.equal(mesh.localityLbSetting.enabled, false);
  assert.equal(mesh.tlsDefaults.minProtocolVersion, "TLSV1_3");
});

test("a matcher of statistics is read, and warnings name entries that include nothing", () => {
  const read = (proxyStatsMatcher: unknown) => parseMeshConfig({ defaultConfig: { proxyStatsMatcher } });
  const matcher = {
    inclusionPrefixes: ["cluster.outbound"],
    inclusionSuffixes: ["upstream_rq_timeout"],
    inclusionRegexps: [".*circuit_breakers.*"],
  };
  const good = read(matcher);
  assert.deepEqual([good.value?.defaultConfig.proxyStatsMatcher, good.warnings], [matcher, []]);
  assert.equal(parseMeshConfig({}).value?.defaultConfig.proxyStatsMatcher, undefined);
  const at = "defaultConfig.proxyStatsMatcher";
  assert.deepEqual(
    lines(read({ inclusionSuffixes: [""], inclusionRegexps: ["a", "(?=b)"], inclusionRegexes: [] }).warnings).map(
      (line) => line.slice(0, 70),
    ),
    [
      `${at}.inclusionSuffixes[0]: is empty and has no effect`,
      `${at}.inclusionRegexps[1]: must be an RE2 expression (https://github.com`,
      `${at}.inclusionRegexes: is not known and has no effect; did you mean inclusionRegexps?`,
    ].map((line) => line.slice(0, 70)),
  );
  assert.deepEqual(lines(read({ inclusionPrefixes: "cluster" }).errors).length, 1);
});

test("unknown hosts may be resolved by name, with TLS that sidecars can speak", () => {
  const read = (outboundTrafficPolicy: object) => parseMeshConfig({ outboundTrafficPolicy });
  const mode = "ALLOW_ANY_DYNAMIC_DNS";
  const plain = read({ mode });
  assert.deepEqual([plain.value?.outboundTrafficPolicy, plain.value?.outboundTrafficTls], [mode, undefined]);
  const secured = read({ mode, tls: { mode: "SIMPLE", insecureSkipVerify: true } });
  assert.deepEqual([secured.errors, secured.warnings], [[], []]);
  assert.deepEqual(
    [secured.value?.outboundTrafficTls?.mode, secured.value?.outboundTrafficTls?.insecureSkipVerify],
    ["SIMPLE", true],
  );
  assert.deepEqual(lines(read({ tls: { mode: "SIMPLE" } }).warnings), [
    "outboundTrafficPolicy.tls: has an effect only with the mode ALLOW_ANY_DYNAMIC_DNS",
  ]);
  assert.deepEqual(lines(read({ mode, tls: { mode: "MUTUAL", credentialName: "secret" } }).errors), [
    'outboundTrafficPolicy.tls.credentialName: must be empty, because sidecars cannot read it, got "secret"; use files of the proxy (caCertificates, clientCertificate, privateKey)',
  ]);
  assert.deepEqual(
    read({ mode, tls: { mode: "MUTUAL" } }).errors.map(({ path }) => path),
    ["outboundTrafficPolicy.tls.clientCertificate", "outboundTrafficPolicy.tls.privateKey"],
  );
  assert.deepEqual(lines(read({ mode: "ALLOW_SOME" }).errors), [
    'outboundTrafficPolicy.mode: must be one of ALLOW_ANY, REGISTRY_ONLY, ALLOW_ANY_DYNAMIC_DNS, got "ALLOW_SOME"',
  ]);
});

test("additional trusted authorities are read with their domains, and contradictions are reported", () => {
  const parsed = parseMeshConfig({
    caCertificates: [
      { pem: "one", trustDomains: ["east.example"] },
      { spiffeBundleUrl: "spire.example/bundle" },
      { pem: "two", certSigners: ["a/b"] },
    ],
  });
  assert.deepEqual(parsed.value?.caCertificates, [
    { pem: "one", spiffeBundleUrl: undefined, trustDomains: ["east.example"] },
    { pem: undefined, spiffeBundleUrl: "https://spire.example/bundle", trustDomains: [] },
    { pem: "two", spiffeBundleUrl: undefined, trustDomains: [] },
  ]);
  assert.deepEqual(lines(parsed.warnings), [
    "caCertificates[2].certSigners: has no effect here: this control plane signs with its own authority, and uses no Kubernetes signer",
  ]);
  assert.deepEqual(
    lines(
      parseMeshConfig({
        caCertificates: [
          { pem: "a", spiffeBundleUrl: "b.example" },
          { spiffeBundleUrl: "http://c.example" },
          { trustDomains: ["a_b"] },
        ],
      }).errors,
    ),
    [
      "caCertificates[0].spiffeBundleUrl: cannot be combined with pem: write a separate entry for each",
      'caCertificates[1].spiffeBundleUrl: must be an https URL, got "http://c.example"',
      'caCertificates[2].trustDomains[0]: must be a trust domain such as cluster.local, got "a_b"',
    ],
  );
});

test("a mesh config's faults are reported at their fields, and fields without effect are reported by name", () => {
  const parsed = parseMeshConfig({
    trustDomain: "a_b",
    connectTimeout: "2h",
    rootNamespace: "a.b",
    defaultConfig: { discoveryAddress: "istiod" },
  });
  assert.deepEqual(lines(parsed.errors), [
    'defaultConfig.discoveryAddress: must be host:port, got "istiod"',
    'trustDomain: must be a trust domain such as cluster.local, got "a_b"',
    'rootNamespace: must be the name of a namespace, got "a.b"',
    "connectTimeout: must be at most 1h",
  ]);
  assert.deepEqual(
    lines(
      parseMeshConfig({
        acessLogFile: "/dev/stdout",
        ca: {},
        defaultConfig: { holdApplicationUntilProxyStart: true, readinessProbe: {} },
      }).warnings,
    ),
    [
      "defaultConfig.readinessProbe: has no effect here",
      "defaultConfig.holdApplicationUntilProxyStart: is not known and has no effect; did you mean holdApplicationUntilProxyStarts?",
      "ca: has no effect here",
      "acessLogFile: is not known and has no effect; did you mean accessLogFile?",
    ],
  );
  assert.deepEqual(lines(parseMeshConfig("text").errors), [": must be an object with the mesh's settings"]);
});

test("the interception mode TPROXY is accepted without a warning, and an unknown one is an error", () => {
  const { value, warnings } = parseMeshConfig({ defaultConfig: { interceptionMode: "TPROXY" } });
  assert.deepEqual([value?.defaultConfig.interceptionMode, lines(warnings)], ["TPROXY", []]);
  const [error] = lines(parseMeshConfig({ defaultConfig: { interceptionMode: "MAGIC" } }).errors);
  assert.match(error ?? "", /^defaultConfig\.interceptionMode: must be .*REDIRECT/);
});

test("a concurrency of 0 differs from an unset one", () => {
  const concurrencyOf = (defaultConfig: unknown): number | undefined =>
    parseMeshConfig({ defaultConfig }).value?.defaultConfig.concurrency;
  assert.equal(concurrencyOf({}), undefined);
  assert.equal(concurrencyOf({ concurrency: 0 }), 0);
  assert.equal(concurrencyOf({ concurrency: 2 }), 2);
});

test("certificates come from the first SDS provider, and a further one causes a warning", () => {
  const sds = { name: "certs", service: "certs.istio-system.svc.cluster.local", port: 8443 };
  const parsed = parseMeshConfig({
    extensionProviders: [
      { name: "first", sds },
      { name: "second", sds },
    ],
  });
  assert.deepEqual(parsed.value?.extensionProviders[0], {
    kind: "secrets",
    name: "first",
    settings: { service: sds.service, port: 8443 },
  });
  assert.deepEqual(lines(parsed.warnings), [
    'extensionProviders[1].sds: has no effect: certificates named sds://… come from the first SDS provider, "first"; remove one of them',
  ]);
  assert.deepEqual(lines(parseMeshConfig({ extensionProviders: [{ name: "x", sds: { port: 0 } }] }).errors), [
    "extensionProviders[0].sds.service: is required",
    "extensionProviders[0].sds.port: must be from 1 to 65535, got 0",
  ]);
});

test("only tracing providers and fields that Serin's proxy does not support cause a warning", () => {
  const collector = { service: "collector.istio-system", port: 4317 };
  const parsed = parseMeshConfig({
    extensionProviders: [
      { name: "zipkin", zipkin: collector },
      { name: "otel", opentelemetry: collector },
      {
        name: "dynatrace",
        opentelemetry: { ...collector, http: { path: "/v1" }, dynatraceSampler: { tenant: "t", clusterId: 1 } },
      },
      { name: "datadog", datadog: collector },
      { name: "skywalking", skywalking: collector },
    ],
  });
  assert.deepEqual(lines(parsed.warnings), [
    "extensionProviders[2].opentelemetry.dynatraceSampler: has an effect in Envoy only, not in Serin's proxy",
    "extensionProviders[3].datadog: gets spans only from Envoy; Serin's proxy propagates trace contexts and sends no spans",
    "extensionProviders[4].skywalking: gets spans only from Envoy; Serin's proxy propagates trace contexts and sends no spans",
  ]);
});

test("custom tags that not all proxies take are left out, also those of a pod's annotation", () => {
  const tracing = {
    customTags: {
      ok: { header: { name: "x-a" } },
      format: { formatter: { value: "%PROTOCOL:5%" } },
      header: { header: { name: "a b" } },
    },
  };
  const parsed = parseMeshConfig({ defaultConfig: { tracing } });
  assert.deepEqual(lines(parsed.warnings), [
    "defaultConfig.tracing.customTags.format: is left out, because not all proxies take its format",
    "defaultConfig.tracing.customTags.header: is left out, because not all proxies take its header name",
  ]);
  const ok = { kind: "header", name: "x-a", defaultValue: "" };
  assert.deepEqual(parsed.value?.defaultConfig.tracing?.customTags, { ok });
  const long = "a || ".repeat(200);
  const many = Object.fromEntries(
    Array.from({ length: 20 }, (_, at) => [`t${at}`, { formatter: { value: `%CEL(${long}b${at})%` } }]),
  );
  const own = readOwnProxyConfig({
    tracing: { customTags: { ...tracing.customTags, "": { literal: { value: "x" } }, e: { literal: {} }, ...many } },
  });
  // Faulty tags are dropped, and so are tags above the limit for expressions. No fault is reported.
  assert.deepEqual(Object.keys(own?.tracing?.customTags ?? {}), ["ok", ...Object.keys(many).slice(0, 8)]);
});
