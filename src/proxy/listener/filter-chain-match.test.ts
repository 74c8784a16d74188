import assert from "node:assert/strict";
import { test } from "node:test";
import { cidrOf } from "../../base/index.ts";
import { selectFilterChain, type ConnectionTraits, type FilterChainMatch } from "./filter-chain-match.ts";

const anything: FilterChainMatch = {
  destinationPort: 0,
  destinationRanges: [],
  serverNames: [],
  transportProtocol: "",
  applicationProtocols: [],
  directSourceRanges: [],
  sourceType: "any",
  sourceRanges: [],
  sourcePorts: [],
};

const range = (text: string) => {
  const cidr = cidrOf(text);
  assert.ok(cidr);
  return { bytes: cidr.address, length: cidr.length };
};

const chain = (name: string, match: Partial<FilterChainMatch> = {}) => ({ name, match: { ...anything, ...match } });

const raw: ConnectionTraits = {
  local: { address: "10.1.2.3", port: 9080 },
  remote: { address: "10.9.9.9", port: 40_000 },
  directRemote: { address: "10.9.9.9", port: 40_000 },
  serverName: "",
  transportProtocol: "raw_buffer",
  applicationProtocols: [],
};

const inbound = [
  chain("blackhole", { destinationPort: 15_006 }),
  chain("catchall-http-tls", {
    transportProtocol: "tls",
    applicationProtocols: ["istio-http/1.0", "istio-http/1.1", "istio-h2"],
  }),
  chain("catchall-http", { transportProtocol: "raw_buffer", applicationProtocols: ["http/1.1", "h2c"] }),
  chain("catchall-tls", { transportProtocol: "tls", applicationProtocols: ["istio-peer-exchange", "istio"] }),
  chain("catchall", { transportProtocol: "raw_buffer" }),
  chain("9080-tls", {
    destinationPort: 9080,
    transportProtocol: "tls",
    applicationProtocols: ["istio", "istio-peer-exchange", "istio-http/1.0", "istio-http/1.1", "istio-h2"],
  }),
  chain("9080", { destinationPort: 9080, transportProtocol: "raw_buffer" }),
];

const secured: ConnectionTraits = {
  ...raw,
  transportProtocol: "tls",
  serverName: "outbound_.9080_._.a.test",
  applicationProtocols: ["istio-http/1.1", "istio"],
};

const names = [
  chain("any"),
  chain("exact", { serverNames: ["a.example.com"] }),
  chain("near", { serverNames: ["*.example.com"] }),
  chain("far", { serverNames: ["*.com"] }),
];
const withName = (serverName: string): ConnectionTraits => ({ ...raw, transportProtocol: "tls", serverName });

const ranges = [
  chain("wide", { destinationRanges: [range("10.0.0.0/8")] }),
  chain("narrow", { destinationRanges: [range("10.1.0.0/16"), range("fd00::/8")] }),
  chain("other", { destinationRanges: [range("192.168.0.0/16")] }),
];

const cases: readonly (readonly [string, ReturnType<typeof chain>[], ConnectionTraits, string | undefined])[] = [
  ["plain text to a port of the workload", inbound, raw, "9080"],
  ["Istio's mutual TLS to a port of the workload", inbound, secured, "9080-tls"],
  [
    "mutual TLS to a port that is not declared, with HTTP inside",
    inbound,
    { ...secured, local: { address: "10.1.2.3", port: 1 } },
    "catchall-http-tls",
  ],
  [
    "mutual TLS to a port that is not declared, with anything inside",
    inbound,
    { ...secured, local: { address: "10.1.2.3", port: 1 }, applicationProtocols: ["istio-peer-exchange", "istio"] },
    "catchall-tls",
  ],
  [
    "plain HTTP to a port that is not declared",
    inbound,
    { ...raw, local: { address: "10.1.2.3", port: 1 }, applicationProtocols: ["h2c"] },
    "catchall-http",
  ],
  [
    "anything else to a port that is not declared",
    inbound,
    { ...raw, local: { address: "10.1.2.3", port: 1 } },
    "catchall",
  ],
  ["the proxy's own port", inbound, { ...raw, local: { address: "10.1.2.3", port: 15_006 } }, "blackhole"],
  [
    "TLS of the application itself to a declared port: the port's chains are all that is looked at",
    inbound,
    { ...secured, applicationProtocols: ["h2"] },
    undefined,
  ],
  ["the exact name before a suffix", names, withName("a.example.com"), "exact"],
  ["the longest suffix", names, withName("b.example.com"), "near"],
  ["a suffix takes any number of labels", names, withName("x.y.other.com"), "far"],
  ["a name that none asks for", names, withName("example.org"), "any"],
  [
    "a suffix does not take its bare domain",
    [chain("suffix", { serverNames: ["*.example.com"] })],
    withName("example.com"),
    undefined,
  ],
  ["no name at all", names, raw, "any"],
  ["the narrowest range", ranges, raw, "narrow"],
  ["a wider range", ranges, { ...raw, local: { address: "10.2.0.1", port: 1 } }, "wide"],
  ["a range of IPv6", ranges, { ...raw, local: { address: "fd00::1", port: 1 } }, "narrow"],
  ["no range", ranges, { ...raw, local: { address: "172.16.0.1", port: 1 } }, undefined],
  [
    "the port goes before the range",
    [chain("port", { destinationPort: 9080 }), chain("range", { destinationRanges: [range("10.1.2.3/32")] })],
    raw,
    "port",
  ],
  [
    "the client's order of protocols decides",
    [chain("h2", { applicationProtocols: ["h2"] }), chain("http", { applicationProtocols: ["http/1.1"] })],
    { ...secured, applicationProtocols: ["http/1.1", "h2"] },
    "http",
  ],
  [
    "a connection from the same address is local",
    [chain("local", { sourceType: "local" }), chain("external", { sourceType: "external" })],
    { ...raw, directRemote: raw.local },
    "local",
  ],
  [
    "another is external",
    [chain("local", { sourceType: "local" }), chain("external", { sourceType: "external" })],
    raw,
    "external",
  ],
  [
    "the source's range, then its port",
    [
      chain("range", { sourceRanges: [range("10.9.0.0/16")] }),
      chain("port", { sourceRanges: [range("10.9.0.0/16")], sourcePorts: [40_000] }),
    ],
    raw,
    "port",
  ],
  [
    "half a byte of a prefix",
    [
      chain("upper", { destinationRanges: [range("10.1.2.128/25")] }),
      chain("lower", { destinationRanges: [range("10.1.2.0/25")] }),
    ],
    raw,
    "lower",
  ],
];

for (const [title, chains, traits, expected] of cases) {
  test(`filter chain: ${title}, however many other chains there are`, () => {
    const others = Array.from({ length: 100 }, (_, at) => chain(`other-${at}`, { serverNames: [`other-${at}.test`] }));
    for (const all of [chains, [...chains, ...others], [...others, ...chains]])
      assert.equal(selectFilterChain(all, traits)?.name, expected);
  });
}

test("of thousands of chains, only those whose names may match are looked at", () => {
  let looks = 0;
  const chains = Array.from({ length: 5000 }, (_, at) => {
    const { name, match } = chain(`chain-${at}`, { serverNames: [`host-${at}.test`, `*.wild-${at}.test`] });
    return {
      name,
      get match() {
        looks += 1;
        return match;
      },
    };
  });
  const chosen = (serverName: string): string | undefined =>
    selectFilterChain(chains, { ...secured, serverName })?.name;
  assert.equal(chosen("host-7.test"), "chain-7");
  looks = 0;
  assert.deepEqual(["host-4999.test", "a.b.wild-3.test", "wild-3.test", "unknown.test", ""].map(chosen), [
    "chain-4999",
    "chain-3",
    undefined,
    undefined,
    undefined,
  ]);
  assert.ok(looks < 50, `${looks} looks`);
});
