import type { TcpKeepalive } from "../../net/index.ts";
import type { NetworkFilter } from "../filters/network-filter.ts";
import type { HttpSpec } from "../http/http-spec.ts";
import type { AccessLogSpec } from "../record/access-log-spec.ts";
import type { TcpSpec } from "../tcp/tcp-spec.ts";
import type { DownstreamTlsSpec } from "../tls/tls-spec.ts";
import type { ChainMatcher } from "./chain-matcher.ts";
import type { FilterChainMatch } from "./filter-chain-match.ts";

export interface ListenAddress {
  readonly address: string;
  readonly port: number;
}

export interface ListenerSpec {
  readonly name: string;
  /**
   * The addresses on which the listener listens. For a `virtual` listener, the destinations that it represents. Empty
   * for an internal listener.
   */
  readonly addresses: readonly ListenAddress[];
  /**
   * A `bound` listener has sockets. A `virtual` one gets connections from a listener that hands them over. An
   * `internal` one is entered from within this proxy, by its name.
   */
  readonly kind: "bound" | "virtual" | "internal";
  /** Whether each connection is handed to the listener that represents its original destination, if there is one. */
  readonly handsOff: boolean;
  /** Whether the sockets accept connections to addresses of other hosts. */
  readonly transparent: boolean;
  readonly direction: "inbound" | "outbound" | "unspecified";
  readonly inspectors: readonly InspectorSpec[];
  /** How long the inspection of the first bytes may take, in milliseconds. 0 means no limit. */
  readonly inspectionTimeoutMs: number;
  /** Whether a connection continues with the known facts when that time is over. If false, the proxy closes it. */
  readonly continueOnTimeout: boolean;
  readonly chains: readonly ChainSpec[];
  readonly defaultChain: ChainSpec | undefined;
  /** Chooses the chain. If set, the chains' own conditions have no effect. */
  readonly matcher: ChainMatcher | undefined;
  /** TCP keepalive of accepted connections. Undefined means that no probes are sent. */
  readonly keepalive: TcpKeepalive | undefined;
  readonly accessLogs: readonly AccessLogSpec[];
}

export interface InspectorSpec {
  /** What the inspector does. `original-source` gives connections to endpoints the client's address. */
  readonly kind: "original-destination" | "original-source" | "tls" | "http" | "proxy-protocol";
  readonly enabled: (destinationPort: number) => boolean;
  /** The versions of PROXY headers that `proxy-protocol` accepts. */
  readonly headers?: ProxyHeaderRules;
  /** The SO_MARK of the connections to endpoints, for `original-source`. Undefined if none is set. */
  readonly mark?: number | undefined;
}

export interface ProxyHeaderRules {
  /** Whether connections without a header are accepted, with the peer as their client. If false, they are closed. */
  readonly optional: boolean;
  readonly versions: ReadonlySet<1 | 2>;
}

export interface ChainSpec extends ChainService {
  /** The name of the chain, which is unique in its listener. It is generated if the configuration names none. */
  readonly name: string;
  readonly match: FilterChainMatch;
  readonly tls: DownstreamTlsSpec | undefined;
  readonly handshakeTimeoutMs: number;
}

export interface ChainService {
  readonly filters: readonly NetworkFilter[];
  /** The maximum number of concurrent connections. Further ones are closed at once. */
  readonly maxConnections: number;
  /** Whether the server name (SNI) names the cluster, as for traffic between networks. */
  readonly clusterByServerName: boolean;
  /**
   * The port for clusters that forward by name: a connection goes to the server name that it requests, at this port.
   * Undefined if the chain does not forward by name.
   */
  readonly forwardPort: number | undefined;
  /** Whether peers of raw TCP connections may identify themselves before the first byte. */
  readonly exchangesPeers: boolean;
  readonly serves:
    | { readonly kind: "http"; readonly http: HttpSpec }
    | { readonly kind: "tcp"; readonly tcp: TcpSpec }
    /** For HBONE, each CONNECT continues at an internal listener, which an endpoint of this cluster names. */
    | { readonly kind: "hbone"; readonly cluster: string; readonly accessLogs: readonly AccessLogSpec[] };
}
