import { transientError, type Clock, type Logger } from "../../base/index.ts";
import {
  connectWithin,
  HbonePool,
  hboneDialer,
  localProxyHeader,
  proxyHeader,
  proxyHeaderText,
  type CertificateSource,
} from "../../dataplane/index.ts";
import { connectTcp, mayMarkSockets, secureClient, type ByteStream, type ConnectOptions } from "../../net/index.ts";
import type { ConnectionInfo } from "../terms/connection-info.ts";
import { peerExchangeProtocol } from "../peers/peer-exchange.ts";
import { nameTrouble, peerTrouble } from "../tls/peer-verification.ts";
import type { TlsContexts } from "../tls/tls-contexts.ts";
import { isMeshTls, type UpstreamTlsSpec } from "../tls/tls-spec.ts";
import {
  sourceFor,
  type ConnectContext,
  type EndpointConfig,
  type EndpointConnector,
  type EndpointTransport,
  type ProxyHeaderVersion,
  type UpstreamStream,
} from "./endpoint.ts";
import type { OwnConnections } from "./own-connections.ts";

export interface MeshConnectorOptions {
  readonly certificates: CertificateSource;
  readonly contexts: TlsContexts;
  readonly clock: Clock;
  readonly identity: string;
  /** Headers of each CONNECT, such as `baggage`. */
  readonly tunnelHeaders: readonly (readonly [name: string, value: string])[];
  /**
   * The SO_MARK of outgoing connections, so that the redirect does not capture them. Absent if the process may not set
   * marks.
   */
  readonly mark?: number;
  /** Records each opened connection that leads to a port of this proxy itself, before anything is sent on it. */
  readonly ownConnections?: OwnConnections;
  /** Connects to an internal listener of this proxy. Returns undefined if there is none with the name. */
  readonly enter?: (listener: string, downstream: ConnectionInfo | undefined) => ByteStream | undefined;
  /**
   * Gets a message when the first tunnel opens: whether Serin's own code or OpenSSL encrypts the records of tunnels.
   */
  readonly log?: Pick<Logger, "info">;
}

type HboneTransport = Extract<EndpointTransport, { readonly kind: "hbone" }>;

/** The ALPN names that Istio's sidecars expect, by inner protocol. */
const meshAlpn: Readonly<Record<"http1" | "http2" | "alpn", readonly string[]>> = {
  http1: ["istio-http/1.1", "istio", "http/1.1"],
  http2: ["istio-h2", "istio", "h2"],
  alpn: ["istio-h2", "istio-http/1.1", "istio", "h2", "http/1.1"],
};

/**
 * Connects to endpoints in the way that each requires: directly, with TLS, or through an HBONE tunnel with this proxy's
 * identity.
 */
export class MeshConnector implements EndpointConnector {
  readonly #options: MeshConnectorOptions;
  readonly #pool: HbonePool;
  #mark: number | undefined | null = null;

  constructor(options: MeshConnectorOptions) {
    this.#options = options;
    const tellRecords = (text: string): void => options.log?.info(text);
    this.#pool = new HbonePool({ dial: hboneDialer(options.certificates, options.clock, tellRecords) });
  }

  get tunnelConnections(): number {
    return this.#pool.connections;
  }

  async connect(
    endpoint: EndpointConfig,
    timeoutMs: number,
    context: ConnectContext = { protocol: "http1" },
  ): Promise<UpstreamStream> {
    const { transport } = endpoint;
    const tls = transport.kind === "tls" ? transport.tls : endpoint.innerTls;
    if (tls !== undefined) return await this.#secure(endpoint, tls, timeoutMs, context);
    return await this.#open(endpoint, timeoutMs, context);
  }

  /** Opens the connection to which TLS is then added, and sends its first bytes if there are any. */
  async #open(endpoint: EndpointConfig, timeoutMs: number, context: ConnectContext): Promise<UpstreamStream> {
    const stream = await this.#reach(endpoint, timeoutMs, context);
    if (endpoint.proxyHeader !== undefined) stream.write(headerOf(endpoint.proxyHeader, stream, context.downstream));
    return stream;
  }

  async #reach(endpoint: EndpointConfig, timeoutMs: number, context: ConnectContext): Promise<UpstreamStream> {
    const { transport } = endpoint;
    switch (transport.kind) {
      case "plain":
      case "tls":
        return await this.#dial(endpoint, timeoutMs, context);
      case "hbone":
        return await this.#tunnel(transport, timeoutMs);
      case "internal": {
        const stream = this.#options.enter?.(transport.listener, context.downstream);
        if (stream === undefined)
          throw transientError("no-listener", `there is no internal listener ${transport.listener}`);
        return stream;
      }
    }
  }

  /** Closes idle tunnels. Tunnels in use continue. */
  close(): void {
    this.#pool.close();
  }

  async #tunnel(
    { address, port, expectedIdentities, authority, within }: HboneTransport,
    timeoutMs: number,
  ): Promise<UpstreamStream> {
    const { identity: sourceIdentity, tunnelHeaders: headers, certificates, clock } = this.#options;
    const outer = await this.#pool.connect({
      sourceIdentity,
      address,
      port,
      expectedIdentities,
      authority,
      headers,
      timeoutMs,
      ...this.#marked(),
    });
    // Accept any identity of our trust domains: only the other network knows which server is at the end of the inner
    // tunnel.
    return within === true
      ? await connectWithin(outer, certificates, {
          sourceIdentity,
          expectedIdentities: [],
          authority,
          headers,
          timeoutMs,
          clock,
        })
      : outer;
  }

  async #dial(endpoint: EndpointConfig, timeoutMs: number, context: ConnectContext): Promise<ByteStream> {
    const { address: first, alternatives } = endpoint;
    if (alternatives === undefined) return await this.#dialAddress(endpoint, timeoutMs, context);
    const { connectFirst } = await import("./address-race.ts");
    return await connectFirst({
      addresses: [first, ...alternatives],
      connect: (address, leftMs, signal) => this.#dialAddress({ ...endpoint, address }, leftMs, context, signal),
      timeoutMs,
      clock: this.#options.clock,
    });
  }

  async #dialAddress(
    endpoint: EndpointConfig,
    timeoutMs: number,
    context: ConnectContext,
    signal?: AbortSignal,
  ): Promise<ByteStream> {
    const { address, port, keepalive } = endpoint;
    const source = sourceFor(endpoint, context.source ?? context.downstream?.originalSource);
    const sourceAddress = source?.address ?? endpoint.sourceAddress;
    const options: Partial<ConnectOptions> = {
      ...(sourceAddress === undefined ? {} : { sourceAddress }),
      ...(keepalive === undefined ? {} : { keepalive }),
      ...(source?.mark === undefined ? this.#marked() : { mark: source.mark }),
      ...(signal === undefined ? {} : { signal }),
    };
    const stream = await connectTcp({ address, port, timeoutMs, ...options });
    this.#options.ownConnections?.add(stream);
    return stream;
  }

  #marked(): { readonly mark?: number } {
    if (this.#mark === null) {
      const { mark } = this.#options;
      this.#mark = mark !== undefined && mayMarkSockets(mark) ? mark : undefined;
    }
    return this.#mark === undefined ? {} : { mark: this.#mark };
  }

  async #secure(
    endpoint: EndpointConfig,
    tls: UpstreamTlsSpec,
    timeoutMs: number,
    context: ConnectContext,
  ): Promise<UpstreamStream> {
    const material = await this.#options.contexts.get(tls, timeoutMs);
    const stream = await this.#open(endpoint, timeoutMs, context);
    const servername = serverNameOf(endpoint, tls);
    const secured: UpstreamStream = await secureClient(stream, material, {
      alpn: alpnOf(tls, context),
      alpnOptional: true,
      ...(servername === undefined ? {} : { servername }),
      timeoutMs,
      verify: { by: tls.roots === undefined ? "none" : "chain" },
      refuse: (certificate, onlyUris) =>
        peerTrouble(certificate, tls, onlyUris) ??
        (tls.verifiesServerName ? nameTrouble(certificate, servername, onlyUris) : undefined),
    });
    // A tunnel that drains also retires the connections inside it.
    return "retiring" in stream ? Object.defineProperty(secured, "retiring", { get: () => stream.retiring }) : secured;
  }
}

/**
 * The PROXY header. For a request of the proxy itself there is no client. Version 1 can express that only by naming the
 * connection's own addresses.
 */
function headerOf(version: ProxyHeaderVersion, stream: ByteStream, downstream: ConnectionInfo | undefined): Buffer {
  if (version === "v2")
    return downstream === undefined ? localProxyHeader() : proxyHeader(downstream.remote, downstream.local, "");
  return downstream === undefined
    ? proxyHeaderText(stream.local, stream.remote)
    : proxyHeaderText(downstream.remote, downstream.local);
}

function alpnOf(tls: UpstreamTlsSpec, { protocol, exchangesPeers = false }: ConnectContext): readonly string[] {
  if (isMeshTls(tls) && protocol !== "tcp") return meshAlpn[protocol];
  if (protocol === "tcp")
    return tls.alpnProtocols.filter((offered) => exchangesPeers || offered !== peerExchangeProtocol);
  if (protocol === "http2") return tls.alpnProtocols.length === 0 ? ["h2"] : tls.alpnProtocols;
  if (protocol === "alpn") return tls.alpnProtocols.length === 0 ? ["h2", "http/1.1"] : tls.alpnProtocols;
  // Offer HTTP/1.1 if the configuration offers no protocol, as Envoy does, because some servers insist on ALPN.
  return tls.alpnProtocols.length === 0 ? ["http/1.1"] : tls.alpnProtocols.filter((offered) => offered !== "h2");
}

/** The SNI of a connection to the endpoint. Undefined if none is sent. */
export function serverNameOf(
  endpoint: Pick<EndpointConfig, "hostname">,
  tls: Pick<UpstreamTlsSpec, "serverName" | "hostnameAsServerName" | "fallbackServerName">,
): string | undefined {
  return tls.serverName ?? (tls.hostnameAsServerName ? (endpoint.hostname ?? tls.fallbackServerName) : undefined);
}
