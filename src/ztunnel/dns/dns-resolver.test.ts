import assert from "node:assert/strict";
import { test } from "node:test";
import { decode, encode, RECURSION_DESIRED, type Answer, type DecodedPacket } from "dns-packet";
import { seededRandom, silentLogger } from "../../base/index.ts";
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
- {uid: both, name: both, workloadIps: [10.0.8.1, "fd00::8"], services: {default/four.default.svc.cluster.local: {80: 80}, default/six.default.svc.cluster.local: {80: 80}, default/dual.default.svc.cluster.local: {80: 80}}}
services:
- {name: four, namespace: default, hostname: four.default.svc.cluster.local, vips: [], ports: {80: 80}, ipFamilies: IPv4}
- {name: six, namespace: default, hostname: six.default.svc.cluster.local, vips: [], ports: {80: 80}, ipFamilies: IPv6}
- {name: dual, namespace: default, hostname: dual.default.svc.cluster.local, vips: [], ports: {80: 80}, ipFamilies: Dual}
- {name: web, namespace: default, hostname: web.default.svc.cluster.local, vips: [/10.96.0.1, "/fd96::1"], ports: {80: 80}}
- {name: headless, namespace: default, hostname: headless.default.svc.cluster.local, vips: [], ports: {80: 80}}
- {name: many, namespace: default, hostname: many.default.svc.cluster.local, vips: [], ports: {80: 80}}
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
const template = state.workloadByUid("h0") ?? assert.fail();
for (let index = 0; index < 4_000; index += 1)
  state.putWorkload({
    ...template,
    uid: `m${index}`,
    name: `m${index}`,
    workloadIps: [`10.1.${index >> 8}.${index & 255}`],
    services: new Map([["default/many.default.svc.cluster.local", new Map([[80, 80]])]]),
  });
const options = { state, network: "", domain: "cluster.local", nameservers: [], log: silentLogger };
const resolver = new DnsResolver({ ...options, random: seededRandom(1) });

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

test("an entry of another namespace gets no short name of a Service or its pods, and no name with a search domain", async () => {
  const attacked = new MeshState();
  const hosts = [
    "web.shop",
    "web.shop.svc",
    "hidden.shop",
    "hidden.shop.svc.cluster.local",
    "h0.db.shop.svc.cluster.local",
    "'*.shop'",
    "'*.svc'",
    "'*.default'",
    "api.github.com.default",
    "api.gitlab.com.default.svc",
    "api.x.com.default.svc.cluster.local",
    "api.x.com.svc.cluster.local",
    "api.x.com.cluster.local",
    "planned.shop.svc.cluster.local",
    "api.example.com",
  ];
  parseLocalConfig(
    `workloads:
- {uid: h0, name: h0, workloadIps: [10.0.9.1], services: {shop/db.shop.svc.cluster.local: {80: 80}}}
services:
- {name: web, namespace: shop, hostname: web.shop.svc.cluster.local, vips: [/10.96.0.1], ports: {80: 80}}
- {name: db, namespace: shop, hostname: db.shop.svc.cluster.local, vips: [], ports: {80: 80}}
- {name: hidden, namespace: shop, hostname: hidden.shop.svc.cluster.local, vips: [/10.96.0.2], ports: {80: 80}, visibility: Namespace}
- {name: mine, namespace: default, hostname: own.shop, vips: [/240.0.0.7], ports: {80: 80}}
- {name: own, namespace: shop, hostname: own.shop.svc.cluster.local, vips: [/10.96.0.3], ports: {80: 80}}
${hosts.map((host, index) => `- {name: evil${index}, namespace: evil, hostname: ${host}, vips: [/240.0.0.66], ports: {80: 80}}`).join("\n")}
`,
    attacked,
  );
  const resolver = new DnsResolver({ ...options, state: attacked, random: seededRandom(1) });
  const resolved = async (name: string): Promise<readonly unknown[]> => {
    const query = encode({ type: "query", id: 77, flags: RECURSION_DESIRED, questions: [{ type: "A", name }] });
    const answer = await resolver.answer(query, { name: "p", namespace: "default", serviceAccount: "sa" }, "udp");
    return data(decode(answer ?? assert.fail())).filter((text) => typeof text === "string" && /^\d/.test(text));
  };
  const search = ".default.svc.cluster.local";
  for (const name of ["web.shop", `web.shop${search}`, "web.shop.svc", `web.shop.svc${search}`])
    assert.deepEqual(await resolved(name), ["10.96.0.1"], name);
  for (const name of ["own.shop", `own.shop${search}`]) assert.deepEqual(await resolved(name), ["240.0.0.7"], name);
  for (const name of [
    "hidden.shop",
    `hidden.shop${search}`,
    "hidden.shop.svc.cluster.local",
    "h0.db.shop",
    `h0.db.shop${search}`,
    "h0.db.shop.svc.cluster.local",
    `api.github.com${search}`,
    `api.gitlab.com${search}`,
    `api.x.com${search}`,
    "api.x.com.svc.cluster.local",
    "api.x.com.cluster.local",
  ])
    assert.deepEqual(await resolved(name), [], name);
  // Any namespace may have an entry for a host outside the cluster, or for a Service that does not exist.
  for (const name of ["planned.shop.svc.cluster.local", `api.example.com${search}`])
    assert.deepEqual(await resolved(name), ["240.0.0.66"], name);
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

test("a query for a headless service's pod is forwarded to the name server, which knows the pod's address", async () => {
  // Without a name server, a forwarded query fails.
  for (const name of ["h0.headless", "h0.headless.default", "h0.headless.default.svc.cluster.local"])
    assert.equal(code(await answerOf(name)), serverFailure, name);
});

test("a headless service resolves to its endpoints, truncated over UDP and whole over TCP", async () => {
  const short = await answerOf("headless.default.svc.cluster.local");
  assert.deepEqual([short.flag_tc, data(short)], [true, []]);
  assert.equal(data(await answerOf("headless.default.svc.cluster.local", "A", "tcp")).length, 60);
});

test("each endpoint of a headless service comes first in some answers, because clients use the first address", async () => {
  const first = new Set<unknown>();
  for (let round = 0; round < 40; round += 1)
    first.add(data(await answerOf("headless.default.svc.cluster.local", "A", "tcp"))[0]);
  assert.ok(first.size > 10, `${first.size} of 60 endpoints came first in 40 answers`);
});

test("a headless service of one family has no addresses of its pods' other family", async () => {
  const [ipv4, ipv6] = [["10.0.8.1"], ["fd00::8"]];
  for (const [name, a, aaaa] of [
    ["four", ipv4, []],
    ["six", [], ipv6],
    ["dual", ipv4, ipv6],
  ] as const) {
    const hostname = `${name}.default.svc.cluster.local`;
    assert.deepEqual([data(await answerOf(hostname)), data(await answerOf(hostname, "AAAA"))], [a, aaaa], name);
  }
});

test("a client that uses EDNS gets an answer with EDNS, and another client does not", async () => {
  const option = { type: "OPT", name: ".", udpPayloadSize: 4096, flags: 0, options: [] } as unknown as Answer;
  const pod = { name: "p", namespace: "default", serviceAccount: "sa" };
  for (const name of ["web.default.svc.cluster.local", "headless.default.svc.cluster.local", "example.org"])
    for (const additionals of [[option], []]) {
      const query = encode({ type: "query", id: 1, questions: [{ type: "A", name }], additionals });
      const answer = decode((await resolver.answer(query, pod, "udp")) ?? assert.fail());
      assert.deepEqual(
        answer.additionals?.map(({ type }) => type),
        additionals.map(({ type }) => type),
        name,
      );
    }
});

test("an answer over TCP has as many addresses as a message can hold", async () => {
  const name = "many.default.svc.cluster.local";
  const found = data(await answerOf(name, "A", "tcp"));
  assert.ok(found.length > 1_000 && found.length < 4_000, `${found.length} addresses`);
  const [query] = [encode({ type: "query", id: 1, questions: [{ type: "A", name }] })];
  const answer = await resolver.answer(query, { name: "p", namespace: "default", serviceAccount: "sa" }, "tcp");
  const length = answer?.length ?? 0;
  assert.ok(length <= 65_535 && length > 65_400, `${length} bytes`);
});

test("a query for a service with tens of thousands of endpoints looks at no more than an answer can hold", async () => {
  let seen = 0;
  const crowd = [
    ...state.endpoints(state.serviceByHostname("many.default.svc.cluster.local", "default") ?? assert.fail()),
  ];
  function* many(): Generator<unknown> {
    for (let count = 0; count < 40_000; count += 1) {
      const [, endpoint] = crowd[(seen += 1) % crowd.length] ?? assert.fail();
      yield endpoint;
    }
  }
  const crowded = Object.create(state, { endpoints: { value: () => ({ values: many }) } }) as MeshState;
  Object.assign(crowded, { serviceByHostname: state.serviceByHostname.bind(state) });
  const resolver = new DnsResolver({ ...options, state: crowded, random: seededRandom(1) });
  const questions = [{ type: "A" as const, name: "many.default.svc.cluster.local" }];
  const query = encode({ type: "query", id: 77, flags: RECURSION_DESIRED, questions });
  const answer = await resolver.answer(query, { name: "p", namespace: "default", serviceAccount: "sa" }, "tcp");
  assert.ok((decode(answer ?? assert.fail()).answers ?? []).length > 1_000);
  assert.equal(seen, 4_096);
});

test("a query with thousands of questions is not decoded, and its answer is no longer than a message can be", async () => {
  const name = Buffer.concat([...Array.from({ length: 126 }, () => Buffer.from("\x01a")), Buffer.from([0])]);
  const tail = Buffer.from([0, 1, 0, 1]);
  const pointer = Buffer.from([0xc0, 12]);
  const more = 10_000;
  const head = Buffer.from([0, 77, 1, 0, (more + 1) >> 8, (more + 1) & 255, 0, 0, 0, 0, 0, 0]);
  const query = Buffer.concat([head, name, tail, ...Array.from({ length: more }, () => [pointer, tail]).flat()]);
  const answer = await resolver.answer(query, { name: "p", namespace: "default", serviceAccount: "sa" }, "tcp");
  assert.deepEqual([answer?.length, answer?.readUInt16BE(0), (answer?.[3] ?? 0) & 15], [12, 77, serverFailure]);
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
  const counting = new DnsResolver({ ...options, random: seededRandom(1), metrics: new DnsMetrics(registry) });
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
