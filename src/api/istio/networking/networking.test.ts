import assert from "node:assert/strict";
import { test } from "node:test";
import { many } from "../../../base/testing/index.ts";
import type { KindDefinition } from "../../kind.ts";
import { istioGatewayKind } from "./istio-gateway.ts";
import { serviceEntryKind } from "./service-entry.ts";
import { sidecarKind } from "./sidecar.ts";
import { issuesOf } from "../testing/issues-of.ts";
import { workloadEntryKind } from "./workload-entry.ts";
import { workloadGroupKind } from "./workload-group.ts";

type Case = readonly [object, ...string[]];

function assertErrors(kind: KindDefinition, cases: readonly Case[]): void {
  for (const [spec, ...expected] of cases)
    assert.deepEqual(issuesOf(kind, spec).errors, expected, JSON.stringify(spec));
}

test("a gateway's faults are reported at their fields", () => {
  const server = (fields: object): object => ({
    servers: [{ port: { number: 80, name: "http", protocol: "HTTP" }, hosts: ["*"], ...fields }],
  });
  const https = (tls: object): object => server({ port: { number: 443, name: "https", protocol: "HTTPS" }, tls });
  assertErrors(istioGatewayKind, [
    [server({})],
    [server({ tls: { httpsRedirect: true } })],
    [https({ mode: "SIMPLE", credentialName: "a" })],
    [{}, "spec.servers: must have at least one server"],
    [server({ hosts: [] }), 'spec.servers[0].hosts: must have at least one host; "*" matches all'],
    [server({ hosts: ["short"] }), 'spec.servers[0].hosts[0]: must be a full name with a dot, got "short"'],
    [
      server({ hosts: ["*a.example.com"] }),
      'spec.servers[0].hosts[0]: must have its wildcard as a whole label, such as "*.example.com", got "*a.example.com"',
    ],
    [
      server({ hosts: ["a_b/*"] }),
      'spec.servers[0].hosts[0]: must be a host, or namespace/host where the namespace may be "." or "*", got "a_b/*"',
    ],
    [server({ port: { number: 80, protocol: "HTTP" } }), "spec.servers[0].port.name: is required"],
    [
      server({ port: { number: 80, name: "a", protocol: "SMTP" } }),
      'spec.servers[0].port.protocol: must be one of HTTP, HTTPS, HTTP2, GRPC, GRPC-WEB, TCP, TLS, UDP, MONGO, REDIS, MYSQL, HTTP_PROXY, got "SMTP"',
    ],
    [server({ bind: "localhost" }), 'spec.servers[0].bind: must be an IP address, got "localhost"'],
    [
      server({ port: { number: 443, name: "a", protocol: "HTTPS" } }),
      "spec.servers[0].tls: is required when the protocol is HTTPS",
    ],
    [
      server({ tls: { mode: "SIMPLE", credentialName: "a" } }),
      "spec.servers[0].tls: may only have httpsRedirect when the protocol is HTTP; use HTTPS to terminate TLS",
    ],
    [
      https({ mode: "SIMPLE" }),
      "spec.servers[0].tls.serverCertificate: is required when the mode is SIMPLE, unless there is a credentialName",
      "spec.servers[0].tls.privateKey: is required when the mode is SIMPLE, unless there is a credentialName",
    ],
    [
      https({ mode: "MUTUAL", serverCertificate: "/c", privateKey: "/k" }),
      "spec.servers[0].tls.caCertificates: is required when the mode is MUTUAL, unless there is a credentialName",
    ],
    [
      https({ mode: "ISTIO_MUTUAL", credentialName: "a" }),
      "spec.servers[0].tls.credentialName: must not be set when the mode is ISTIO_MUTUAL, which uses the mesh's certificates",
    ],
    [
      https({ mode: "SIMPLE", credentialName: "a", serverCertificate: "/c", privateKey: "/k" }),
      "spec.servers[0].tls.serverCertificate: cannot be combined with credentialName: certificates come from only one of them",
    ],
    [
      https({ mode: "SIMPLE", credentialName: "a", minProtocolVersion: "TLSV1_3", maxProtocolVersion: "TLSV1_2" }),
      "spec.servers[0].tls.minProtocolVersion: must not be above maxProtocolVersion (TLSV1_2), got TLSV1_3",
    ],
    [
      { servers: [1, 2].map((number) => ({ port: { number, name: "a", protocol: "TCP" }, hosts: ["*"] })) },
      'spec.servers[1].port.name: must be unique in the Gateway, "a" appears twice; rename one',
    ],
  ]);
  assert.deepEqual(issuesOf(istioGatewayKind, server({}), { name: "a.b" }).errors, [
    'metadata.name: must be letters, digits and dashes, without dots, got "a.b"',
  ]);
  assert.deepEqual(
    issuesOf(
      istioGatewayKind,
      https({ mode: "SIMPLE", credentialName: "a", cipherSuites: ["X", "AES128-SHA", "AES128-SHA"] }),
    ).warnings.length,
    2,
  );
});

test("a service entry's faults are reported at their fields", () => {
  const port = { number: 80, name: "http", protocol: "HTTP" };
  const entry = (fields: object): object => ({ hosts: ["a.com"], ports: [port], resolution: "STATIC", ...fields });
  assertErrors(serviceEntryKind, [
    [entry({ endpoints: [{ address: "1.1.1.1", ports: { http: 8080 } }] })],
    [entry({ resolution: "DNS" })],
    [entry({ hosts: [] }), "spec.hosts: must have at least one host"],
    [entry({ hosts: ["*"] }), 'spec.hosts[0]: must not be "*"; name a domain'],
    [
      entry({ hosts: ["*.a.com"], resolution: "DNS" }),
      'spec.hosts[0]: must be a full name, because DNS looks it up, got "*.a.com"; or add endpoints',
    ],
    [
      entry({ addresses: ["10.0.0.0/8"], resolution: "DNS" }),
      'spec.addresses[0]: must be an IP address, not a CIDR, when the resolution is DNS, got "10.0.0.0/8"',
    ],
    [
      entry({ resolution: "NONE", endpoints: [{ address: "1.1.1.1" }] }),
      "spec.endpoints: must be empty when the resolution is NONE; use STATIC, or DNS for names",
    ],
    [
      entry({ endpoints: [{ address: "b.com" }] }),
      'spec.endpoints[0].address: must be an IP address, got "b.com"; use the resolution DNS for names',
    ],
    [
      entry({ endpoints: [{ address: "1.1.1.1", ports: { grpc: 1 } }] }),
      'spec.endpoints[0].ports.grpc: must be the name of a port of the ServiceEntry (http), got "grpc"',
    ],
    [entry({ endpoints: [{}] }), "spec.endpoints[0].address: is required, unless there is a network"],
    [
      entry({ endpoints: [{ address: "unix:///s", ports: { http: 1 } }] }),
      "spec.endpoints[0].ports: must not be set for a unix socket",
    ],
    [
      entry({ ports: [port, port] }),
      'spec.ports[1].name: must be unique, "http" appears twice; rename one',
      "spec.ports[1].number: must be unique, 80 appears twice; remove one",
    ],
    [
      entry({ hosts: ["a.com", "b.com"], ports: [{ number: 1, name: "tcp", protocol: "TCP" }] }),
      "spec.ports[0].protocol: must be HTTP or TLS when there is more than one host, because other protocols do not name the host; create a ServiceEntry for each host",
    ],
    [
      entry({ workloadSelector: { labels: { a: "b" } }, endpoints: [{ address: "1.1.1.1" }] }),
      "spec.endpoints: cannot be combined with workloadSelector",
    ],
    [
      entry({ resolution: "DYNAMIC_DNS" }),
      'spec.hosts[0]: must have a wildcard when the resolution is DYNAMIC_DNS, got "a.com"',
    ],
    [
      entry({ resolution: "MANUAL" }),
      'spec.resolution: must be one of NONE, STATIC, DNS, DNS_ROUND_ROBIN, DYNAMIC_DNS, got "MANUAL"',
    ],
  ]);
});

test("a small service entry that would make gigabytes of clusters, listeners or endpoints is refused", () => {
  const entry = (hosts: number, ports: number, fields: object = {}): object => ({
    hosts: many(hosts, (index) => `h${index}.example`),
    ports: many(ports, (index) => ({ number: index + 1, name: `http-${index}`, protocol: "HTTP" })),
    resolution: "STATIC",
    ...fields,
  });
  const endpoints = many(4_096, (index) => ({ address: `1.2.${index >> 8}.${index & 255}` }));
  const addresses = many(65, (index) => `10.0.0.${index}`);
  assertErrors(serviceEntryKind, [
    [entry(256, 16)],
    [entry(64, 1, { endpoints })],
    [
      entry(64, 65),
      "spec.hosts: 64 hosts with 65 ports each are 4160 clusters or listeners of every proxy, and at most 4096 are allowed; use a wildcard or a range, or fewer ports",
    ],
    [
      entry(1, 64, { addresses }),
      "spec.addresses: 65 addresses with 64 ports each are 4160 clusters or listeners of every proxy, and at most 4096 are allowed; use a wildcard or a range, or fewer ports",
    ],
    [
      entry(13, 5, { endpoints }),
      "spec.endpoints: 4096 endpoints of 13 hosts with 5 ports each are 266240 endpoints of every proxy, and at most 262144 are allowed",
    ],
  ]);
});

test("a service entry whose lists multiply to more than a proxy can hold is refused", () => {
  const entry = (hosts: number, fields: object): object => ({
    hosts: many(hosts, (index) => `h${index}.example`),
    ports: [{ number: 80, name: "http", protocol: "HTTP" }],
    resolution: "STATIC",
    ...fields,
  });
  const addresses = many(257, (index) => `10.0.${index >> 8}.${index & 255}`);
  const exportTo = many(1_025, (index) => `team-${index}`);
  const subjectAltNames = many(1_000, (index) => `spiffe://cluster.local/${index}/`.padEnd(70, "x"));
  assertErrors(serviceEntryKind, [
    [entry(255, { addresses })],
    [
      entry(256, { addresses }),
      "spec.addresses: 256 hosts times 257 of these are 65792, and at most 65536 are allowed; write fewer, or several ServiceEntries",
    ],
    [
      entry(256, { exportTo }),
      "spec.exportTo: 256 hosts times 1025 of these are 262400, and at most 262144 are allowed; write fewer, or several ServiceEntries",
    ],
    [entry(900, { subjectAltNames })],
    [
      entry(1_000, { subjectAltNames }),
      "spec: the endpoints and subjectAltNames, once for each host and port, are 73034000 characters of every proxy, and at most 67108864 are allowed; write fewer of them, or several ServiceEntries",
    ],
  ]);
});

test("a gateway with many servers that pass every service of the mesh is refused", () => {
  const servers = (count: number): object[] =>
    Array.from({ length: count }, (_, index) => ({
      port: { number: 15_443 + index, name: `tls-${index}`, protocol: "TLS" },
      hosts: ["*.local"],
      tls: { mode: "AUTO_PASSTHROUGH" },
    }));
  assertErrors(istioGatewayKind, [
    [{ selector: { a: "b" }, servers: servers(8) }],
    [
      { selector: { a: "b" }, servers: servers(9) },
      "spec.servers: has 9 servers with the TLS mode AUTO_PASSTHROUGH, and at most 8 are allowed, because each has a filter chain for each port of each service of the mesh; use fewer ports",
    ],
  ]);
});

test("a sidecar's faults are reported at their fields", () => {
  const port = { number: 80, name: "http", protocol: "HTTP" };
  assertErrors(sidecarKind, [
    [{ egress: [{ hosts: ["./*", "istio-system/*", "~/*"] }] }],
    [{}, "spec: must have ingress, egress, outboundTrafficPolicy or inboundConnectionPool"],
    [{ egress: [{}] }, 'spec.egress[0].hosts: must have at least one host; "*/*" matches all'],
    [
      { egress: [{ hosts: ["a.com"] }] },
      'spec.egress[0].hosts[0]: must be namespace/host, where the namespace may be ".", "*" or "~", got "a.com"',
    ],
    [{ egress: [{ hosts: ["./a"] }] }, 'spec.egress[0].hosts[0]: must be a full name with a dot, got "a"'],
    [
      { egress: [{ hosts: ["./*"] }, { port, hosts: ["./*"] }] },
      "spec.egress[0]: must be the last listener, since it has no port",
    ],
    [
      { egress: [{ port: { number: 0, protocol: "TCP" }, hosts: ["./*"] }] },
      "spec.egress[0].bind: must be unix:// and a path when the port's number is 0",
    ],
    [
      { ingress: [{ port, defaultEndpoint: "10.0.0.1:80" }] },
      'spec.ingress[0].defaultEndpoint: must be 127.0.0.1:<port>, 0.0.0.0:<port>, [::1]:<port>, [::]:<port> or unix://<path>, got "10.0.0.1:80"',
    ],
    [{ ingress: [{ port }, { port }] }, "spec.ingress[1].port.number: must be unique, 80 appears twice; remove one"],
    [
      { ingress: [{ port, tls: { mode: "SIMPLE", privateKey: "/k", serverCertificate: "/c" } }] },
      'spec.ingress[0].tls: needs a port with the protocol HTTPS or TLS, got "HTTP"',
    ],
    [
      { outboundTrafficPolicy: { egressProxy: { host: "a.com", port: { number: 1 } } } },
      "spec.outboundTrafficPolicy.egressProxy: needs the mode ALLOW_ANY",
    ],
    [
      { workloadSelector: { labels: { a: "*" } }, egress: [{ hosts: ["./*"] }] },
      'spec.workloadSelector.labels.a: must not have wildcards, got "a=*"; name one value, or remove the label',
    ],
  ]);
});

test("faults of workloads are reported at their fields", () => {
  assertErrors(workloadEntryKind, [
    [{ address: "2.2.2.2", weight: 2 }],
    [{ network: "n" }],
    [{}, "spec.address: is required, unless there is a network"],
    [{ address: `unix:///${"é".repeat(53)}` }],
    [
      { address: `unix:///${"é".repeat(53)}a` },
      "spec.address: must have at most 107 bytes after unix://, got 108. Choose a shorter path",
    ],
    [{ address: "unix:///a\0b" }, "spec.address: must not have a zero byte in the path of a socket"],
    [
      { address: "unix://s" },
      'spec.address: must be an absolute path of a socket after unix://, or "@" and a name, got "s"',
    ],
    [{ address: "1.1.1.1", ports: { http: 70_000 } }, "spec.ports.http: must be from 1 to 65535, got 70000"],
  ]);
  assertErrors(workloadGroupKind, [
    [{ template: { serviceAccount: "a" }, probe: { httpGet: { port: 8080 } } }],
    [{}, "spec.template: is required"],
    [
      { template: {}, probe: {} },
      "spec.probe: must have exactly one of httpGet, tcpSocket, exec, grpc, got 0",
      "spec.probe.tcpSocket.port: is required",
    ],
    [{ template: {}, probe: { exec: {} } }, "spec.probe.exec.command: must have at least one word"],
  ]);
});
