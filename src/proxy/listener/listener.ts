import type { ChainSpec, ListenerSpec } from "./listener-spec.ts";
import {
  contained,
  containing,
  isProgramError,
  LinkedList,
  messageOf,
  type Clock,
  type Linked,
  type Logger,
  unlisted,
} from "../../base/index.ts";
import {
  keepAlive,
  originalDestination,
  unread,
  type ByteListener,
  type ByteStream,
  type SocketAddress,
} from "../../net/index.ts";
import type { ConnectionInfo } from "../terms/connection-info.ts";
import type { Listen } from "../listen.ts";
import type { TlsContexts } from "../tls/tls-contexts.ts";
import { isMeshTls } from "../tls/tls-spec.ts";
import { secureDownstream } from "./downstream-tls.ts";
import { ConnectionRoom, type HeldConnection } from "./connection-room.ts";
import { ChainWaiters } from "./chain-waiters.ts";
import { FilterChainRuntime, type ChainRuntime } from "./filter-chain.ts";
import { infoOf, traitsOf } from "./arrival.ts";
import { selectFilterChain, type ConnectionTraits } from "./filter-chain-match.ts";
import { inspect, inspectionPlan, noInspection, type Inspection } from "./inspection.ts";

export interface ListenerRuntime {
  readonly chains: ChainRuntime;
  readonly listen: Listen;
  readonly contexts: TlsContexts;
  readonly localIdentity: string;
  /** The listener that represents a destination. Undefined if there is none. */
  readonly standsFor: (destination: SocketAddress) => ActiveListener | undefined;
  /** Whether the proxy has room for another connection of this client's address. */
  readonly admits: (address: string) => boolean;
  readonly observeRefused: (listener: ListenerSpec, info: ConnectionInfo) => void;
  /**
   * How long a removed listener, or a removed chain of an internal listener, still accepts connections, because clients
   * may learn of the change later than this proxy. Connections to an internal listener wait equally long for a new
   * chain, of which clients may learn earlier. 0 disables both.
   */
  readonly lingerMs: number;
  /** The maximum number of connections of one listener. {@link maxConnections} if absent. */
  readonly maxConnectionsOfListener?: number;
  readonly clock: Clock;
  readonly log: Logger;
}

interface OpeningConnection extends Linked<OpeningConnection> {
  readonly stream: ByteStream;
  readonly sinceMs: number;
}

export interface ListenerCounters {
  accepted: number;
  noFilterChain: number;
  inspectionFailed: number;
  handshakeFailed: number;
}

/** The maximum number of connections of one listener, including those without a chain yet. */
const maxConnections = 50_000;

interface Departure {
  readonly atMs: number;
  /** The last specification that contained the chain. Undefined once the chain accepts no more connections. */
  spec: ListenerSpec | undefined;
}

/** A configured listener: its sockets, if it has any, and its filter chains with their connections. */
export class ActiveListener {
  readonly #runtime: ListenerRuntime;
  readonly #sockets = new Map<string, ByteListener>();
  #spec: ListenerSpec;
  #chains = new Map<string, FilterChainRuntime>();
  #defaultChain: FilterChainRuntime | undefined;
  /** Chains that the configuration no longer contains. Each stays until its last connection has ended. */
  readonly #leaving = new Map<FilterChainRuntime, Departure>();
  readonly #waiters: ChainWaiters;
  #draining = false;
  #binding: Promise<void> = Promise.resolve();
  /** Whether the sockets refuse connections until {@link begin}. */
  #held: boolean;
  #stopped = false;
  readonly #opening = new LinkedList<OpeningConnection>();
  readonly #room: ConnectionRoom;
  /** Why the listener does not listen. Undefined if it listens. */
  trouble: string | undefined;
  lastAcceptedMs = 0;
  readonly counters: ListenerCounters = { accepted: 0, noFilterChain: 0, inspectionFailed: 0, handshakeFailed: 0 };

  constructor(spec: ListenerSpec, runtime: ListenerRuntime, { held }: { readonly held: boolean } = { held: false }) {
    this.#spec = spec;
    this.#held = held;
    this.#runtime = runtime;
    this.#waiters = new ChainWaiters(runtime.clock);
    this.#room = new ConnectionRoom({
      max: runtime.maxConnectionsOfListener ?? maxConnections,
      held: () => this.clientConnections(),
      clock: runtime.clock,
    });
    this.#setChains(spec, spec);
  }

  get name(): string {
    return this.#spec.name;
  }

  get spec(): ListenerSpec {
    return this.#spec;
  }

  get addresses(): readonly SocketAddress[] {
    return [...this.#sockets.values()].map((socket) => socket.address);
  }

  /** Whether the listener listens on all its addresses. */
  get bound(): boolean {
    return (
      this.trouble === undefined &&
      !this.#held &&
      (this.#spec.kind !== "bound" || this.#spec.addresses.every((address) => this.#sockets.has(socketKey(address))))
    );
  }

  get connections(): number {
    return this.chains().reduce((sum, chain) => sum + chain.connections, this.#opening.size);
  }

  /** The open connections, chain by chain, the oldest of each chain first. */
  *clientConnections(): Generator<HeldConnection> {
    for (const chain of this.chains()) yield* chain.clientConnections();
    for (const opening of this.#opening)
      yield {
        peer: opening.stream.remote.address,
        abort: () => {
          opening.stream.destroy();
          // Remove the connection now, because its stream reports the end later: until then it must not be chosen
          // again.
          this.#opening.remove(opening);
        },
      };
  }

  /**
   * The number of connections of chains that the configuration no longer contains. If the listener drains, all its
   * connections count.
   */
  get drainingConnections(): number {
    if (this.#draining) return this.connections;
    return [...this.#leaving.keys()].reduce((sum, chain) => sum + chain.connections, 0);
  }

  /** Whether a chain that the configuration no longer has still accepts connections. */
  get acceptsForRemoved(): boolean {
    return [...this.#leaving.values()].some(({ spec }) => spec !== undefined);
  }

  /** All chains, including those that only serve the connections they have. */
  chains(): FilterChainRuntime[] {
    return [
      ...this.#chains.values(),
      ...(this.#defaultChain === undefined ? [] : [this.#defaultChain]),
      ...this.#leaving.keys(),
    ];
  }

  /**
   * Puts a new specification in force. Connections stay with the chain of the same name. A chain that is removed, or
   * that now serves something else, drains.
   */
  reconfigure(spec: ListenerSpec): void {
    const before = this.#spec;
    this.#spec = spec;
    this.#setChains(spec, before);
    this.#waiters.look();
  }

  /** The specifications of chains that are no longer configured and still serve connections. */
  get leavingChains(): ChainSpec[] {
    return [...this.#leaving.keys()].map(({ spec }) => spec);
  }

  /** Opens missing sockets, then closes those that are no longer wanted. Rejects if a socket cannot be opened. */
  async bind(): Promise<void> {
    // Run changes one after another: two at once could want the same free address.
    const binding = this.#binding
      .catch(() => undefined)
      .then(async () => (this.#stopped ? undefined : await this.#openSockets()));
    this.#binding = binding;
    await binding;
  }

  /** Whether the listener accepts connections. Before that, its addresses are only reserved. */
  get begun(): boolean {
    return !this.#held;
  }

  /** Accepts connections from now on. {@link bind} waits until the sockets accept, and rejects if one cannot. */
  begin(): void {
    if (!this.#held) return;
    this.#held = false;
    const binding = this.#binding.catch(() => undefined).then(async () => await this.#beginSockets());
    this.#binding = binding;
    binding.catch(() => undefined);
  }

  /** Lets the sockets accept. A socket that cannot is closed, and {@link bind} opens a new one. */
  async #beginSockets(): Promise<void> {
    for (const [key, socket] of this.#sockets) {
      try {
        await socket.begin?.();
      } catch (error) {
        this.#sockets.delete(key);
        socket.close();
        this.trouble = messageOf(error);
        this.#runtime.log.error("a listener cannot listen", { listener: this.name, error: this.trouble });
      }
    }
  }

  async #openSockets(): Promise<void> {
    const wanted = new Map(
      this.#spec.kind === "bound" ? this.#spec.addresses.map((address) => [socketKey(address), address]) : [],
    );
    try {
      for (const [key, address] of wanted) {
        if (this.#sockets.has(key)) continue;
        const socket = await this.#runtime.listen(
          { ...address, held: this.#held, transparent: this.#spec.transparent },
          (stream) => this.#accept(stream),
        );
        // Close the socket again if the listener was removed meanwhile.
        if (this.#stopped) socket.close();
        else this.#sockets.set(key, socket);
      }
      this.trouble = undefined;
    } catch (error) {
      this.trouble = messageOf(error);
      throw error;
    }
    for (const [key, socket] of this.#sockets) {
      if (wanted.has(key)) continue;
      this.#sockets.delete(key);
      socket.close();
    }
  }

  stopListening(): void {
    this.#stopped = true;
    for (const socket of this.#sockets.values()) socket.close();
    this.#sockets.clear();
  }

  drain(): void {
    this.#draining = true;
    for (const chain of this.chains()) chain.drain();
  }

  /**
   * Closes HTTP connections without a request for at least this time, and connections that have been without a chain
   * for as long.
   */
  closeIdle(quietMs: number): void {
    const before = this.#runtime.clock.steadyMs() - quietMs;
    for (const { stream, sinceMs } of this.#opening) if (sinceMs <= before) stream.destroy();
    for (const chain of this.chains()) chain.closeIdle(quietMs);
  }

  closeAll(): void {
    for (const { stream } of this.#opening) stream.destroy();
    for (const chain of this.chains()) chain.closeAll();
  }

  /**
   * Closes connections of removed chains: those with HTTP that have been idle for `leavingQuietMs`, and all of a chain
   * that was removed `leavingLimitMs` ago. Must be called once a second.
   */
  sweep(leavingQuietMs: number, leavingLimitMs: number): void {
    for (const chain of this.chains()) containing(() => chain.sweep());
    const nowMs = this.#runtime.clock.steadyMs();
    for (const [chain, departure] of this.#leaving) {
      chain.closeIdle(leavingQuietMs);
      if (nowMs - departure.atMs >= this.#runtime.lingerMs) departure.spec = undefined;
      if (nowMs - departure.atMs >= leavingLimitMs) chain.closeAll();
      if (chain.connections === 0 && departure.spec === undefined) this.#leaving.delete(chain);
    }
  }

  /** Accepts a connection from another listener or a tunnel. */
  accept(stream: ByteStream, arrival: ConnectionInfo): void {
    this.counters.accepted += 1;
    this.lastAcceptedMs = this.#runtime.clock.steadyMs();
    const { address } = arrival.remote;
    if (!this.#room.admits(address) || !this.#runtime.admits(address)) {
      dispose(stream);
      return;
    }
    const opening: OpeningConnection = { stream, sinceMs: this.lastAcceptedMs, ...unlisted };
    this.#opening.add(opening);
    void this.#serve(stream, arrival)
      .catch((error: unknown) => {
        if (isProgramError(error)) contained(error);
        this.#runtime.log.debug("a connection could not be served", {
          listener: this.name,
          peer: arrival.remote.address,
          error: messageOf(error),
        });
        dispose(stream);
      })
      .finally(() => this.#opening.remove(opening));
  }

  #accept(stream: ByteStream): void {
    const spec = this.#spec;
    if (spec.keepalive !== undefined) keepAlive(stream, spec.keepalive);
    let { local } = stream;
    if (spec.handsOff || spec.inspectors.some((inspector) => inspector.kind === "original-destination")) {
      try {
        local = originalDestination(stream) ?? local;
      } catch (error) {
        this.#runtime.log.debug("the original destination of a connection is not known", {
          listener: this.name,
          error: messageOf(error),
        });
      }
    }
    const target = spec.handsOff ? this.#runtime.standsFor(local) : undefined;
    (target ?? this).accept(stream, { local, remote: stream.remote, tls: undefined, peer: undefined });
  }

  async #serve(stream: ByteStream, arrival: ConnectionInfo): Promise<void> {
    const spec = this.#spec;
    const plan = inspectionPlan(spec.inspectors, arrival.local.port, spec.inspectionTimeoutMs);
    const inspection = plan === undefined ? noInspection : await inspect(stream, plan);
    if (
      inspection.outcome === "ended" ||
      inspection.outcome === "refused" ||
      (inspection.outcome === "timeout" && !spec.continueOnTimeout)
    ) {
      this.counters.inspectionFailed += 1;
      dispose(stream);
      return;
    }
    const traits = traitsOf(arrival, inspection);
    const chain = this.#choose(traits) ?? (await this.#laterChain(stream, traits));
    if (chain === undefined) {
      this.counters.noFilterChain += 1;
      this.#runtime.observeRefused(spec, { ...arrival, local: traits.local, remote: traits.remote });
      this.#runtime.log.debug("no filter chain takes a connection", {
        listener: this.name,
        destination: `${traits.local.address}:${traits.local.port}`,
        server_name: traits.serverName,
      });
      dispose(stream);
      return;
    }
    const info = infoOf(this.#spec, arrival, traits, inspection);
    if (chain.spec.tls === undefined) chain.accept(unread(stream, inspection.bytes), info);
    else await this.#secure(stream, chain, info, inspection);
  }

  async #secure(stream: ByteStream, chain: FilterChainRuntime, info: ConnectionInfo, first: Inspection): Promise<void> {
    const { tls: spec, handshakeTimeoutMs: timeoutMs } = chain.spec;
    if (spec === undefined) return;
    const inspection =
      first.hello.kind === "tls"
        ? first
        : await inspect(unread(stream, first.bytes), { proxyHeader: undefined, tls: true, http: false, timeoutMs });
    try {
      if (inspection.hello.kind !== "tls") throw new Error("TLS: the client does not speak TLS");
      const { contexts, localIdentity } = this.#runtime;
      const secured = await secureDownstream({
        stream,
        spec,
        received: inspection.bytes,
        hello: inspection.hello,
        contexts,
        localIdentity: ownIdentity(chain.spec, localIdentity),
        timeoutMs,
        exchangesPeers: chain.spec.exchangesPeers && chain.spec.serves.kind === "tcp",
      });
      chain.accept(secured.stream, { ...info, tls: secured.tls });
    } catch (error) {
      this.counters.handshakeFailed += 1;
      throw error;
    }
  }

  #choose(traits: ConnectionTraits): FilterChainRuntime | undefined {
    const name = chainNameIn(this.#spec, traits);
    return (
      (name === undefined ? undefined : this.#chains.get(name)) ?? this.#defaultChain ?? this.#leavingChain(traits)
    );
  }

  /** The removed chain for a connection whose client may not know of the removal yet. */
  #leavingChain(traits: ConnectionTraits): FilterChainRuntime | undefined {
    let asked: ListenerSpec | undefined;
    let name: string | undefined;
    // Begin with the newest: if a chain was replaced under the same name before it was removed, clients know the newer
    // one.
    for (const [chain, { spec }] of [...this.#leaving].toReversed()) {
      if (spec === undefined) continue;
      // Chains that were removed together have the same specification, so choose only once for them.
      if (spec !== asked) {
        asked = spec;
        name = chainNameIn(spec, traits);
      }
      if (chain.spec.name === name) return chain;
    }
    return undefined;
  }

  /** Waits for the chain of a connection whose client may know of a new service earlier than this proxy. */
  async #laterChain(stream: ByteStream, traits: ConnectionTraits): Promise<FilterChainRuntime | undefined> {
    const { lingerMs } = this.#runtime;
    if (this.#spec.kind !== "internal" || lingerMs === 0 || this.#draining) return undefined;
    return await this.#waiters.wait(stream, traits.remote.address, lingerMs, () => this.#choose(traits));
  }

  #setChains(spec: ListenerSpec, previous: ListenerSpec): void {
    const before = this.#chains;
    this.#chains = new Map(spec.chains.map((chain) => [chain.name, this.#chain(before.get(chain.name), chain)]));
    for (const [name, chain] of before) if (this.#chains.get(name) !== chain) this.#leave(chain, previous);
    const defaultBefore = this.#defaultChain;
    this.#defaultChain = spec.defaultChain === undefined ? undefined : this.#chain(defaultBefore, spec.defaultChain);
    if (defaultBefore !== undefined && defaultBefore !== this.#defaultChain) this.#leave(defaultBefore, undefined);
  }

  #chain(known: FilterChainRuntime | undefined, spec: ChainSpec): FilterChainRuntime {
    if (known?.accepts(spec) === true) {
      known.reconfigure(spec);
      return known;
    }
    const chain = new FilterChainRuntime(spec, () => this.#spec, this.#runtime.chains);
    if (this.#draining) chain.drain();
    return chain;
  }

  #leave(chain: FilterChainRuntime, previous: ListenerSpec | undefined): void {
    chain.drain();
    const lingers = this.#runtime.lingerMs > 0 && previous?.kind === "internal";
    this.#leaving.set(chain, { atMs: this.#runtime.clock.steadyMs(), spec: lingers ? previous : undefined });
  }
}

/** The name of the chain that a specification chooses. Undefined if none matches. */
function chainNameIn({ matcher, chains }: ListenerSpec, traits: ConnectionTraits): string | undefined {
  return matcher === undefined ? selectFilterChain(chains, traits)?.name : matcher(traits);
}

function socketKey({ address, port }: SocketAddress): string {
  return `${address} ${port}`;
}

function dispose(stream: ByteStream): void {
  stream.setHandler({ data: () => undefined, end: () => undefined, drain: () => undefined, close: () => undefined });
  stream.destroy();
}

/** Our identity, if the chain shows the mesh's certificate. Otherwise empty. */
function ownIdentity(spec: ChainSpec, identity: string): string {
  return spec.tls !== undefined && isMeshTls(spec.tls) ? identity : "";
}
