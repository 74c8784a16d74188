import { silentLogger } from "../../../src/base/index.ts";
import { encode } from "dns-packet";
import { DnsResponder } from "../../../src/dataplane/dns/index.ts";
import { isAnswerTo, isTruncated } from "../../../src/net/dns/dns-message.ts";
import type { DnsForwarder } from "../../../src/net/dns/index.ts";
import {
  encodeAnswer,
  encodeFailure,
  encodeQuestion,
  parseQuestion,
  recordsOf,
} from "../../../src/cluster/dns/message.ts";
import { answerZone, type ZoneSource } from "../../../src/cluster/dns/zone.ts";
import { expect, type FuzzTarget } from "../target.ts";

const domain = "cluster.local";
const service = {
  metadata: { name: "a", namespace: "default" },
  spec: { clusterIP: "10.0.0.1", clusterIPs: ["10.0.0.1"], ports: [{ name: "http", port: 80, protocol: "TCP" }] },
};
const source = {
  hasNamespace: (name: string) => name === "default",
  service: (namespace: string, name: string) => (namespace === "default" && name === "a" ? service : undefined),
  slicesOf: () => [],
  serviceByClusterIP: (address: string) => (address === "10.0.0.1" ? service : undefined),
  slicesByAddress: () => [],
} as unknown as ZoneSource;
const forwarder = {
  forward: async (): Promise<Buffer> => await Promise.reject(new Error("no name server")),
} as unknown as DnsForwarder;
const responder = new DnsResponder(forwarder, silentLogger);
const found = { addresses: ["10.0.0.1", "fd00::1"], alias: "b.default.svc.cluster.local" };
const maxUdpBytes = 65_535;
const plainQuery = question("a.example", "A");

function question(name: string, type: "A" | "AAAA" | "SRV" | "PTR" | "TXT", more: object = {}): Buffer {
  return encode({ type: "query", id: 7, flags: 256, questions: [{ type, name }], ...more });
}

function ofCluster(input: Buffer): void {
  recordsOf(input);
  const parsed = parseQuestion(input);
  if (parsed === undefined) return;
  encodeFailure(parsed);
  const name = parsed.name.toLowerCase().replace(/\.$/, "");
  const answer = answerZone(source, domain, name, parsed.type);
  for (const transport of ["udp", "tcp"] as const)
    expect(encodeAnswer(parsed, domain, answer, transport).length <= maxUdpBytes, "an answer has a length");
  encodeQuestion(parsed, "a.example.com");
}

export const target: FuzzTarget = {
  title: "DNS: the lab's name server, and the data planes' answers",
  seeds: [
    question("a.default.svc.cluster.local", "A"),
    question("_http._tcp.a.default.svc.cluster.local", "SRV"),
    question("1.0.0.10.in-addr.arpa", "PTR"),
    question("a.default", "AAAA", {
      additionals: [{ type: "OPT", name: ".", udpPayloadSize: 1232, flags: 0, options: [] }],
    }),
    encode({
      type: "response",
      id: 1,
      questions: [{ type: "A", name: "x" }],
      answers: [{ type: "CNAME", name: "x", data: "y" }],
    }),
  ],
  words: ["\x01a\x07default\x03svc\x07cluster\x05local\0", "\xc0\x0c", "dns-version"],
  maxBytes: 600,
  run: async (input) => {
    ofCluster(input);
    isTruncated(input);
    expect(
      !isAnswerTo(plainQuery, input) || input.readUInt16BE(0) === plainQuery.readUInt16BE(0),
      "an answer has the query's id",
    );
    isAnswerTo(input, input);
    for (const transport of ["udp", "tcp"] as const)
      await responder.answer(input, transport, (name) => (name.length % 2 === 0 ? found : undefined));
  },
};
