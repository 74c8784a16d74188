import assert from "node:assert/strict";
import { test } from "node:test";
import { destinationRuleKind, parseDestinationRule } from "./destination-rule.ts";
import { issuesOf } from "../testing/issues-of.ts";

test("a destination rule gets every default, with upstream's names", () => {
  const spec = {
    host: "reviews",
    subsets: [{ name: "v1", labels: { version: "v1" } }],
    trafficPolicy: {
      loadBalancer: { consistentHash: { httpCookie: { name: "user", ttl: "0s" } }, warmup: { duration: "30s" } },
      connectionPool: {
        tcp: { maxConnections: 1, connectTimeout: "30ms", idleTimeout: "0s" },
        http: { http2MaxRequests: 0 },
      },
      outlierDetection: { consecutive5xxErrors: 0, interval: "5m" },
      portLevelSettings: [{ port: { number: 80 }, loadBalancer: { simple: "LEAST_CONN" } }],
    },
  };
  const policy = parseDestinationRule({ metadata: { name: "x" }, spec }).value?.spec.trafficPolicy;
  assert.deepEqual(policy?.loadBalancer?.consistentHash, {
    hashKey: { kind: "httpCookie", name: "user", path: undefined, ttlMs: 0, attributes: [] },
    hashAlgorithm: { kind: "ringHash", minimumRingSize: undefined },
  });
  assert.equal(policy?.loadBalancer?.warmup?.durationMs, 30_000);
  assert.equal(policy?.connectionPool?.tcp.connectTimeoutMs, 30);
  assert.equal(policy?.connectionPool?.tcp.idleTimeoutMs, 0);
  assert.equal(policy?.connectionPool?.http.http2MaxRequests, undefined);
  assert.equal(policy?.outlierDetection?.consecutive5xxErrors, 0);
  assert.equal(policy?.portLevelSettings[0]?.loadBalancer?.simple, "LEAST_REQUEST");
});

test("faults are reported at their fields with the expected value", () => {
  const policy = (trafficPolicy: object): object => ({ host: "a", trafficPolicy });
  const cases: readonly [object, ...string[]][] = [
    [{}, "spec.host: is required"],
    [{ host: "a.8" }, 'spec.host: must be a DNS name, got "a.8" (its last part is a number)'],
    [
      { host: "a", subsets: [{ name: "v1" }, { name: "v1" }] },
      'spec.subsets[1].name: appears twice, got "v1"; rename one',
    ],
    [{ host: "a", subsets: [{ labels: { a: "b" } }] }, "spec.subsets[0].name: is required"],
    [{ host: "a", subsets: [{ name: "v_1" }] }, 'spec.subsets[0].name: must be letters, digits and dashes, got "v_1"'],
    [
      { host: "a", subsets: [{ name: "v1", labels: { version: "v 1" } }] },
      'spec.subsets[0].labels.version: must be the value of a label, got "v 1"',
    ],
    [
      policy({}),
      "spec.trafficPolicy: must have at least one of loadBalancer, connectionPool, outlierDetection, tls, portLevelSettings, tunnel, proxyProtocol, retryBudget",
    ],
    [policy({ connectionPool: {} }), "spec.trafficPolicy.connectionPool: must have tcp or http settings"],
    [
      policy({ loadBalancer: { simple: "RAND" } }),
      'spec.trafficPolicy.loadBalancer.simple: must be one of UNSPECIFIED, LEAST_CONN, RANDOM, PASSTHROUGH, ROUND_ROBIN, LEAST_REQUEST, got "RAND"',
    ],
    [
      policy({ loadBalancer: { consistentHash: {} } }),
      "spec.trafficPolicy.loadBalancer.consistentHash: must have exactly one of httpHeaderName, httpCookie, useSourceIp and httpQueryParameterName, got 0",
    ],
    [
      policy({ loadBalancer: { consistentHash: { useSourceIp: true, maglev: { tableSize: 10 } } } }),
      "spec.trafficPolicy.loadBalancer.consistentHash.maglev.tableSize: must be a prime number below 5000011, got 10",
    ],
    [
      policy({ loadBalancer: { localityLbSetting: { distribute: [{ from: "a/*", to: { "b/*": 90 } }] } } }),
      "spec.trafficPolicy.loadBalancer.localityLbSetting.distribute[0].to: must sum up to 100, got 90",
    ],
    [
      policy({ outlierDetection: {}, loadBalancer: { localityLbSetting: { failover: [{ from: "a", to: "a" }] } } }),
      "spec.trafficPolicy.loadBalancer.localityLbSetting.failover[0].to: must differ from the region in from",
    ],
    [
      { host: "a", trafficPolicy: { connectionPool: { tcp: { tcpKeepalive: { time: "2000000h", interval: "1s" } } } } },
      "spec.trafficPolicy.connectionPool.tcp.tcpKeepalive.time: must be at most 1000000h",
    ],
    [
      policy({ outlierDetection: { maxEjectionPercent: 200 } }),
      "spec.trafficPolicy.outlierDetection.maxEjectionPercent: must be from 0 to 100, got 200",
    ],
    [
      policy({ outlierDetection: { consecutiveLocalOriginFailures: 1 } }),
      "spec.trafficPolicy.outlierDetection.consecutiveLocalOriginFailures: needs splitExternalLocalOriginErrors to be true",
    ],
    [
      policy({ tls: { mode: "MUTUAL", privateKey: "/k" } }),
      "spec.trafficPolicy.tls.clientCertificate: is required when the mode is MUTUAL, unless there is a credentialName",
    ],
    [
      policy({ tls: { mode: "SIMPLE", credentialName: "a", caCertificates: "/c" } }),
      "spec.trafficPolicy.tls.caCertificates: cannot be combined with credentialName, which contains it",
    ],
    [
      policy({ tls: { mode: "SIMPLE", credentialName: "configmap://other/a" } }),
      'spec.trafficPolicy.tls.credentialName: must be in the namespace of the rule ("shop"), got "configmap://other/a"',
    ],
    [
      policy({ portLevelSettings: [{ port: {}, tls: { mode: "DISABLE" } }] }),
      "spec.trafficPolicy.portLevelSettings[0].port.number: is required",
    ],
    [policy({ tls: { mod: "SIMPLE" } }), "spec.trafficPolicy.tls.mod: is not a known field; did you mean mode?"],
    [
      { host: "a", workloadSelector: { matchLabels: { app: "a" } }, exportTo: ["*"] },
      'spec.exportTo[0]: must be "." beside a workloadSelector, got "*"',
    ],
  ];
  for (const [spec, ...expected] of cases)
    assert.deepEqual(issuesOf(destinationRuleKind, spec).errors, expected, JSON.stringify(spec));
});

test("a failover without outlier detection gets a warning", () => {
  const spec = { host: "a", trafficPolicy: { loadBalancer: { localityLbSetting: { failoverPriority: ["a"] } } } };
  assert.deepEqual(issuesOf(destinationRuleKind, spec).warnings, [
    "spec.trafficPolicy.loadBalancer.localityLbSetting.failoverPriority: needs outlierDetection, which decides when to fail over",
  ]);
});

test("a hash key that an Envoy takes is accepted, with a warning if no request has it", () => {
  const issues = (consistentHash: object) =>
    issuesOf(destinationRuleKind, { host: "a", trafficPolicy: { loadBalancer: { consistentHash } } });
  const at = "spec.trafficPolicy.loadBalancer.consistentHash";
  for (const httpHeaderName of ["x-user", ":Authority", ":path"])
    assert.deepEqual(issues({ httpHeaderName }), { errors: [], warnings: [] }, httpHeaderName);
  assert.deepEqual(issues({ httpHeaderName: "x-user " }), {
    errors: [],
    warnings: [`${at}.httpHeaderName: is the name of no header, got "x-user "; requests are distributed at random`],
  });
  assert.deepEqual(issues({ httpCookie: { name: "cart[id]", ttl: "1s", attributes: [{ name: "Same Site" }] } }), {
    errors: [],
    warnings: [
      `${at}.httpCookie.name: should be letters, digits and signs without blanks and separators, got "cart[id]"; clients may not send such a cookie back`,
    ],
  });
  for (const [consistentHash, field] of [
    [{ httpHeaderName: "x\ny" }, "httpHeaderName"],
    [{ httpCookie: { name: "a\rb" } }, "httpCookie.name"],
    [{ httpCookie: { name: "a", attributes: [{ name: "b\0" }] } }, "httpCookie.attributes[0].name"],
  ] as const)
    assert.ok(issues(consistentHash).errors.join("; ").startsWith(`${at}.${field}: must `), field);
});

test("a traffic policy that is too long to repeat in each cluster of a host is refused", () => {
  const tls = (count: number): object => ({
    tls: {
      mode: "SIMPLE",
      subjectAltNames: Array.from({ length: count }, (_, index) => `spiffe://a/${index}/`.padEnd(30, "x")),
    },
  });
  const ports = Array.from({ length: 4 }, (_, index) => ({ port: { number: index + 1 }, ...tls(400) }));
  const spec = {
    host: "a",
    trafficPolicy: { ...tls(400), portLevelSettings: ports },
    subsets: [{ name: "b", trafficPolicy: tls(400) }],
  };
  assert.deepEqual(issuesOf(destinationRuleKind, spec).errors, []);
  const message = (length: number): string =>
    `has ${length} characters, and at most 16384 are allowed, because each cluster of the host repeats them; write fewer subjectAltNames or localities`;
  assert.deepEqual(
    issuesOf(destinationRuleKind, {
      host: "a",
      trafficPolicy: { ...tls(500), portLevelSettings: [{ port: { number: 1 }, ...tls(500) }] },
      subsets: [{ name: "b", trafficPolicy: tls(500) }],
    }).errors,
    [
      `spec.trafficPolicy: ${message(16_540)}`,
      `spec.trafficPolicy.portLevelSettings[0]: ${message(16_556)}`,
      `spec.subsets[0].trafficPolicy: ${message(16_540)}`,
    ],
  );
});
