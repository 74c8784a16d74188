import assert from "node:assert/strict";
import { test } from "node:test";
import { decode, encode, RECURSION_DESIRED, type DecodedPacket } from "dns-packet";
import { silentLogger } from "../../base/index.ts";
import { MetricsRegistry, parsePrometheus, renderPrometheus } from "../../telemetry/index.ts";
import { parseLocalConfig } from "../state/local-config.ts";
import { MeshState } from "../state/mesh-state.ts";
import { DnsMetrics } from "./dns-metrics.ts";
import { DnsResolver } from "./dns-resolver.ts";

const endpoints = Array.from(
  { length: 60 },
  (_, index) =>
    `- {uid: h${index}, name: h${index}, workloadIps: [10.0.9.${index}], services: {default/headless.default.svc.cluster.local: {80: 80}}}`,
);
const state = new MeshState();
parseLocalConfig(
  `workloads:
${endpoints.join("\n")}
services:
- {name: web, namespace: default, hostname: web.default.svc.cluster.local, vips: [/10.96.0.1, "/fd96::1"], ports: {80: 80}}
- {name: headless, namespace: default, hostname: headless.default.svc.cluster.local, vips: [], ports: {80: 80}}
- {name: one, namespace: default, hostname: db-0.db.default.svc.cluster.local, vips: [/240.0.0.3], ports: {80: 80}}
- {name: other, namespace: shop, hostname: other.shop.svc.cluster.local, vips: [/10.96.0.3], ports: {80: 80}}
- {name: ext, namespace: default, hostname: api.example.com, vips: [/240.0.0.1], ports: {443: 443}}
- {name: byname, namespace: default, hostname: db.example.com, vips: [], ports: {443: 443}}
- {name: all, namespace: shop, hostname: "*.cluster.local", vips: [/240.0.0.9], ports: {80: 80}}
- {name: top, namespace: shop, hostname: "*.local", vips: [/240.0.0.9], ports: {80: 80}}
- {name: services, namespace: shop, hostname: "*.svc.cluster.local", vips: [/240.0.0.9], ports: {80: 80}}
- {name: own, namespace: shop, hostname: "*.default.svc.cluster.local", vips: [/240.0.0.9], ports: {80: 80}}
- {name: offered, namespace: shop, hostname: "*.db.shop.svc.cluster.local", vips: [/240.0.0.4], ports: {80: 80}}
- {name: mine, namespace: default, hostname: "*.far.svc.cluster.local", vips: [/240.0.0.5], ports: {80: 80}}
- {name: wild, namespace: default, hostname: "*.wild.example", vips: [/240.0.0.2], ports: {443: 443}}
`,
  state,
);
const resolver = new DnsResolver({ state, network: "", domain: "cluster.local", nameservers: [], log: silentLogger });

const serverFailure = 2;
const code = (packet: DecodedPacket) => (packet.flags ?? 0) & 15;

async function answerOf(
  name: string,
  type: "A" | "AAAA" | "TXT" = "A",
  transport: "udp" | "tcp" = "udp",
): Promise<DecodedPacket> {
  const query = encode({ type: "query", id: 77, flags: RECURSION_DESIRED, questions: [{ type, name }] });
  const answer = await resolver.answer(query, { name: "p", namespace: "default", serviceAccount: "sa" }, transport);
  return decode(answer ?? assert.fail("no answer"));
}

const data = (packet: DecodedPacket) => (packet.answers ?? []).map((answer) => ("data" in answer ? answer.data : ""));

test("a service's name resolves to its addresses by family, in any case", async () => {
  const answer = await answerOf("Web.Default.svc.cluster.local");
  assert.deepEqual([answer.id, data(answer)], [77, ["10.96.0.1"]]);
  assert.deepEqual(data(await answerOf("web.default.svc.cluster.local", "AAAA")), ["fd96::1"]);
  const none = await answerOf("api.example.com", "AAAA");
  assert.deepEqual([code(none), data(none)], [0, []]);
});

test("search domains after an external name are removed with a CNAME, and wildcards match", async () => {
  assert.deepEqual(data(await answerOf("api.example.com.default.svc.cluster.local")), ["api.example.com", "240.0.0.1"]);
  assert.deepEqual(data(await answerOf("any.wild.example")), ["240.0.0.2"]);
});

test("another namespace's wildcard gets no name of the cluster's domain, which resolvers append first to every name", async () => {
  for (const name of ["missing.default.svc.cluster.local", "api.github.com.default.svc.cluster.local", "x.local"])
    assert.equal(code(await answerOf(name)), serverFailure, name);
  assert.deepEqual(data(await answerOf("web.default.svc.cluster.local.default.svc.cluster.local")), [
    "web.default.svc.cluster.local",
    "10.96.0.1",
  ]);
  assert.deepEqual(data(await answerOf("one.db.shop.svc.cluster.local")), ["240.0.0.4"]);
  assert.deepEqual(data(await answerOf("one.far.svc.cluster.local")), ["240.0.0.5"]);
});

test("a service's short names resolve without a name server, both as requested and with a search domain", async () => {
  for (const name of ["web", "web.default", "web.default.svc", "other.shop"])
    assert.deepEqual(data(await answerOf(name)), [name.startsWith("web") ? "10.96.0.1" : "10.96.0.3"], name);
  for (const [name, short] of [
    ["other.shop.default.svc.cluster.local", "other.shop"],
    ["other.shop.svc.default.svc.cluster.local", "other.shop.svc"],
    ["web.default.svc.svc.cluster.local", "web.default.svc"],
  ] as const)
    assert.deepEqual(data(await answerOf(name)), [short, short.startsWith("web") ? "10.96.0.1" : "10.96.0.3"], name);
  assert.deepEqual(data(await answerOf("any.wild.example.default.svc.cluster.local")), ["240.0.0.2"]);
  // No Service of the pod's namespace has this name.
  assert.equal(code(await answerOf("other")), serverFailure);
  assert.equal(code(await answerOf("other.default.svc.cluster.local")), serverFailure);
});

test("a ServiceEntry for one pod of a StatefulSet resolves by the pod's short names too", async () => {
  for (const name of ["db-0.db", "db-0.db.default", "db-0.db.default.svc", "db-0.db.default.svc.cluster.local"])
    assert.deepEqual(data(await answerOf(name)), ["240.0.0.3"], name);
});

test("the name of a headless service's pod is left to the name server, which knows the pod's address", async () => {
  // Without a name server, a forwarded query fails.
  for (const name of ["h0.headless", "h0.headless.default", "h0.headless.default.svc.cluster.local"])
    assert.equal(code(await answerOf(name)), serverFailure, name);
});

test("a headless service resolves to its endpoints, truncated over UDP and whole over TCP", async () => {
  const short = await answerOf("headless.default.svc.cluster.local");
  assert.deepEqual([short.flag_tc, data(short)], [true, []]);
  assert.equal(data(await answerOf("headless.default.svc.cluster.local", "A", "tcp")).length, 60);
});

test("unknown names are forwarded, or get SERVFAIL without a name server, and a malformed query gets no answer", async () => {
  assert.equal(code(await answerOf("db.example.com")), serverFailure);
  assert.equal(code(await answerOf("example.org")), serverFailure);
  assert.equal(code(await answerOf("web.default.svc.cluster.local", "TXT")), serverFailure);
  assert.equal(
    await resolver.answer(Buffer.from("junk"), { name: "", namespace: "", serviceAccount: "" }, "udp"),
    undefined,
  );
});

test("queries are counted by type and protocol, and forwarded ones by whether a name server answered", async () => {
  const registry = new MetricsRegistry();
  const counting = new DnsResolver({
    state,
    network: "",
    domain: "cluster.local",
    nameservers: [],
    log: silentLogger,
    metrics: new DnsMetrics(registry),
  });
  const resolve = async (name: string, type: "A" | "TXT"): Promise<unknown> =>
    await counting.answer(
      encode({ type: "query", id: 1, flags: RECURSION_DESIRED, questions: [{ type, name }] }),
      { name: "p", namespace: "default", serviceAccount: "sa" },
      "udp",
    );
  await resolve("web.default.svc.cluster.local", "A");
  await resolve("example.org", "TXT");
  const shown = parsePrometheus(renderPrometheus(registry))
    .samples.filter(({ name }) => name.startsWith("istio_dns"))
    .map(({ name, labels, value }) => [name, labels["request_query_type"], labels["request_protocol"], value]);
  assert.deepEqual(shown, [
    ["istio_dns_requests_total", "a", "udp", 1],
    ["istio_dns_requests_total", "txt", "udp", 1],
    ["istio_dns_upstream_failures_total", "txt", "udp", 1],
    ["istio_dns_upstream_requests_total", "txt", "udp", 1],
  ]);
});
