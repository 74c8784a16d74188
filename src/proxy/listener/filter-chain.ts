import type { HttpSpec } from "../http/http-spec.ts";
import type { ChainSpec, ListenerSpec } from "./listener-spec.ts";
import { contained, type Clock, type Random } from "../../base/index.ts";
import type { HboneCutOff } from "../../dataplane/index.ts";
import type { ByteStream } from "../../net/index.ts";
import type { AccessLogSpec } from "../record/access-log-spec.ts";
import type { ConnectionInfo } from "../terms/connection-info.ts";
import type { NewRequestId } from "../terms/random-id.ts";
import { judgeConnection, type ConnectionVerdict } from "../filters/network-filter.ts";
import type { ExchangeRecord } from "../record/exchange-record.ts";
import { HttpListener } from "../connection/http-listener.ts";
import type { OwnMetadataWith } from "../peers/peer-metadata.ts";
import type { RouteTable } from "../routing/route-table.ts";
import { TcpProxy } from "../tcp/tcp-proxy.ts";
import type { TcpObserver } from "../tcp/tcp-flow.ts";
import type { Cluster } from "../upstream/cluster.ts";
import type { EndpointConnector } from "../upstream/endpoint.ts";
import { DeniedConnections } from "../tcp/denied-connections.ts";
import type { HeldConnection } from "./connection-room.ts";
import { HboneServer, type EndedTunnel, type EnterListener } from "./hbone-server.ts";

export interface ChainRuntime {
  readonly routeTable: (name: string) => RouteTable | undefined;
  readonly cluster: (name: string) => Cluster | undefined;
  readonly connector: EndpointConnector;
  readonly clock: Clock;
  readonly random: Random;
  readonly newRequestId: NewRequestId;
  readonly ownMetadata: OwnMetadataWith;
  readonly onTrouble: (message: string, error: unknown) => void;
  /** Called for ended exchanges and connections, with the specification that was in force at their end. */
  readonly observeHttp: (listener: ListenerSpec, chain: ChainSpec, http: HttpSpec, record: ExchangeRecord) => void;
  /** Called about every second for each open gRPC stream. */
  readonly observeStream: (listener: ListenerSpec, http: HttpSpec, record: ExchangeRecord) => void;
  readonly observeTcp: (listener: () => ListenerSpec, chain: () => ChainSpec) => TcpObserver;
  readonly observeTunnel: (logs: readonly AccessLogSpec[], tunnel: EndedTunnel) => void;
  /** Called for an HBONE connection that was closed because its peer flooded it. */
  readonly onCutOff: (reason: HboneCutOff) => void;
  readonly enter: EnterListener;
}

/**
 * A filter chain with its connections. Its specification may change while they are open, as long as the protocol stays
 * the same.
 */
export class FilterChainRuntime {
  readonly #runtime: ChainRuntime;
  readonly #listener: () => ListenerSpec;
  #spec: ChainSpec;
  #http: HttpListener | undefined;
  #tcp: TcpProxy | undefined;
  #hbone: HboneServer | undefined;
  readonly #denied: DeniedConnections;
  #draining = false;

  constructor(spec: ChainSpec, listener: () => ListenerSpec, runtime: ChainRuntime) {
    this.#spec = spec;
    this.#listener = listener;
    this.#runtime = runtime;
    this.#denied = new DeniedConnections(runtime.clock);
  }

  get spec(): ChainSpec {
    return this.#spec;
  }

  get connections(): number {
    return (this.#http?.connections ?? 0) + (this.#tcp?.connections ?? 0) + (this.#hbone?.connections ?? 0);
  }

  /** The open connections, the oldest first. */
  *clientConnections(): Generator<HeldConnection> {
    if (this.#http !== undefined) yield* this.#http.clientConnections();
    if (this.#tcp !== undefined) yield* this.#tcp.clientConnections();
    if (this.#hbone !== undefined) yield* this.#hbone.clientConnections();
  }

  get accepted(): number {
    return (this.#http?.accepted ?? 0) + (this.#tcp?.accepted ?? 0) + (this.#hbone?.accepted ?? 0);
  }

  get requests(): number {
    return this.#http?.requests ?? 0;
  }

  /**
   * Whether the chain can continue with another specification. Its protocol must stay the same, and so must its
   * transport, which decides who may connect.
   */
  accepts(spec: ChainSpec): boolean {
    return spec.serves.kind === this.#spec.serves.kind && admission(spec) === admission(this.#spec);
  }

  reconfigure(spec: ChainSpec): void {
    this.#spec = spec;
    if (spec.serves.kind === "http") this.#http?.reconfigure(spec.serves.http.connection);
  }

  /** Accepts a connection whose transport is ready. The stream is paused. */
  accept(stream: ByteStream, info: ConnectionInfo): void {
    const { maxConnections, filters } = this.#spec;
    const verdict = this.connections >= maxConnections ? "deny" : judgeConnection(filters, info);
    if (verdict === "allow") this.#serve(stream, info);
    else if (verdict === "deny") this.#denied.end(stream);
    else
      this.#serveLater(verdict, stream, info).catch((error: unknown) =>
        stream.destroy({ error: contained(error), reset: true }),
      );
  }

  /** Serves the connection after a filter has asked a service. The stream is paused meanwhile, and may end. */
  async #serveLater(verdict: Promise<ConnectionVerdict>, stream: ByteStream, info: ConnectionInfo): Promise<void> {
    let closed = false;
    stream.setHandler({
      data: () => undefined,
      end: () => undefined,
      drain: () => undefined,
      close: () => (closed = true),
    });
    const allowed = (await verdict) === "allow";
    if (closed) return;
    if (allowed) this.#serve(stream, info);
    else this.#denied.end(stream);
  }

  #serve(stream: ByteStream, info: ConnectionInfo): void {
    const { serves, clusterByServerName } = this.#spec;
    switch (serves.kind) {
      case "http":
        (this.#http ??= this.#createHttp(serves.http)).accept(stream, info);
        return;
      case "tcp":
        (this.#tcp ??= this.#createTcp()).accept(
          stream,
          info,
          clusterByServerName ? (info.serverName ?? info.tls?.serverName) : undefined,
        );
        return;
      case "hbone":
        (this.#hbone ??= this.#createHbone()).accept(stream, info);
    }
  }

  /** Makes HTTP responses announce that the connection will close, and HTTP/2 connections refuse new streams. */
  drain(): void {
    this.#draining = true;
    this.#http?.drain();
    this.#hbone?.drain();
  }

  closeIdle(quietMs: number): void {
    this.#http?.closeIdle(quietMs);
  }

  closeAll(): void {
    this.#http?.closeAll();
    this.#tcp?.closeAll();
    this.#hbone?.closeAll();
  }

  sweep(): void {
    this.#http?.sweep();
    this.#tcp?.sweep();
  }

  #createHttp(first: HttpSpec): HttpListener {
    const { cluster, clock, random, newRequestId, observeHttp, observeStream, routeTable, ownMetadata, onTrouble } =
      this.#runtime;
    // Read the specification for each request, so that a request uses the routes and access logs of its time.
    const current = (): HttpSpec => (this.#spec.serves.kind === "http" ? this.#spec.serves.http : first);
    const listener = new HttpListener({
      config: first.connection,
      routeTable: () => {
        const { routes } = current();
        return routes.kind === "inline" ? routes.table : routeTable(routes.name);
      },
      cluster,
      clock,
      random,
      newRequestId,
      ownMetadata,
      onTrouble,
      observe: (record) => observeHttp(this.#listener(), this.#spec, current(), record),
      observeStream: (record) => observeStream(this.#listener(), current(), record),
    });
    if (this.#draining) listener.drain();
    return listener;
  }

  #createTcp(): TcpProxy {
    const { cluster, connector, clock, random, observeTcp, ownMetadata } = this.#runtime;
    const first = this.#spec.serves;
    return new TcpProxy({
      spec: () => {
        const serves = this.#spec.serves.kind === "tcp" ? this.#spec.serves : first;
        if (serves.kind !== "tcp") throw new TypeError("a chain does not change what it serves");
        return serves.tcp;
      },
      cluster,
      forwardPort: () => this.#spec.forwardPort,
      connector,
      clock,
      random,
      ownMetadata,
      observer: observeTcp(this.#listener, () => this.#spec),
    });
  }

  #createHbone(): HboneServer {
    const { cluster, enter, clock, observeTunnel, onCutOff } = this.#runtime;
    const server = new HboneServer({
      cluster: () => (this.#spec.serves.kind === "hbone" ? cluster(this.#spec.serves.cluster) : undefined),
      enter,
      clock,
      onCutOff,
      observer: () => {
        const logs = this.#spec.serves.kind === "hbone" ? this.#spec.serves.accessLogs : [];
        return logs.length === 0 ? undefined : (tunnel) => observeTunnel(logs, tunnel);
      },
    });
    if (this.#draining) server.drain();
    return server;
  }
}

/** A text that identifies which clients the chain's TLS admits. A renewed certificate of our own does not change it. */
function admission({ tls }: ChainSpec): string {
  return tls === undefined
    ? "raw"
    : JSON.stringify([
        tls.clientCertificate,
        tls.roots,
        tls.subjectAltNames,
        tls.publicKeyHashes,
        tls.certificateHashes,
      ]);
}
