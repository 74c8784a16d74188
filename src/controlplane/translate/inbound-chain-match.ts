import type { AppProtocol } from "../model/facts.ts";
import type { EffectiveMutualTls } from "../model/peer-authentication.ts";

export interface InboundChainMatch {
  /** The ALPN names of the client's TLS. Empty means any. */
  readonly applicationProtocols: readonly string[];
  readonly transport: "tls" | "raw_buffer";
  readonly serves: "http" | "tcp";
  /** Whether the sidecar terminates the TLS. Otherwise TLS belongs to the application and passes through. */
  readonly terminates: boolean;
}

/**
 * The protocol that a port declares. `sniffed` means that it declares none, so that the first bytes of each connection
 * decide.
 */
export type Carried = "http" | "tcp" | "sniffed";

/**
 * What the HTTP inspector may detect as plain-text HTTP. HTTP/1.0 is not among them and so passes as TCP, because
 * proxies refuse HTTP/1.0 by default.
 */
export const plaintextHttpProtocols: readonly string[] = ["http/1.1", "h2c"];
/** The ALPN names of Istio's clients. They tell these clients' TLS from TLS of the application. */
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

/** The filter chains of one port, most specific first. */
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
    // The application has no TLS of its own on a port that is declared as HTTP.
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
