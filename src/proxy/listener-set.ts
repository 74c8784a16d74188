import type { ChainSpec, ListenerSpec } from "./listener/listener-spec.ts";
import { messageOf, userError } from "../base/index.ts";
import type { ByteStream, SocketAddress } from "../net/index.ts";
import type { Discovery } from "./filters/http-filter.ts";
import type { ConnectionInfo } from "./terms/connection-info.ts";
import { ConnectionRoom, type HeldConnection } from "./listener/connection-room.ts";
import { ActiveListener, type ListenerRuntime } from "./listener/listener.ts";
import type { RouteTable } from "./routing/route-table.ts";
import type { TlsContexts } from "./tls/tls-contexts.ts";
import type { TlsSpec } from "./tls/tls-spec.ts";

export interface ListenerSetOptions extends Omit<ListenerRuntime, "standsFor" | "chains" | "admits"> {
  /** The number of connections that all listeners may hold. */
  readonly maxConnections: number;
  readonly chains: Omit<ListenerRuntime["chains"], "enter">;
  /** The time between the removal of a listener or chain and the end of its last connections. */
  readonly leavingLimitMs: number;
  /** What the first listeners wait for in addition to their own resources. */
  readonly startNeeds: () => readonly string[];
  /** Called when a listener no longer needs the resources of its previous specification. */
  readonly replaced: () => void;
}

/** A specification that is not in force yet, because a resource that it names has not arrived. */
interface Waiting {
  readonly spec: ListenerSpec;
  readonly limit: Disposable;
  over: boolean;
}

interface Removal {
  readonly atMs: number;
  /** Whether the listener still accepts connections after its removal, for {@link ListenerRuntime.lingerMs}. */
  accepts: boolean;
}

/** The idle time after which an HTTP connection of a removed listener or chain is closed. */
const leavingQuietMs = 2000;
/** How long a specification waits for the resources that it names: Envoy's default of `initial_fetch_timeout`. */
export const firstFetchLimitMs = 15_000;
/** The time after which the proxy tries again to open a socket. */
const rebindMs = 1000;

/**
 * The listeners of this proxy. A listener's configuration may change under open connections. A removed listener serves
 * the connections that it still has.
 */
export class ListenerSet {
  readonly #options: ListenerSetOptions;
  readonly #runtime: ListenerRuntime;
  readonly #active = new Map<string, ActiveListener>();
  /** The `virtual` listeners by the destination that they represent, as `address port`. */
  #destinations = new Map<string, ActiveListener>();
  readonly #leaving = new Map<ActiveListener, Removal>();
  /**
   * The specifications that wait, by the listener's name. A listener that already serves continues unchanged meanwhile.
   */
  readonly #waiting = new Map<string, Waiting>();
  /**
   * Whether the first listeners accept connections. They begin together, because some hand connections over to others.
   */
  #started = false;
  #draining: "nothing" | "inbound" | "all" = "nothing";
  #triedMs = 0;

  constructor(options: ListenerSetOptions) {
    this.#options = options;
    const held = (): HeldConnection[] => this.#all().flatMap((listener) => [...listener.clientConnections()]);
    const room = new ConnectionRoom({ max: options.maxConnections, held, clock: options.clock });
    this.#runtime = {
      ...options,
      chains: { ...options.chains, enter: (name, stream, info) => this.enter(name, stream, info) },
      standsFor: (destination) => this.#standsFor(destination),
      admits: (address) => room.admits(address),
    };
  }

  listeners(): Iterable<ActiveListener> {
    return this.#active.values();
  }

  get accepting(): number {
    return [...this.#leaving.values()].reduce((sum, { accepts }) => sum + (accepts ? 1 : 0), this.#active.size);
  }

  get connections(): number {
    return this.#all().reduce((sum, listener) => sum + listener.connections, 0);
  }

  /**
   * The number of connections that are only served to their end: all if the proxy drains, otherwise those of removed
   * listeners and chains.
   */
  get drainingConnections(): number {
    const active = [...this.#active.values()].reduce((sum, listener) => sum + listener.drainingConnections, 0);
    return [...this.#leaving.keys()].reduce((sum, listener) => sum + listener.connections, active);
  }

  /**
   * Whether present or future connections may still need resources that were removed together with their listener or
   * chain.
   */
  get needsRemoved(): boolean {
    return (
      this.drainingConnections > 0 ||
      [...this.#leaving.values()].some(({ accepts }) => accepts) ||
      this.#all().some(({ acceptsForRemoved }) => acceptsForRemoved)
    );
  }

  /** When a draining listener last accepted a connection, on the steady clock. 0 if none has. */
  get lastAcceptedMs(): number {
    return this.#all().reduce(
      (last, listener) => (this.#drains(listener) ? Math.max(last, listener.lastAcceptedMs) : last),
      0,
    );
  }

  /** The names of listeners that do not listen yet, or whose routes have not arrived. */
  pending(): string[] {
    const out: string[] = [];
    for (const { name, bound, trouble } of this.#active.values())
      if (!bound) out.push(`listener ${name}${trouble === undefined ? "" : `: ${trouble}`}`);
    const needs = [...this.#waiting.values()].flatMap(({ spec }) => this.#needsOf(spec));
    for (const name of this.routeNames())
      if (this.#options.chains.routeTable(name) === undefined) needs.push(`routes ${name}`);
    return [...out, ...new Set(needs)];
  }

  routeNames(): Set<string> {
    return routeNamesOf(this.#chainSpecs());
  }

  /** The listeners' filters whose configuration comes by extension discovery (ECDS). */
  discoveries(): Discovery[] {
    return discoveriesOf(this.#chainSpecs());
  }

  /** The chains that accept connections now. The chains of waiting specifications are not among them. */
  get servingChains(): ChainSpec[] {
    return [...this.#active.values()].flatMap(({ spec, begun }) => (begun ? chainsOf(spec) : []));
  }

  /** The names of the route tables that connections of removed listeners and chains may still need. */
  leavingRouteNames(): Set<string> {
    const specs = [...this.#active.values()].flatMap((listener) => listener.leavingChains);
    for (const { spec, leavingChains } of this.#leaving.keys()) specs.push(...chainsOf(spec), ...leavingChains);
    return routeNamesOf(specs);
  }

  tlsSpecs(): TlsSpec[] {
    return this.#chainSpecs().flatMap(({ tls }) => (tls === undefined ? [] : [tls]));
  }

  /**
   * Takes a listener's configuration, which {@link proceed} puts in force later. Resolves when the listener's addresses
   * are reserved. Rejects if an address cannot be reserved; the proxy then tries again in the background.
   */
  async set(spec: ListenerSpec): Promise<void> {
    this.#makeRoomFor(spec);
    let listener = this.#active.get(spec.name);
    if (listener === undefined) {
      listener = new ActiveListener(spec, this.#runtime, { held: true });
      this.#active.set(spec.name, listener);
      if (this.#drains(listener)) listener.drain();
    } else if (!listener.begun) listener.reconfigure(spec);
    this.#wait(spec);
    await this.#bind(listener);
  }

  async #bind(listener: ActiveListener): Promise<void> {
    try {
      await listener.bind();
    } catch (error) {
      this.#options.log.error("a listener cannot listen", { listener: listener.name, error: messageOf(error) });
      throw userError("cannot-listen", `listener ${listener.name}: ${messageOf(error)}`, { cause: error });
    }
  }

  #wait(spec: ListenerSpec): void {
    this.#stopWaiting(spec.name);
    const { clock, log } = this.#options;
    const limit = clock.after(firstFetchLimitMs, () => {
      waiting.over = true;
      log.warn("a listener starts to serve although something is missing", {
        listener: spec.name,
        missing: [...this.#options.startNeeds(), ...this.#needsOf(spec)].join(", "),
      });
      this.proceed();
    });
    const waiting: Waiting = { spec, limit, over: false };
    this.#waiting.set(spec.name, waiting);
    for (const { started } of startingPlugins(spec)) void started.then(() => this.proceed());
  }

  #stopWaiting(name: string): void {
    this.#waiting.get(name)?.limit[Symbol.dispose]();
    this.#waiting.delete(name);
  }

  /**
   * Puts waiting configurations in force whose resources have arrived. Must be called whenever some may have arrived.
   */
  proceed(): void {
    if (this.#waiting.size === 0) return;
    const ready = [...this.#waiting.values()].filter(
      ({ spec, over }) => (over && !awaitsFilter(spec)) || this.#needsOf(spec).length === 0,
    );
    if (!this.#started) {
      const complete = ready.length === this.#waiting.size && this.#options.startNeeds().length === 0;
      if (!complete && ready.every(({ over }) => !over)) return;
      this.#started = true;
    }
    for (const { spec } of ready) {
      this.#stopWaiting(spec.name);
      const listener = this.#active.get(spec.name);
      if (listener === undefined) continue;
      listener.begin();
      if (listener.spec === spec) continue;
      listener.reconfigure(spec);
      this.#bind(listener).catch(() => undefined);
      this.#options.replaced();
    }
    if (ready.length > 0) this.#indexDestinations();
  }

  #needsOf(spec: ListenerSpec): string[] {
    const { contexts, chains } = this.#options;
    return needsOf(spec, { contexts, routeTable: (name) => chains.routeTable(name) });
  }

  /**
   * Makes a listener stop listening, at once or after {@link ListenerRuntime.lingerMs}. It serves its open connections
   * to their end.
   */
  remove(name: string): void {
    const known = this.#active.get(name);
    if (known === undefined) return;
    this.#active.delete(name);
    this.#stopWaiting(name);
    this.#indexDestinations();
    known.drain();
    const accepts = this.#options.lingerMs > 0 && known.begun;
    if (!accepts) known.stopListening();
    this.#leaving.set(known, { atMs: this.#options.clock.steadyMs(), accepts });
  }

  /** Makes removed listeners stop listening if a new listener has their name or one of their addresses. */
  #makeRoomFor(spec: ListenerSpec): void {
    const wanted = addressesOf(spec);
    this.#stopAccepting(
      ({ name, spec: removed }) =>
        name === spec.name || addressesOf(removed).some((address) => wanted.includes(address)),
    );
  }

  #stopAccepting(matches: (listener: ActiveListener, removal: Removal) => boolean): void {
    for (const [listener, removal] of this.#leaving) {
      if (!removal.accepts || !matches(listener, removal)) continue;
      removal.accepts = false;
      listener.stopListening();
    }
  }

  #removedButAccepting(name: string): ActiveListener | undefined {
    for (const [listener, { accepts }] of this.#leaving) if (accepts && listener.name === name) return listener;
    return undefined;
  }

  /** Passes a stream to an internal listener. Returns false if there is none with that name. */
  enter(name: string, stream: ByteStream, info: ConnectionInfo): boolean {
    const listener = this.#active.get(name) ?? this.#removedButAccepting(name);
    if (listener?.spec.kind !== "internal") return false;
    listener.accept(stream, info);
    return true;
  }

  /**
   * Makes responses say `connection: close` from now on, while listening continues. With `inboundOnly`, outbound
   * listeners do not change.
   */
  drain(inboundOnly = false): void {
    this.#draining = inboundOnly ? "inbound" : "all";
    for (const listener of this.#all()) if (this.#drains(listener)) listener.drain();
  }

  stopListening(): void {
    this.#stopAccepting(() => true);
    for (const listener of this.#active.values()) {
      if (!this.#drains(listener)) continue;
      this.#stopWaiting(listener.name);
      listener.stopListening();
    }
  }

  /** Closes HTTP connections that have had no request for at least this long. */
  closeQuiet(quietMs: number): void {
    for (const listener of this.#all()) listener.closeIdle(quietMs);
  }

  closeAll(): void {
    for (const name of this.#waiting.keys()) this.#stopWaiting(name);
    this.#stopAccepting(() => true);
    for (const listener of this.#all()) {
      listener.stopListening();
      listener.closeAll();
    }
  }

  /**
   * Ends removed listeners, closes connections whose time is over, and tries again to open sockets. Must be called once
   * a second.
   */
  sweep(): void {
    const nowMs = this.#options.clock.steadyMs();
    const { leavingLimitMs, lingerMs } = this.#options;
    this.proceed();
    this.#stopAccepting((_, { atMs }) => nowMs - atMs >= lingerMs);
    for (const listener of this.#all()) listener.sweep(leavingQuietMs, leavingLimitMs);
    for (const [listener, { atMs, accepts }] of this.#leaving) {
      listener.closeIdle(leavingQuietMs);
      if (nowMs - atMs >= leavingLimitMs) listener.closeAll();
      if (listener.connections === 0 && !accepts) this.#leaving.delete(listener);
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
    return [...this.#active.values(), ...this.#waiting.values()].flatMap(({ spec }) => chainsOf(spec));
  }

  #all(): ActiveListener[] {
    return [...this.#active.values(), ...this.#leaving.keys()];
  }

  #indexDestinations(): void {
    this.#destinations = new Map();
    for (const listener of this.#active.values()) {
      const { spec } = listener;
      if (spec.kind === "internal" || spec.handsOff || !listener.begun) continue;
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

function addressesOf(spec: ListenerSpec): readonly string[] {
  return spec.kind === "internal" ? [] : spec.addresses.map(({ address, port }) => `${address} ${port}`);
}

interface ListenerResources {
  readonly routeTable: (name: string) => RouteTable | undefined;
  readonly contexts: Pick<TlsContexts, "awaited">;
}

/** The names of what a listener's chains still lack: routes, secrets, and plugins that are starting. */
function needsOf(spec: ListenerSpec, { routeTable, contexts }: ListenerResources): string[] {
  const chains = chainsOf(spec);
  const routes = [...routeNamesOf(chains)].filter((name) => routeTable(name) === undefined);
  const secrets = chains.flatMap(({ tls }) => (tls === undefined ? [] : contexts.awaited(tls)));
  const configs = discoveriesOf(chains).flatMap(({ awaited, resource }) => (awaited ? resource : []));
  const plugins = startingPlugins(spec).map(({ name }) => name);
  return [
    ...routes.map((name) => `routes ${name}`),
    ...new Set(secrets.map((name) => `secret ${name}`)),
    ...new Set(configs.map((name) => `filter configuration ${name}`)),
    ...plugins.map((name) => `plugin ${name}`),
  ];
}

function discoveriesOf(chains: readonly ChainSpec[]): Discovery[] {
  return chains.flatMap(({ serves }) =>
    serves.kind === "http" ? serves.http.connection.filters.flatMap(({ discovery }) => discovery ?? []) : [],
  );
}

/**
 * Whether the listener waits for a filter's configuration. That wait has its own limit, or none, so the general limit
 * must not end it.
 */
function awaitsFilter(spec: ListenerSpec): boolean {
  return discoveriesOf(chainsOf(spec)).some(({ awaited }) => awaited);
}

function startingPlugins(spec: ListenerSpec): { readonly name: string; readonly started: Promise<unknown> }[] {
  return chainsOf(spec).flatMap(({ serves }) =>
    serves.kind !== "http"
      ? []
      : serves.http.connection.filters.flatMap((filter) => {
          const started = filter.starting?.();
          return started === undefined ? [] : [{ name: filter.name, started }];
        }),
  );
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
