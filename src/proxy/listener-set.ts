import type { ChainSpec, ListenerSpec } from "./listener/listener-spec.ts";
import { messageOf, userError } from "../base/index.ts";
import type { ByteStream, SocketAddress } from "../net/index.ts";
import type { ConnectionInfo } from "./terms/connection-info.ts";
import { ActiveListener, type ListenerRuntime } from "./listener/listener.ts";
import type { TlsSpec } from "./tls/tls-spec.ts";

export interface ListenerSetOptions extends Omit<ListenerRuntime, "standsFor" | "chains"> {
  readonly chains: Omit<ListenerRuntime["chains"], "enter">;
  /** Connections of a listener or chain that is gone are closed after this time. */
  readonly leavingLimitMs: number;
}

/** A connection of a removed listener or chain is closed after this time without a request. */
const leavingQuietMs = 2000;
/** A socket that could not be opened is tried again after this time. */
const rebindMs = 1000;

/**
 * The listeners of this proxy. A configuration may change under open connections. A removed listener serves the
 * connections that it has.
 */
export class ListenerSet {
  readonly #options: ListenerSetOptions;
  readonly #runtime: ListenerRuntime;
  readonly #active = new Map<string, ActiveListener>();
  /** Unbound listeners by the destination that they represent: `address port`. */
  #destinations = new Map<string, ActiveListener>();
  /** Removed listeners, with the time of their removal. */
  readonly #leaving = new Map<ActiveListener, number>();
  #draining: "nothing" | "inbound" | "all" = "nothing";
  #triedMs = 0;

  constructor(options: ListenerSetOptions) {
    this.#options = options;
    this.#runtime = {
      ...options,
      chains: { ...options.chains, enter: (name, stream, info) => this.enter(name, stream, info) },
      standsFor: (destination) => this.#standsFor(destination),
    };
  }

  listeners(): Iterable<ActiveListener> {
    return this.#active.values();
  }

  /** The number of connections of all listeners, removed ones included. */
  get connections(): number {
    return this.#all().reduce((sum, listener) => sum + listener.connections, 0);
  }

  /** Connections that are only served to their end, because the proxy drains or their listener or chain is removed. */
  get drainingConnections(): number {
    const active = [...this.#active.values()].reduce((sum, listener) => sum + listener.drainingConnections, 0);
    return [...this.#leaving.keys()].reduce((sum, listener) => sum + listener.connections, active);
  }

  /** When a draining listener last accepted a connection, on the steady clock. 0 if none has. */
  get lastAcceptedMs(): number {
    return this.#all().reduce(
      (last, listener) => (this.#drains(listener) ? Math.max(last, listener.lastAcceptedMs) : last),
      0,
    );
  }

  /** Names of listeners that do not listen yet, or whose routes have not arrived. */
  pending(): string[] {
    const out: string[] = [];
    for (const { name, bound, trouble } of this.#active.values())
      if (!bound) out.push(`listener ${name}${trouble === undefined ? "" : `: ${trouble}`}`);
    for (const name of this.routeNames())
      if (this.#options.chains.routeTable(name) === undefined) out.push(`routes ${name}`);
    return out;
  }

  /** The names of the route tables that listeners use. */
  routeNames(): Set<string> {
    return routeNamesOf(this.#chainSpecs());
  }

  /** Resources that connections of removed listeners and chains may still need. */
  leavingRouteNames(): Set<string> {
    const specs = [...this.#active.values()].flatMap((listener) => listener.leavingChains);
    for (const { spec, leavingChains } of this.#leaving.keys()) specs.push(...chainsOf(spec), ...leavingChains);
    return routeNamesOf(specs);
  }

  /** The TLS settings of all listeners' chains. */
  tlsSpecs(): TlsSpec[] {
    return this.#chainSpecs().flatMap(({ tls }) => (tls === undefined ? [] : [tls]));
  }

  /**
   * Applies a listener's configuration. Resolves when it listens. Rejects if it cannot, and retries in the background.
   */
  async set(spec: ListenerSpec): Promise<void> {
    const known = this.#active.get(spec.name);
    let listener = known;
    if (listener === undefined) {
      listener = new ActiveListener(spec, this.#runtime);
      this.#active.set(spec.name, listener);
      if (this.#drains(listener)) listener.drain();
    } else listener.reconfigure(spec);
    this.#indexDestinations();
    try {
      await listener.bind();
    } catch (error) {
      this.#options.log.error("a listener cannot listen", { listener: spec.name, error: messageOf(error) });
      throw userError("cannot-listen", `listener ${spec.name}: ${messageOf(error)}`, { cause: error });
    }
  }

  /** Stops listening. Open connections are served to their end. */
  remove(name: string): void {
    const known = this.#active.get(name);
    if (known === undefined) return;
    this.#active.delete(name);
    this.#indexDestinations();
    known.stopListening();
    known.drain();
    this.#leaving.set(known, this.#options.clock.steadyMs());
  }

  /** Passes a stream to an internal listener. False if there is none with that name. */
  enter(name: string, stream: ByteStream, info: ConnectionInfo): boolean {
    const listener = this.#active.get(name);
    if (listener?.spec.kind !== "internal") return false;
    listener.accept(stream, info);
    return true;
  }

  /**
   * Responses say `connection: close` from now on, while listening continues. With `inboundOnly`, outbound listeners do
   * not change.
   */
  drain(inboundOnly = false): void {
    this.#draining = inboundOnly ? "inbound" : "all";
    for (const listener of this.#all()) if (this.#drains(listener)) listener.drain();
  }

  /** Closes the sockets of draining listeners. */
  stopListening(): void {
    for (const listener of this.#active.values()) if (this.#drains(listener)) listener.stopListening();
  }

  /** Closes HTTP connections without a request for that long. */
  closeQuiet(quietMs: number): void {
    for (const listener of this.#all()) listener.closeIdle(quietMs);
  }

  closeAll(): void {
    for (const listener of this.#all()) {
      listener.stopListening();
      listener.closeAll();
    }
  }

  /** Must be called once a second. */
  sweep(): void {
    const nowMs = this.#options.clock.steadyMs();
    const { leavingLimitMs } = this.#options;
    for (const listener of this.#all()) listener.sweep(leavingQuietMs, leavingLimitMs);
    for (const [listener, sinceMs] of this.#leaving) {
      listener.closeIdle(leavingQuietMs);
      if (nowMs - sinceMs >= leavingLimitMs) listener.closeAll();
      if (listener.connections === 0) this.#leaving.delete(listener);
    }
    if (this.#draining !== "nothing" || nowMs - this.#triedMs < rebindMs) return;
    this.#triedMs = nowMs;
    for (const listener of this.#active.values()) if (!listener.bound) listener.bind().catch(() => undefined);
  }

  #drains(listener: ActiveListener): boolean {
    if (this.#draining === "nothing") return false;
    return this.#draining === "all" || listener.spec.direction !== "outbound";
  }

  #chainSpecs(): ChainSpec[] {
    return [...this.#active.values()].flatMap(({ spec }) => chainsOf(spec));
  }

  #all(): ActiveListener[] {
    return [...this.#active.values(), ...this.#leaving.keys()];
  }

  #indexDestinations(): void {
    this.#destinations = new Map();
    for (const listener of this.#active.values()) {
      const { spec } = listener;
      if (spec.kind === "internal" || spec.handsOff) continue;
      for (const { address, port } of spec.addresses) this.#destinations.set(`${address} ${port}`, listener);
    }
  }

  #standsFor({ address, port }: SocketAddress): ActiveListener | undefined {
    const any = address.includes(":") ? "::" : "0.0.0.0";
    return (
      this.#destinations.get(`${address} ${port}`) ??
      this.#destinations.get(`${any} ${port}`) ??
      (any === "0.0.0.0" ? this.#destinations.get(`:: ${port}`) : undefined)
    );
  }
}

function chainsOf(spec: ListenerSpec): readonly ChainSpec[] {
  return spec.defaultChain === undefined ? spec.chains : [...spec.chains, spec.defaultChain];
}

function routeNamesOf(chains: readonly ChainSpec[]): Set<string> {
  const names = new Set<string>();
  for (const { serves } of chains)
    if (serves.kind === "http" && serves.http.routes.kind === "rds") names.add(serves.http.routes.name);
  return names;
}
