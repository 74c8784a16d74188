import type { HttpSpec } from "../http/http-spec.ts";
import type { ChainSpec, ListenerSpec } from "../listener/listener-spec.ts";
import type { Clock } from "../../base/index.ts";
import type { AccessLog, MetricsRegistry } from "../../telemetry/index.ts";
import type { AccessLogSpec } from "../record/access-log-spec.ts";
import { addressText } from "../terms/address-text.ts";
import type { ConnectionInfo } from "../terms/connection-info.ts";
import type { ExchangeRecord } from "../record/exchange-record.ts";
import type { EndedTunnel } from "../listener/hbone-server.ts";
import { responseFlags } from "../terms/response-flags.ts";
import { beginFlow, type TcpFlow, type TcpObserver } from "../tcp/tcp-flow.ts";
import { EndedExchanges } from "./ended-exchanges.ts";
import type { Reporter } from "./istio-labels.ts";
import type { IstioMetrics } from "./istio-metrics.ts";
import { noCapture, type CaptureIndex } from "../record/capture-index.ts";

export interface ConnectionObserverOptions {
  readonly role: "router" | "sidecar" | "waypoint";
  readonly metrics: IstioMetrics;
  readonly registry: Pick<MetricsRegistry, "onCollect">;
  /** Returns the log that writes to a file. Undefined if its lines are dropped. */
  readonly accessLog: (path: string) => AccessLog | undefined;
  readonly clock: Clock;
}

export class ConnectionObserver {
  readonly #options: ConnectionObserverOptions;
  readonly #ended: EndedExchanges;

  constructor(options: ConnectionObserverOptions) {
    this.#options = options;
    const { metrics, clock } = options;
    this.#ended = new EndedExchanges(
      [
        (listener, http, record) => {
          if (http.stats !== undefined) metrics.observe(record, this.#reporter(listener), http.stats, http.capture);
          else if (record.isGrpc) metrics.forget(record);
        },
        finishTrace,
        (_listener, http, record) => {
          if (http.accessLogs.length > 0) this.#write(http.accessLogs, record, http.capture);
        },
      ],
      clock,
    );
    options.registry.onCollect(() => this.flush());
  }

  /** Reports an exchange that has ended. It is reported together with others: see {@link EndedExchanges}. */
  exchange(listener: ListenerSpec, http: HttpSpec, record: ExchangeRecord): void {
    this.#ended.add(listener, http, record);
  }

  /** Reports all exchanges that have ended. Must be called before logs and exporters are closed. */
  flush(): void {
    this.#ended.flush();
  }

  /** Reports an open gRPC stream. Must be called about every second. */
  stream(listener: ListenerSpec, http: HttpSpec, record: ExchangeRecord): void {
    const { metrics, clock } = this.#options;
    if (http.stats !== undefined)
      metrics.streams(record, this.#reporter(listener), http.stats, http.capture, clock.steadyMs());
  }

  tcp(listener: () => ListenerSpec, chain: () => ChainSpec): TcpObserver {
    const { metrics } = this.#options;
    return {
      opened: (flow) => {
        const { serves } = chain();
        if (serves.kind === "tcp" && serves.tcp.stats !== undefined)
          metrics.opened(flow, this.#reporter(listener()), serves.tcp.stats, this.#recordOf(flow));
      },
      moved: (flow) => metrics.moved(flow),
      closed: (flow) => {
        metrics.closed(flow);
        const { serves } = chain();
        if (serves.kind === "tcp" && serves.tcp.accessLogs.length > 0)
          this.#write(serves.tcp.accessLogs, this.#recordOf(flow), noCapture);
      },
    };
  }

  /** Reports a CONNECT that has ended. The connection inside it is reported separately. */
  tunnel(logs: readonly AccessLogSpec[], tunnel: EndedTunnel, requestId: string): void {
    const { connection, authority, durationMs, receivedBytes, sentBytes } = tunnel;
    const flow = { ...beginFlow(connection, 0, "", undefined), receivedBytes, sentBytes, durationMs };
    this.#write(
      logs,
      {
        ...this.#recordOf(flow),
        method: "CONNECT",
        protocol: "HTTP/2",
        status: 200,
        details: "via_upstream",
        authority,
        requestId,
      },
      noCapture,
    );
  }

  /** Reports a connection that matched no filter chain, to the listener's own access logs. */
  refused(listener: ListenerSpec, connection: ConnectionInfo): void {
    if (listener.accessLogs.length === 0) return;
    const flow = { ...beginFlow(connection, 0, "", undefined), flag: responseFlags.noRouteFound };
    this.#write(listener.accessLogs, { ...this.#recordOf(flow), details: "filter_chain_not_found" }, noCapture);
  }

  #reporter(listener: ListenerSpec): Reporter {
    if (this.#options.role === "waypoint") return "waypoint";
    return listener.direction === "inbound" ? "destination" : "source";
  }

  #write(logs: readonly AccessLogSpec[], record: ExchangeRecord, capture: CaptureIndex): void {
    for (const log of logs) {
      if (log.wants?.(record, capture) === false) continue;
      if (log.emit !== undefined) {
        log.emit(record, capture);
        continue;
      }
      const file = this.#options.accessLog(log.path);
      if (file !== undefined) log.format.write(file, record, capture);
    }
  }

  #recordOf(flow: TcpFlow): ExchangeRecord {
    const { connection, endpoint, cluster } = flow;
    return {
      startedMs: this.#options.clock.nowMs() - flow.durationMs,
      durationMs: flow.durationMs,
      method: "",
      pathAndQuery: "",
      protocol: "" as ExchangeRecord["protocol"],
      authority: "",
      status: 0,
      flag: flow.flag,
      details: "",
      isHealthCheck: false,
      transportFailure: flow.transportFailure,
      receivedBytes: flow.receivedBytes,
      sentBytes: flow.sentBytes,
      upstreamServiceMs: -1,
      answeredAfterMs: -1,
      requestId: "",
      forwardedFor: "",
      userAgent: "",
      routeName: "",
      operation: "",
      retries: 0,
      trace: undefined,
      cluster,
      endpoint,
      upstreamLocal: flow.upstreamLocal,
      downstreamLocal: addressText(connection.local),
      downstreamRemote: addressText(connection.remote),
      grpcStatus: "",
      trailers: [],
      capturedRequest: [],
      capturedResponse: [],
      connection,
      requestedServerName: connection.serverName ?? connection.tls?.serverName ?? "",
      downstreamPeer: connection.peer,
      upstreamPeer: flow.upstreamPeer,
      isGrpc: false,
      requestMessages: 0,
      responseMessages: 0,
      metadata: undefined,
    };
  }
}

function finishTrace({ direction }: ListenerSpec, { connection, capture }: HttpSpec, record: ExchangeRecord): void {
  const { trace } = record;
  if (trace?.sampled === true)
    connection.tracing?.finish(record, trace, direction === "outbound" ? "egress" : "ingress", capture);
}
