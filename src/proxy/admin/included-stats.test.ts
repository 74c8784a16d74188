import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject } from "@bufbuild/protobuf";
import { FakeCertificateAuthority } from "../../dataplane/index.ts";
import { freePort } from "../../net/testing/index.ts";
import { parsePrometheus } from "../../telemetry/index.ts";
import { typeUrls } from "../../wire/xds/index.ts";
import { readStatsInclusion } from "../stats-inclusion.ts";
import { edsCluster, plainEndpoints } from "../testing/ads-server.ts";
import { fetchOnce } from "../testing/harness.ts";
import { outboundTcp } from "../testing/mesh-config.ts";
import { TestProxy } from "../testing/test-proxy.ts";
import { IncludedStats } from "./included-stats.ts";

const includedBy = (matcher: object): IncludedStats =>
  new IncludedStats(
    readStatsInclusion({ matcher, annotations: {}, podIps: ["10.0.0.1"], exitsWithLastConnection: false }),
  );
const scope = "cluster.outbound|80||web.shop.svc.cluster.local;.";
const timeouts = `${scope}upstream_rq_timeout`;

test("without a matcher, a proxy has what upstream's bootstrap includes", () => {
  const included = includedBy({});
  const all = [
    timeouts,
    "listener.0.0.0.0_15006.downstream_cx_active",
    "http.inbound_0.0.0.0_80;.downstream_rq_total",
    "control_plane.connected_state",
    "tracing.zipkin.spans_sent",
    "cluster.xds-grpc.upstream_cx_active",
    "cluster_manager.cds.update_rejected",
    "listener_manager.lds.update_success",
    "server.uptime",
    "wasm.created",
    "http.inbound_0.0.0.0_80;.rbac.denied",
    "http.inbound_0.0.0.0_80;.rbac.istio_dry_run_allow_shadow_denied",
  ];
  assert.deepEqual(
    all.filter((name) => included.includes(name)),
    all.slice(5),
  );
});

test("prefixes, suffixes and expressions are compared with the whole name", () => {
  const includes = (matcher: object, name = timeouts): boolean => includedBy(matcher).includes(name);
  assert.equal(includes({ inclusionPrefixes: ["cluster.outbound|80||web"] }), true);
  assert.equal(includes({ inclusionPrefixes: ["outbound|80||web"] }), false);
  assert.equal(includes({ inclusionSuffixes: ["rq_timeout"] }), true);
  assert.equal(includes({ inclusionSuffixes: ["upstream_rq"] }), false);
  assert.equal(includes({ inclusionRegexps: ["upstream_rq_timeout"] }), false);
  assert.equal(includes({ inclusionRegexps: [".*rq_(retry|timeout)"] }), true);
  assert.equal(includes({ inclusionRegexps: [".*rq_(retry|timeout)"] }, `${timeouts}s`), false);
});

test("an expression that only looks for a text means the same as with RE2", () => {
  const names = [timeouts, "a.b", "axb", "x|y", "x", "cluster.a|b"];
  for (const text of ["upstream_rq", String.raw`a\.b`, "a.b", "x|y", String.raw`x\|y`, "web.shop", "(b)", "[xy]"]) {
    const expression = `.*${text}.*`;
    const included = includedBy({ inclusionRegexps: [expression] });
    const same = includedBy({ inclusionRegexps: [`(?:${expression})`] });
    assert.deepEqual(
      names.map((name) => included.includes(name)),
      names.map((name) => same.includes(name)),
      expression,
    );
  }
});

test("the statistics of a scope are those whose whole names are included", () => {
  const stats = ["upstream_rq_timeout", "upstream_rq_total"].map((stat) => ({ stat }));
  const of = (matcher: object): readonly string[] =>
    includedBy(matcher)
      .of(scope, stats)
      .map(({ stat }) => stat);
  assert.deepEqual(of({}), []);
  assert.deepEqual(of({ inclusionPrefixes: ["cluster.outbound|80||web"] }), [
    "upstream_rq_timeout",
    "upstream_rq_total",
  ]);
  assert.deepEqual(of({ inclusionPrefixes: [timeouts] }), ["upstream_rq_timeout"]);
  assert.deepEqual(of({ inclusionSuffixes: ["cluster.local;.upstream_rq_total"] }), ["upstream_rq_total"]);
  assert.deepEqual(of({ inclusionRegexps: [".*web.*_total"] }), ["upstream_rq_total"]);
});

test("an expression that is not RE2 is a fault that names the field, and the others apply", () => {
  const included = includedBy({ inclusionRegexps: ["(?<=a)b", ".*timeout"] });
  assert.equal(included.faults.length, 1);
  assert.match(included.faults[0] ?? "", /^proxyStatsMatcher\.inclusionRegexps: .*"\(\?<=a\)b" is not RE2/);
  assert.equal(included.includes(timeouts), true);
});

async function scraped(
  proxyConfig: string,
): Promise<{ readonly stats: string[]; readonly series: string[]; readonly log: string }> {
  await using proxy = await TestProxy.start({
    name: "front",
    role: "router",
    authority: new FakeCertificateAuthority(),
    proxyConfig: `terminationDrainDuration: 0s\n${proxyConfig}`,
  });
  proxy.ads.push(typeUrls.cluster, { a: edsCluster("a"), b: edsCluster("b") });
  proxy.ads.push(typeUrls.endpoint, { a: plainEndpoints("a", [await freePort()]), b: plainEndpoints("b", []) });
  const listener = outboundTcp("127.0.0.1", await freePort(), "a") as JsonObject;
  proxy.ads.push(typeUrls.listener, { main: { ...listener, name: "main", bindToPort: true } });
  await proxy.ready();
  const { body } = await fetchOnce(proxy.ports.admin, "/stats");
  const { samples } = parsePrometheus((await fetchOnce(proxy.ports.stats, "/stats/prometheus")).body);
  assert.match((await fetchOnce(proxy.ports.admin, "/clusters")).body, /^a::127\.0\.0\.1:\d+::rq_total::0$/m);
  return {
    stats: body
      .trim()
      .split("\n")
      .map((line) => line.split(": ")[0] ?? ""),
    series: samples
      .filter(({ name }) => /^envoy_(cluster|listener|tcp|http)_/.test(name))
      .filter(({ labels }) => Object.keys(labels).length > 0)
      .map(({ name, labels }) => `${name} ${Object.values(labels).join()}`)
      .toSorted(),
    log: proxy.log.join("\n"),
  };
}

test("a scrape has the series of clusters and listeners that the matcher includes, and no others", async () => {
  const usual = await scraped("");
  assert.deepEqual(usual.series, ["envoy_cluster_upstream_cx_active xds-grpc"]);
  assert.deepEqual(
    usual.stats.filter((name) => !/^(server|cluster_manager|listener_manager)\./.test(name)),
    ["cluster.xds-grpc.upstream_cx_active"],
  );
  const asked = await scraped(
    'proxyStatsMatcher: { inclusionPrefixes: ["cluster.b."], inclusionRegexps: [".*upstream_cx_total", "(", "listener.*_total"] }\n',
  );
  const ofB = asked.series.filter((series) => series.endsWith(" b"));
  assert.ok(ofB.length > 15, ofB.join("\n"));
  assert.deepEqual(
    asked.series.filter((series) => !series.endsWith(" b")).map((series) => series.replace(/_\d+$/, "_PORT")),
    [
      "envoy_cluster_upstream_cx_active xds-grpc",
      "envoy_cluster_upstream_cx_total a",
      "envoy_listener_downstream_cx_total 127.0.0.1_PORT",
    ],
  );
  assert.match(
    asked.log,
    /not valid and includes none.*proxyStatsMatcher\.inclusionRegexps: the regular expression \\?"\(/,
  );
});
