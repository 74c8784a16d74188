import { localProxyHeader, proxyHeader, proxyHeaderText } from "../../../src/dataplane/proxy-header.ts";
import { isIP } from "node:net";
import { parseProxyHeader } from "../../../src/proxy/listener/proxy-protocol.ts";
import { expect, type FuzzTarget } from "../target.ts";

const [source, target4] = [
  { address: "10.0.0.1", port: 1234 },
  { address: "10.0.0.2", port: 80 },
];
const target6 = { address: "fd00::1", port: 443 };

export const target: FuzzTarget = {
  title: "PROXY protocol, versions 1 and 2",
  seeds: [
    proxyHeaderText(source, target4),
    proxyHeaderText(source, target6),
    proxyHeader(source, target4, "spiffe://a/b"),
    proxyHeader(target6, source, ""),
    localProxyHeader(),
    "PROXY UNKNOWN\r\nGET /",
  ],
  words: ["PROXY ", "TCP4 ", "TCP6 ", "UNKNOWN", "\r\n", "::ffff:1.2.3.4", "fe80::1%eth0"],
  maxBytes: 300,
  run: (input) => {
    const parsed = parseProxyHeader(input);
    if (parsed.kind === "header") {
      expect(parsed.length <= input.length, "a header ends within its bytes");
      for (const end of [parsed.remote, parsed.local])
        expect(end === undefined || (isIP(end.address) !== 0 && end.port <= 65_535), "an address is one");
      const alone = parseProxyHeader(input.subarray(0, parsed.length));
      expect(JSON.stringify(alone) === JSON.stringify(parsed), "what comes behind changes nothing");
      expect(parseProxyHeader(input.subarray(0, parsed.length - 1)).kind === "incomplete", "a part asks for more");
    }
    for (const cut of [1, input.length >> 1]) {
      const early = parseProxyHeader(input.subarray(0, cut));
      if (early.kind === "bad") expect(parsed.kind === "bad", "what is refused stays refused");
      if (early.kind === "none" && cut > 0) expect(parsed.kind === "none", "what is none stays none");
    }
  },
};
