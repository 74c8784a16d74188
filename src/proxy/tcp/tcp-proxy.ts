import { beginFlow, type TcpFlow, type TcpObserver } from "./tcp-flow.ts";
import type { TcpSpec } from "./tcp-spec.ts";
import {
  contained,
  containing,
  LinkedList,
  messageOf,
  transientError,
  unlisted,
  userError,
  type Clock,
  type Linked,
  type Random,
} from "../../base/index.ts";
import { openSingleTunnel, relay } from "../../dataplane/index.ts";
import type { ByteStream, ByteStreamHandler, SocketAddress } from "../../net/index.ts";
import { addressText } from "../terms/address-text.ts";
import type { ConnectionInfo } from "../terms/connection-info.ts";
import { DeniedConnections } from "./denied-connections.ts";
import { responseFlags } from "../terms/response-flags.ts";
import type { OwnMetadata, OwnMetadataWith } from "../peers/peer-metadata.ts";
import { defaultReportingMs } from "../record/stats-rules.ts";
import { hashText } from "../terms/hash-text.ts";
import { openHttpTunnel, type HttpTunnelSpec } from "./http-tunnel.ts";
import { encodePeerExchange, exchangePeers, peerExchangeProtocol } from "../peers/peer-exchange.ts";
import type { Cluster, Endpoint, UpstreamProtocol } from "../upstream/cluster.ts";
import type { ForwardNames } from "../upstream/forward-names.ts";
import {
  carriesHttp2,
  type EndpointConfig,
  type EndpointConnector,
  type UpstreamStream,
} from "../upstream/endpoint.ts";
import { connectFailureOf, type WireProtocol } from "../upstream/pool-user.ts";

export interface TcpProxyOptions {
  /** Returns the settings in force. Called for each connection. */
  readonly spec: () => TcpSpec;
  readonly cluster: (name: string) => Cluster | undefined;
  /** The port for a cluster that forwards to the name which the client requests. */
  readonly forwardPort?: () => number | undefined;
  readonly connector: EndpointConnector;
  readonly clock: Clock;
  readonly random: Random;
  readonly ownMetadata?: OwnMetadataWith | undefined;
  readonly observer: TcpObserver;
}

interface LiveFlow extends Linked<LiveFlow> {
  readonly flow: TcpFlow;
  readonly stream: ByteStream;
  lastByteMs: number;
  movedMs: number;
}

/** A stream on which the peer's metadata is still awaited. */
interface Greeting extends Linked<Greeting> {
  readonly stream: ByteStream;
}

/** How long a client that has agreed to exchange metadata may take, in milliseconds. */
const exchangeTimeoutMs = 10_000;

/**
 * The protocol of a tunnel to a cluster's endpoints. If the cluster follows the client's protocol, the tunnel uses
 * HTTP/2, as in Envoy: a raw TCP connection has no protocol to follow.
 */
const tunnelProtocols: Readonly<Record<UpstreamProtocol, WireProtocol>> = {
  http1: "http1",
  http2: "http2",
  downstream: "http2",
  alpn: "alpn",
};

const nameless: OwnMetadata = { id: "", value: "" };

const ignoring: ByteStreamHandler = {
  data: () => undefined,
  end: () => undefined,
  drain: () => undefined,
  close: () => undefined,
};

export class TcpProxy {
  readonly #options: TcpProxyOptions;
  readonly #live = new LinkedList<LiveFlow>();
  readonly #greeting = new LinkedList<Greeting>();
  readonly #denied: DeniedConnections;
  readonly #greetings = new WeakMap<OwnMetadata, Buffer>();
  accepted = 0;

  constructor(options: TcpProxyOptions) {
    this.#options = options;
    this.#denied = new DeniedConnections(options.clock);
  }

  get connections(): number {
    return this.#live.size + this.#greeting.size;
  }

  /** Serves a paused stream. `clusterName` is set if the connection, and not the configuration, names the cluster. */
  accept(stream: ByteStream, connection: ConnectionInfo, clusterName?: string): void {
    this.accepted += 1;
    const served =
      connection.tls?.alpnProtocol === peerExchangeProtocol
        ? this.#greet(stream, connection, clusterName)
        : this.#serve(stream, connection, clusterName ?? this.#choose());
    served.catch((error: unknown) => stream.destroy({ error: contained(error), reset: true }));
  }

  /** The open connections: first those that still exchange metadata, then the others, each with the oldest first. */
  *clientConnections(): Generator<{ readonly peer: string; abort(): void }> {
    for (const { stream } of this.#greeting) yield { peer: stream.remote.address, abort: () => stream.destroy() };
    for (const { flow, stream } of this.#live)
      yield { peer: flow.connection.remote.address, abort: () => stream.destroy() };
  }

  closeAll(): void {
    for (const { stream } of this.#greeting) stream.destroy();
    for (const { stream } of this.#live) stream.destroy();
  }

  /** Reports the bytes of open connections, and closes those that are idle or old. Must be called once a second. */
  sweep(): void {
    const nowMs = this.#options.clock.steadyMs();
    const { idleTimeoutMs, maxDurationMs, stats } = this.#options.spec();
    const reportMs = stats?.reportingMs ?? defaultReportingMs;
    for (const live of this.#live) {
      if (live.lastByteMs > live.movedMs && nowMs - live.movedMs >= reportMs)
        containing(() => this.#report(live, nowMs));
      const idle = idleTimeoutMs > 0 && nowMs - live.lastByteMs >= idleTimeoutMs;
      const old = maxDurationMs > 0 && nowMs - live.flow.startedMs >= maxDurationMs;
      if (!idle && !old) continue;
      live.flow.flag = old ? responseFlags.none : responseFlags.streamIdleTimeout;
      live.stream.destroy();
    }
  }

  async #greet(stream: ByteStream, connection: ConnectionInfo, clusterName: string | undefined): Promise<void> {
    const greeted: Greeting = { stream, ...unlisted };
    this.#greeting.add(greeted);
    const { peerLabelNames } = this.#options.spec();
    const greeting = this.#ownGreeting(peerLabelNames);
    // Treat a client whose connection fails like one that ends it.
    const exchanged = await exchangePeers(stream, greeting, exchangeTimeoutMs, peerLabelNames).catch(() => undefined);
    this.#greeting.remove(greeted);
    if (exchanged === undefined) return;
    await this.#serve(
      exchanged.stream,
      exchanged.peer === undefined ? connection : { ...connection, peer: exchanged.peer },
      clusterName ?? this.#choose(),
    );
  }

  #ownGreeting(labelNames: readonly string[]): Buffer {
    const own = this.#options.ownMetadata?.(labelNames) ?? nameless;
    let greeting = this.#greetings.get(own);
    if (greeting === undefined) this.#greetings.set(own, (greeting = encodePeerExchange(own)));
    return greeting;
  }

  async #serve(stream: ByteStream, connection: ConnectionInfo, clusterName: string): Promise<void> {
    const startedMs = this.#options.clock.steadyMs();
    const cluster = this.#options.cluster(clusterName);
    const flow = beginFlow(connection, startedMs, clusterName, cluster);
    const live: LiveFlow = { flow, stream, lastByteMs: startedMs, movedMs: startedMs, ...unlisted };
    this.#live.add(live);
    try {
      await this.#serveFlow(live);
    } finally {
      this.#live.remove(live);
    }
  }

  async #serveFlow(live: LiveFlow): Promise<void> {
    const { clock, observer } = this.#options;
    const { flow, stream } = live;
    let gone = false;
    stream.setHandler({ ...ignoring, close: () => (gone = true) });
    const upstream = await this.#connect(flow);
    observer.opened(flow);
    if (upstream === undefined || upstream === "failed") stream.destroy({ reset: true });
    else if (upstream === "ended") this.#denied.end(stream);
    else if (gone) upstream.destroy();
    else await this.#relay(live, upstream);
    if (upstream !== undefined) flow.endpoint?.endRelay();
    this.#report(live, clock.steadyMs());
    observer.closed(flow);
  }

  async #relay(live: LiveFlow, upstream: ByteStream): Promise<void> {
    const { flow, stream } = live;
    flow.upstreamLocal = addressText(upstream.local);
    const { clock } = this.#options;
    const result = await relay(stream, upstream, {
      onForward: (bytes) => {
        flow.receivedBytes += bytes;
        live.lastByteMs = clock.steadyMs();
      },
      onBackward: (bytes) => {
        flow.sentBytes += bytes;
        live.lastByteMs = clock.steadyMs();
      },
    });
    if (result.error !== undefined && flow.flag === responseFlags.none && result.failed === "second") {
      flow.flag = responseFlags.upstreamConnectionTermination;
      flow.transportFailure = result.error.message;
    }
  }

  #report(live: LiveFlow, nowMs: number): void {
    live.movedMs = nowMs;
    live.flow.durationMs = nowMs - live.flow.startedMs;
    this.#options.observer.moved(live.flow);
  }

  /**
   * Connects to an endpoint of the flow's cluster. Returns undefined if no endpoint can be reached, and then stores the
   * reason in the flow. {@link #introduce} describes `ended` and `failed`.
   */
  async #connect(flow: TcpFlow): Promise<ByteStream | "ended" | "failed" | undefined> {
    const first = flow.cluster?.firstEndpoints();
    if (first !== undefined) {
      await first;
      // Look the cluster up again, because it may have been replaced meanwhile.
      flow.cluster = this.#options.cluster(flow.clusterName);
    }
    const { cluster } = flow;
    if (cluster === undefined) {
      flow.flag = responseFlags.noClusterFound;
      return undefined;
    }
    const forwarded = cluster.names === undefined ? undefined : await this.#forwardTo(cluster.names, flow);
    if (cluster.names !== undefined && forwarded === undefined) return undefined;
    const { connectAttempts, hashesSource } = this.#options.spec();
    const attempts = Math.max(1, connectAttempts);
    const hash = hashesSource ? hashText(flow.connection.remote.address) : undefined;
    for (let attempt = 1; attempt <= attempts; attempt += 1) {
      const endpoint =
        cluster.config.originalDestination === undefined
          ? cluster.pick(undefined, 1, hash)
          : cluster.forDestination(forwarded ?? flow.connection.local, forwarded?.hostname);
      if (endpoint === undefined) {
        cluster.counters.noHealthyEndpoint += 1;
        flow.flag = responseFlags.noHealthyUpstream;
        return undefined;
      }
      flow.endpoint = endpoint;
      if (isFull(cluster)) {
        cluster.counters.overflow += 1;
        flow.flag = responseFlags.upstreamOverflow;
        return undefined;
      }
      const stream = await this.#dial(endpoint, flow);
      if (stream !== undefined) return stream;
    }
    return undefined;
  }

  /**
   * Resolves the server name that the client sent. Returns undefined if the client sent none, or if it does not
   * resolve, and then stores the reason in the flow.
   */
  async #forwardTo(
    names: ForwardNames,
    flow: TcpFlow,
  ): Promise<(SocketAddress & { readonly hostname: string }) | undefined> {
    const hostname = (flow.connection.serverName ?? flow.connection.tls?.serverName ?? "").toLowerCase();
    const port = this.#options.forwardPort?.() ?? names.rules.defaultPort;
    try {
      if (hostname === "") throw userError("no-server-name", "the client did not name a server");
      return { address: await names.addressOf(hostname, flow.connection.remote.address), port, hostname };
    } catch (error) {
      flow.flag = responseFlags.dnsResolutionFailed;
      flow.transportFailure = messageOf(error);
      return undefined;
    }
  }

  async #dial(endpoint: Endpoint, flow: TcpFlow): Promise<ByteStream | "ended" | "failed" | undefined> {
    endpoint.beginRelay();
    try {
      const { connectTimeoutMs } = endpoint.cluster.config.limits;
      const { tunnel } = this.#options.spec();
      const { exchangesPeers, peerLabelNames, upstreamProtocol } = endpoint.cluster.config;
      const protocol = tunnel === undefined ? "tcp" : tunnelProtocols[upstreamProtocol];
      const direct = await this.#options.connector.connect(endpoint.config, connectTimeoutMs, {
        protocol,
        downstream: flow.connection,
        exchangesPeers,
      });
      endpoint.knowPeer(direct.peerIdentity);
      const stream =
        tunnel === undefined
          ? await this.#introduce(direct, flow, connectTimeoutMs, peerLabelNames)
          : await (carriesHttp2(direct, protocol)
              ? this.#openHttp2Tunnel(direct, tunnel, endpoint.config, connectTimeoutMs)
              : openHttpTunnel(direct, tunnel, connectTimeoutMs));
      endpoint.report({ kind: "connected" });
      endpoint.counters.connectionsOpened += 1;
      // Count the connection as one request, as Envoy's statistics do.
      endpoint.counters.requests += 1;
      endpoint.cluster.counters.requests += 1;
      if (stream === "failed") return stream;
      flow.flag = stream === "ended" ? responseFlags.upstreamConnectionTermination : responseFlags.none;
      flow.transportFailure = stream === "ended" ? "the endpoint closed before it identified itself" : "";
      return stream;
    } catch (error) {
      endpoint.endRelay();
      endpoint.counters.connectFailures += 1;
      const { kind, message } = connectFailureOf(error);
      endpoint.report({ kind: kind === "timeout" ? kind : "connect-failure" });
      flow.flag = responseFlags.upstreamConnectionFailure;
      flow.transportFailure = message;
      return undefined;
    }
  }

  async #openHttp2Tunnel(
    direct: UpstreamStream,
    { authority, postPath }: HttpTunnelSpec,
    { transport, innerTls }: EndpointConfig,
    timeoutMs: number,
  ): Promise<ByteStream> {
    const scheme = transport.kind === "tls" || innerTls !== undefined ? "https" : "http";
    try {
      return await openSingleTunnel(direct, {
        authority,
        post: postPath === undefined ? undefined : { scheme, path: postPath },
        timeoutMs,
        clock: this.#options.clock,
      });
    } catch (error) {
      throw transientError("tunnel-refused", `the proxy did not open a tunnel to ${authority}: ${messageOf(error)}`);
    }
  }

  /**
   * Exchanges metadata with the endpoint. Returns `ended` if the endpoint accepted the connection and closed it before
   * it sent its metadata, which happens if its policy denies this proxy. Returns `failed` if the connection broke, for
   * example by a TLS alert that refuses our certificate, and then stores the reason in the flow. In both cases, the
   * client sees the same as without the exchange.
   */
  async #introduce(
    direct: UpstreamStream,
    flow: TcpFlow,
    timeoutMs: number,
    labelNames: readonly string[],
  ): Promise<ByteStream | "ended" | "failed"> {
    if (direct.alpnProtocol !== peerExchangeProtocol) return direct;
    try {
      const exchanged = await exchangePeers(direct, this.#ownGreeting(labelNames), timeoutMs, labelNames);
      if (exchanged === undefined) return "ended";
      flow.upstreamPeer = exchanged.peer;
      return exchanged.stream;
    } catch (error) {
      flow.flag = responseFlags.upstreamConnectionTermination;
      flow.transportFailure = messageOf(error);
      return "failed";
    }
  }

  #choose(): string {
    const { clusters, totalWeight } = this.#options.spec();
    let rest = this.#options.random() * totalWeight;
    for (const entry of clusters) {
      rest -= entry.weight;
      if (rest < 0) return entry.cluster;
    }
    return clusters[0]?.cluster ?? "";
  }
}

function isFull(cluster: Cluster): boolean {
  const { maxConnections } = cluster.config.limits;
  if (maxConnections >= 0xffff_ffff) return false;
  const { relayed } = cluster.breaker;
  let open = relayed.open - relayed.active;
  for (const endpoint of cluster.endpoints()) open += endpoint.activeConnections;
  return open >= maxConnections;
}
