import type { AppProtocol } from "../model/facts.ts";
import type { EffectiveMutualTls } from "../model/peer-authentication.ts";

/** How a chain tells its connections apart, and how it takes them. */
export interface InboundChainMatch {
  /** None: any. */
  readonly applicationProtocols: readonly string[];
  readonly transport: "tls" | "raw_buffer";
  readonly serves: "http" | "tcp";
  /** The sidecar ends the TLS; otherwise TLS is the application's own and goes through. */
  readonly terminates: boolean;
}

/** What a port carries: told by its protocol, or (`sniffed`) to be found out of the first bytes. */
export type Carried = "http" | "tcp" | "sniffed";

/** Of the HTTP inspector, which tells no HTTP/1.0: Istio's proxies refuse it, so it passes as TCP. */
export const plaintextHttpProtocols: readonly string[] = ["http/1.1", "h2c"];
/** What Istio's clients say in ALPN, so that their TLS is told from an application's own. */
const peerHttp = ["istio-http/1.0", "istio-http/1.1", "istio-h2"];
const peerTcp = ["istio-peer-exchange", "istio"];
const peerAny = ["istio", "istio-peer-exchange", ...peerHttp];

export function carriedBy(protocol: AppProtocol): Carried {
  switch (protocol) {
    case "http":
    case "http2":
    case "grpc":
      return "http";
    case "tcp":
    case "tls":
      return "tcp";
    case "unknown":
      return "sniffed";
  }
}

/** The chains of one port, most specific first. */
export function inboundChainMatches(mode: EffectiveMutualTls, carried: Carried): readonly InboundChainMatch[] {
  return table[mode][carried];
}

const peer = (serves: "http" | "tcp", applicationProtocols: readonly string[] = []): InboundChainMatch => ({
  applicationProtocols,
  transport: "tls",
  serves,
  terminates: true,
});
const plain = (serves: "http" | "tcp", applicationProtocols: readonly string[] = []): InboundChainMatch => ({
  applicationProtocols,
  transport: "raw_buffer",
  serves,
  terminates: false,
});
const ownTls: InboundChainMatch = { applicationProtocols: [], transport: "tls", serves: "tcp", terminates: false };

const table: Readonly<Record<EffectiveMutualTls, Readonly<Record<Carried, readonly InboundChainMatch[]>>>> = {
  STRICT: {
    http: [peer("http")],
    tcp: [peer("tcp")],
    sniffed: [peer("http", peerHttp), peer("tcp")],
  },
  PERMISSIVE: {
    // Declared as HTTP: TLS of an application's own cannot be meant.
    http: [peer("http", peerAny), plain("http")],
    tcp: [peer("tcp", peerAny), plain("tcp"), ownTls],
    sniffed: [
      peer("http", peerHttp),
      plain("http", plaintextHttpProtocols),
      peer("tcp", peerTcp),
      plain("tcp"),
      ownTls,
    ],
  },
  DISABLE: {
    http: [plain("http")],
    tcp: [plain("tcp")],
    sniffed: [plain("http", plaintextHttpProtocols), plain("tcp")],
  },
};
