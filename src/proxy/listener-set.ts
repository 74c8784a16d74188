import { messageOf, type Clock, type Logger, type Random } from "../base/index.ts";
import type { CaptureIndex } from "./observe/log-format.ts";
import type { ListenerSpec } from "./config/listener-config.ts";
import type { HttpSpec } from "./config/http-connection-manager-config.ts";
import type { ExchangeObserver } from "./http/exchange-record.ts";
import { HttpListener } from "./http/http-listener.ts";
import type { Listen } from "./listen.ts";
import type { RouteTable } from "./routing/route-table.ts";
import { TcpListener, type TcpRecord } from "./tcp/tcp-listener.ts";
import type { Cluster } from "./upstream/cluster.ts";
import type { EndpointConnector } from "./upstream/endpoint.ts";

export interface ListenerSetOptions {
  readonly listen: Listen;
  readonly routeTable: (name: string) => RouteTable | undefined;
  readonly cluster: (name: string) => Cluster | undefined;
  readonly connector: EndpointConnector;
  readonly observeHttp: ExchangeObserver;
  readonly observeTcp: (record: TcpRecord) => void;
  readonly writeLog: (path: string, line: string) => void;
  readonly clock: Clock;
  readonly random: Random;
  readonly newRequestId: () => string;
  readonly log: Logger;
}

/** A listener that is configured, and where it listens. */
export interface ActiveListener {
  readonly name: string;
  readonly serving: HttpListener | TcpListener;
  spec: ListenerSpec;
  /** Why it does not listen, if it does not. */
  trouble: string | undefined;
  bound: boolean;
}

/** A connection of a removed listener is closed after this time without a request. */
const leavingQuietMs = 2000;

/** The listeners of this proxy. Configurations change under their connections; a removed one serves what it has. */
export class ListenerSet {
  readonly #options: ListenerSetOptions;
  readonly #active = new Map<string, ActiveListener>();
  readonly #leaving = new Set<HttpListener | TcpListener>();
  #draining = false;

  constructor(options: ListenerSetOptions) {
    this.#options = options;
  }

  listeners(): Iterable<ActiveListener> {
    return this.#active.values();
  }

  /** Connections of all listeners, also of those that were removed. */
  get connections(): number {
    return this.#all().reduce((sum, serving) => sum + serving.connections, 0);
  }

  /** When the last connection was accepted, on the steady clock; 0 before any. */
  get lastAcceptedMs(): number {
    return this.#all().reduce((last, serving) => (serving instanceof HttpListener ? Math.max(last, serving.lastAcceptedMs) : last), 0);
  }

  /** Names of listeners that do not listen yet, or whose routes have not come. */
  pending(): string[] {
    const out: string[] = [];
    for (const { name, spec, bound, trouble } of this.#active.values()) {
      if (!bound) out.push(`listener ${name}${trouble === undefined ? "" : `: ${trouble}`}`);
      else if (spec.serves.kind === "http" && spec.serves.http.routes.kind === "rds" && this.#options.routeTable(spec.serves.http.routes.name) === undefined) {
        out.push(`routes ${spec.serves.http.routes.name}`);
      }
    }
    return out;
  }

  /** Names of the route tables that listeners ask for. */
  routeNames(): Set<string> {
    const names = new Set<string>();
    for (const { spec } of this.#active.values()) {
      if (spec.serves.kind === "http" && spec.serves.http.routes.kind === "rds") names.add(spec.serves.http.routes.name);
    }
    return names;
  }

  set(spec: ListenerSpec): void {
    const known = this.#active.get(spec.name);
    if (known !== undefined && this.#reconfigure(known, spec)) {
      void this.#bind(known);
      return;
    }
    if (known !== undefined) this.remove(spec.name);
    const serving = this.#create(spec);
    const active: ActiveListener = { name: spec.name, spec, serving, trouble: undefined, bound: false };
    this.#active.set(spec.name, active);
    if (this.#draining && serving instanceof HttpListener) serving.drain();
    void this.#bind(active);
  }

  /** Stops listening; what is connected is served to its end. */
  remove(name: string): void {
    const known = this.#active.get(name);
    if (known === undefined) return;
    this.#active.delete(name);
    known.serving.stopListening();
    if (known.serving instanceof HttpListener) known.serving.drain();
    this.#leaving.add(known.serving);
  }

  /** Answers say `connection: close` from now on; listening goes on. */
  drain(): void {
    this.#draining = true;
    for (const serving of this.#all()) if (serving instanceof HttpListener) serving.drain();
  }

  stopListening(): void {
    for (const { serving } of this.#active.values()) serving.stopListening();
  }

  /** Closes HTTP connections without a request for that long. */
  closeQuiet(quietMs: number): void {
    for (const serving of this.#all()) if (serving instanceof HttpListener) serving.closeIdle(quietMs);
  }

  closeAll(): void {
    for (const serving of this.#all()) serving.closeAll();
  }

  /** To be called once a second. */
  sweep(): void {
    for (const serving of this.#all()) if (serving instanceof HttpListener) serving.sweep();
    for (const serving of this.#leaving) {
      if (serving instanceof HttpListener) serving.closeIdle(leavingQuietMs);
      if (serving.connections === 0) this.#leaving.delete(serving);
    }
  }

  #all(): (HttpListener | TcpListener)[] {
    return [...[...this.#active.values()].map(({ serving }) => serving), ...this.#leaving];
  }

  #reconfigure(known: ActiveListener, spec: ListenerSpec): boolean {
    const { serving } = known;
    if (serving instanceof HttpListener && spec.serves.kind === "http") {
      known.spec = spec;
      serving.reconfigure(spec.serves.http.connection);
      return true;
    }
    if (serving instanceof TcpListener && spec.serves.kind === "tcp") {
      known.spec = spec;
      serving.reroute(spec.serves.tcp);
      return true;
    }
    return false;
  }

  #create(spec: ListenerSpec): HttpListener | TcpListener {
    const { cluster, clock, random, newRequestId, connector, observeTcp } = this.#options;
    if (spec.serves.kind === "tcp") return new TcpListener({ routing: spec.serves.tcp, cluster, connector, clock, random, observe: observeTcp });
    // Routes and access logs are those of the specification at the time of the request.
    const current = (): HttpSpec | undefined => {
      const serves = this.#active.get(spec.name)?.spec.serves;
      return serves?.kind === "http" ? serves.http : undefined;
    };
    return new HttpListener({
      config: spec.serves.http.connection,
      routeTable: () => {
        const routes = (current() ?? (spec.serves.kind === "http" ? spec.serves.http : undefined))?.routes;
        if (routes === undefined) return undefined;
        return routes.kind === "inline" ? routes.table : this.#options.routeTable(routes.name);
      },
      cluster,
      clock,
      random,
      newRequestId,
      observe: (record) => {
        this.#options.observeHttp(record);
        const http = current();
        if (http === undefined || http.accessLogs.length === 0) return;
        const capture = captureIndex(http);
        for (const log of http.accessLogs) this.#options.writeLog(log.path, log.format.line(record, capture));
      },
    });
  }

  async #bind(active: ActiveListener): Promise<void> {
    const { log, listen } = this.#options;
    try {
      await active.serving.listen(listen, active.spec.addresses);
      active.bound = true;
      active.trouble = undefined;
    } catch (error) {
      active.trouble = messageOf(error);
      log.error("a listener cannot listen", { listener: active.name, error: messageOf(error) });
    }
  }
}

const captureIndexes = new WeakMap<HttpSpec, CaptureIndex>();

function captureIndex(http: HttpSpec): CaptureIndex {
  let index = captureIndexes.get(http);
  if (index === undefined) {
    const byName = (names: readonly string[]): ReadonlyMap<string, number> => new Map(names.map((name, at) => [name, at]));
    index = { request: byName(http.connection.requestCapture), response: byName(http.connection.responseCapture) };
    captureIndexes.set(http, index);
  }
  return index;
}
