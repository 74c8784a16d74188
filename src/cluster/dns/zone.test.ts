import assert from "node:assert/strict";
import { test } from "node:test";
import type { EndpointSlice, Service } from "../../api/kubernetes/index.ts";
import { answerZone, maxRecords, type ZoneSource } from "./zone.ts";

interface Content {
  readonly services?: readonly Service[];
  readonly slices?: readonly EndpointSlice[];
}

const service = (name: string, spec: Service["spec"]): Service => ({
  metadata: { name, namespace: "shop" },
  ...(spec === undefined ? {} : { spec }),
});
const slice = (
  serviceName: string,
  endpoints: NonNullable<EndpointSlice["endpoints"]>,
  ports: EndpointSlice["ports"] = [{ name: "http", port: 8080 }],
): EndpointSlice => ({
  metadata: { name: `${serviceName}-1`, namespace: "shop", labels: { "kubernetes.io/service-name": serviceName } },
  addressType: "IPv4",
  endpoints,
  ports,
});

function zoneOf({ services = [], slices = [] }: Content): ZoneSource {
  const belongs = ({ metadata }: EndpointSlice, name: string): boolean =>
    metadata.labels?.["kubernetes.io/service-name"] === name;
  return {
    hasNamespace: (name) => name === "shop" || name === "empty",
    service: (namespace, name) =>
      namespace === "shop" ? services.find(({ metadata }) => metadata.name === name) : undefined,
    slicesOf: (namespace, name) => (namespace === "shop" ? slices.filter((one) => belongs(one, name)) : []),
    serviceByClusterIP: (address) => services.find(({ spec }) => spec?.clusterIP === address),
    slicesByAddress: (address) =>
      slices.filter(({ endpoints = [] }) => endpoints.some(({ addresses }) => addresses.includes(address))),
  };
}

/**
 * The answer to a question as text: the outcome and the data of the answers, and after a bar the data of the additional
 * records.
 */
function ask(content: Content, question: string, type = "A"): string {
  const { outcome, answers, additionals } = answerZone(zoneOf(content), "cluster.local", question, type);
  const texts = (records: typeof answers): string[] =>
    records.map((record) => (record.type === "SRV" ? `${record.target}:${record.port}` : record.data));
  const more = additionals.length === 0 ? [] : ["|", ...texts(additionals)];
  return [outcome, ...texts(answers), ...more].join(" ");
}

const ready = (address: string, hostname?: string): NonNullable<EndpointSlice["endpoints"]>[number] => ({
  addresses: [address],
  conditions: { ready: true },
  ...(hostname === undefined ? {} : { hostname }),
});
const headless = service("db", { clusterIP: "None", ports: [{ name: "http", port: 80 }] });

test("a headless Service without ready endpoints has no name (NXDOMAIN), and a usual Service keeps its own", () => {
  const unready = slice("db", [{ addresses: ["10.244.0.1"], conditions: { ready: false } }]);
  for (const slices of [[], [slice("db", [])], [unready]]) {
    assert.equal(ask({ services: [headless], slices }, "db.shop.svc.cluster.local"), "absent");
    assert.equal(ask({ services: [headless], slices }, "10-244-0-1.db.shop.svc.cluster.local"), "absent");
  }
  const usual = service("web", { clusterIP: "10.96.0.9", ports: [{ port: 80 }] });
  assert.equal(ask({ services: [usual] }, "web.shop.svc.cluster.local"), "found 10.96.0.9");
});

test("an endpoint whose readiness is unknown counts as ready", () => {
  const slices = [slice("db", [{ addresses: ["10.244.0.1"] }, { addresses: ["10.244.0.2"], conditions: {} }])];
  assert.equal(ask({ services: [headless], slices }, "db.shop.svc.cluster.local"), "found 10.244.0.1 10.244.0.2");
});

test("the endpoints of several slices are one answer, and IPv6 addresses answer another question", () => {
  const slices = [slice("db", [ready("10.244.0.1"), ready("fd00::1")]), slice("db", [ready("10.244.0.2")])];
  const content = { services: [headless], slices };
  assert.equal(ask(content, "db.shop.svc.cluster.local"), "found 10.244.0.1 10.244.0.2");
  assert.equal(ask(content, "db.shop.svc.cluster.local", "AAAA"), "found fd00::1");
  assert.equal(ask(content, "fd00--1.db.shop.svc.cluster.local", "AAAA"), "found fd00::1");
  assert.equal(ask(content, "db.shop.svc.cluster.local", "TXT"), "found");
});

test("each ready endpoint has a name below its Service, also below one with a cluster IP", () => {
  const usual = service("web", { clusterIP: "10.96.0.9", ports: [{ name: "http", port: 80 }] });
  const unready = { addresses: ["10.244.0.3"], conditions: { ready: false }, hostname: "web-2" };
  const slices = [slice("web", [ready("10.244.0.1", "web-0"), ready("10.244.0.2"), unready])];
  const content = { services: [usual], slices };
  assert.equal(ask(content, "web-0.web.shop.svc.cluster.local"), "found 10.244.0.1");
  assert.equal(ask(content, "10-244-0-2.web.shop.svc.cluster.local"), "found 10.244.0.2");
  assert.equal(ask(content, "web-2.web.shop.svc.cluster.local"), "absent");
  assert.equal(ask(content, "10-244-0-1.web.shop.svc.cluster.local"), "absent", "its name is its hostname");
  assert.equal(ask(content, "web.shop.svc.cluster.local"), "found 10.96.0.9", "the Service keeps its own address");
});

test("a question for the SRV records of a Service's own name lists all ports, as peers of a StatefulSet ask", () => {
  const ports = [
    { name: "http", port: 8080 },
    { name: "", port: 9090 },
  ];
  const slices = [slice("db", [ready("10.244.0.1", "db-0"), ready("10.244.0.2", "db-1")], ports)];
  const [first, second] = ["db-0.db.shop.svc.cluster.local", "db-1.db.shop.svc.cluster.local"];
  assert.equal(
    ask({ services: [headless], slices }, "db.shop.svc.cluster.local", "SRV"),
    `found ${first}:8080 ${first}:9090 ${second}:8080 ${second}:9090 | 10.244.0.1 10.244.0.2`,
  );
  const usual = service("web", { clusterIP: "10.96.0.9", ports: [{ name: "http", port: 80 }, { port: 443 }] });
  assert.equal(
    ask({ services: [usual] }, "web.shop.svc.cluster.local", "SRV"),
    "found web.shop.svc.cluster.local:80 web.shop.svc.cluster.local:443 | 10.96.0.9",
  );
});

test("an SRV record of a named port needs that name and protocol, and has the endpoint's own number", () => {
  const ports = [
    { name: "http", port: 8080, protocol: "TCP" },
    { name: "http", port: 8081, protocol: "UDP" },
  ] as const;
  const content = { services: [headless], slices: [slice("db", [ready("10.244.0.1")], [...ports])] };
  const target = "10-244-0-1.db.shop.svc.cluster.local";
  assert.equal(ask(content, "_http._tcp.db.shop.svc.cluster.local", "SRV"), `found ${target}:8080 | 10.244.0.1`);
  assert.equal(ask(content, "_http._udp.db.shop.svc.cluster.local", "SRV"), `found ${target}:8081 | 10.244.0.1`);
  assert.equal(ask(content, "_http._sctp.db.shop.svc.cluster.local", "SRV"), "absent");
  assert.equal(ask(content, "_grpc._tcp.db.shop.svc.cluster.local", "SRV"), "absent");
  assert.equal(ask(content, "http.tcp.db.shop.svc.cluster.local", "SRV"), "absent");
  assert.equal(ask(content, "_http._tcp.db.shop.svc.cluster.local", "TXT"), "found");
});

test("an ExternalName is an alias without endpoints or ports", () => {
  const outside = service("out", { type: "ExternalName", externalName: "api.example.org." });
  const content = { services: [outside] };
  assert.equal(ask(content, "out.shop.svc.cluster.local"), "found api.example.org");
  assert.equal(ask(content, "out.shop.svc.cluster.local", "AAAA"), "found api.example.org");
  assert.equal(ask(content, "a.out.shop.svc.cluster.local"), "absent");
  assert.equal(ask(content, "_http._tcp.out.shop.svc.cluster.local", "SRV"), "absent");
});

test("names of pods are their addresses with dashes, in existing namespaces only", () => {
  for (const [question, type, expected] of [
    ["10-244-0-1.shop.pod.cluster.local", "A", "found 10.244.0.1"],
    ["10-244-0-1.shop.pod.cluster.local", "AAAA", "found"],
    ["fd00--1.shop.pod.cluster.local", "AAAA", "found fd00::1"],
    ["10-244-0-1.nowhere.pod.cluster.local", "A", "absent"],
    ["web.shop.pod.cluster.local", "A", "absent"],
    ["10-244-0.shop.pod.cluster.local", "A", "absent"],
    ["999-1-1-1.shop.pod.cluster.local", "A", "absent"],
    ["a.10-244-0-1.shop.pod.cluster.local", "A", "absent"],
    ["shop.pod.cluster.local", "A", "found"],
  ] as const)
    assert.equal(ask({}, question, type), expected, question);
});

test("an address leads back to its Service, or to the ready endpoints of headless ones", () => {
  const usual = service("web", { clusterIP: "10.96.0.9" });
  const unready = { addresses: ["10.244.0.7"], conditions: { ready: false } };
  const slices = [slice("db", [ready("10.244.0.1", "db-0"), ready("10.244.0.2"), unready])];
  const content = { services: [usual, headless], slices };
  assert.equal(ask(content, "9.0.96.10.in-addr.arpa", "PTR"), "found web.shop.svc.cluster.local");
  assert.equal(ask(content, "9.0.96.10.in-addr.arpa", "A"), "found");
  assert.equal(ask(content, "1.0.244.10.in-addr.arpa", "PTR"), "found db-0.db.shop.svc.cluster.local");
  assert.equal(ask(content, "2.0.244.10.in-addr.arpa", "PTR"), "found 10-244-0-2.db.shop.svc.cluster.local");
  assert.equal(ask(content, "7.0.244.10.in-addr.arpa", "PTR"), "unknown");
  assert.equal(ask(content, "0.244.10.in-addr.arpa", "PTR"), "unknown");
});

test("an IPv6 address leads back to its Service, however many zeros it has", () => {
  for (const [address, reverse] of [
    ["fd00::1", "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f"],
    ["fd00:1:2:3:4:5:6:7", "7.0.0.0.6.0.0.0.5.0.0.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.0.0.d.f"],
    ["fd00:0:0:1::2", "2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f"],
    ["fd00::", "0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f"],
  ] as const) {
    const content = { services: [service("web", { clusterIP: address })] };
    assert.equal(ask(content, `${reverse}.ip6.arpa`, "PTR"), "found web.shop.svc.cluster.local", address);
  }
});

test("names above existing names exist, and the zone tells its version", () => {
  for (const [question, expected] of [
    ["cluster.local", "found"],
    ["svc.cluster.local", "found"],
    ["shop.svc.cluster.local", "found"],
    ["empty.svc.cluster.local", "found"],
    ["nowhere.svc.cluster.local", "absent"],
    ["web.empty.svc.cluster.local", "absent"],
    ["shop.other.cluster.local", "absent"],
    ["dns-version.cluster.local", "found"],
    ["notcluster.local", "unknown"],
  ] as const)
    assert.equal(ask({}, question), expected, question);
  assert.equal(ask({}, "dns-version.cluster.local", "TXT"), "found 1.1.0");
});

test("a query for a Service with tens of thousands of endpoints reads no endpoint again, and answers with a bounded number", () => {
  let reads = 0;
  const slices = Array.from({ length: 40 }, (_, index): EndpointSlice => {
    const endpoints = Array.from({ length: 1_000 }, (_, at) => ready(`10.${index}.${at >> 8}.${at & 255}`));
    const one = slice("db", endpoints, [
      { name: "http", port: 8080 },
      { name: "admin", port: 8081 },
    ]);
    return Object.defineProperty(one, "endpoints", {
      get: () => {
        reads += 1;
        return endpoints;
      },
    });
  });
  const source: ZoneSource = { ...zoneOf({ services: [headless], slices }), slicesByAddress: () => slices };
  const answerTo = (name: string, type: string, most?: number): { answers: number; additionals: number } => {
    const { answers, additionals } = answerZone(source, "cluster.local", name, type, most);
    return { answers: answers.length, additionals: additionals.length };
  };
  const name = "db.shop.svc.cluster.local";
  answerTo(`10-0-0-1.${name}`, "A");
  reads = 0;
  assert.deepEqual(answerTo(name, "A"), { answers: maxRecords.tcp, additionals: 0 });
  assert.deepEqual(answerTo(name, "A", maxRecords.udp), { answers: maxRecords.udp, additionals: 0 });
  assert.deepEqual(answerTo(name, "SRV"), { answers: maxRecords.tcp, additionals: maxRecords.tcp / 2 });
  assert.deepEqual(answerTo(`_admin._tcp.${name}`, "SRV", 7), { answers: 7, additionals: 7 });
  assert.deepEqual(answerTo(`10-39-3-200.${name}`, "A"), { answers: 1, additionals: 0 });
  assert.deepEqual(answerTo("1.0.0.10.in-addr.arpa", "PTR"), { answers: 1, additionals: 0 });
  assert.equal(reads, 0);
});

test("the endpoints of the other family do not take the place of those that a question asks for", () => {
  const six: EndpointSlice = { ...slice("db", [ready("fd00::1"), ready("fd00::2")]), addressType: "IPv6" };
  const source = zoneOf({ services: [headless], slices: [six, slice("db", [ready("10.244.0.1")])] });
  const { answers } = answerZone(source, "cluster.local", "db.shop.svc.cluster.local", "A", 2);
  assert.deepEqual(
    answers.map((record) => ("data" in record ? record.data : "")),
    ["10.244.0.1"],
  );
});

test("an endpoint that is a name (FQDN) has no address record", () => {
  const named: EndpointSlice = { ...slice("db", [ready("db.example")]), addressType: "FQDN" };
  assert.equal(ask({ services: [headless], slices: [named] }, "db.shop.svc.cluster.local"), "absent");
});
