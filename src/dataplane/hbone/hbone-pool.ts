import { invariant, SharedTimeouts, systemClock, transientError, SerinError, type Clock } from "../../base/index.ts";
import type { SecureStream } from "../../net/index.ts";
import { HboneClientConnection } from "./hbone-client-connection.ts";
import type { HboneConnectOptions, HboneTarget, HboneTunnel } from "./hbone-types.ts";
import { hboneLimits } from "./limits.ts";

/**
 * Connects to a target and performs the TLS handshake (ALPN h2) with the certificate of the source's identity. After
 * `timeoutMs`, it fails with code `timeout` or `certificate-wait`.
 */
export type HboneDialer = (target: HboneTarget, timeoutMs: number, signal?: AbortSignal) => Promise<SecureStream>;

export interface HbonePoolOptions {
  readonly dial: HboneDialer;
  readonly clock?: Clock;
  /**
   * Counts each connection towards the limit of its process. If there is no room, or if `destroy` is called later, the
   * connection lives only as long as it has tunnels.
   */
  readonly admit?: (connection: { destroy(): void }) => Disposable | undefined;
  /** The maximum number of connections to all targets together. 8,192 if absent. */
  readonly maxConnections?: number;
}

/** The connections of one target: the live ones, and those in preparation. */
interface Target {
  readonly poolTarget: HboneTarget;
  /** The expected identities, sorted and joined. */
  readonly expected: string;
  readonly connections: Set<HboneClientConnection>;
  readonly dialing: Set<Dialing>;
}

interface Dialing {
  readonly connection: Promise<HboneClientConnection>;
  waiters: number;
}

/**
 * The maximum number of attempts of one connect. It tries another connection only if the peer certainly has not
 * accepted the CONNECT.
 */
const maxAttempts = 4;

const unlimited: Disposable = { [Symbol.dispose]: () => undefined };

/** The time limit in milliseconds of a step that begins when the connect has no time left. */
const leastLeftMs = 1;

/**
 * Opens tunnels over shared connections. Tunnels from one source identity to one destination share a connection, up to
 * 100 of them. A connection closes when it has been idle for `hboneLimits.idleMs`, or earlier if other targets need its
 * place. A CONNECT is retried on another connection if the peer refused it or its connection had already gone. That is
 * safe, because none of the application's bytes are sent before the 200.
 */
export class HbonePool {
  readonly #dial: HboneDialer;
  readonly #clock: Clock;
  readonly #admit: (connection: { destroy(): void }) => Disposable | undefined;
  readonly #maxConnections: number;
  readonly #timeouts: SharedTimeouts;
  /**
   * The targets by address. Comparing the other fields costs less than building one key of all fields for each connect.
   */
  readonly #targets = new Map<string, Target[]>();
  #connections = 0;
  /**
   * Aborts when the pool closes. A dial that continued after that could use a namespace that the pool's owner has
   * closed.
   */
  readonly #end = new AbortController();

  constructor(options: HbonePoolOptions) {
    this.#dial = options.dial;
    this.#clock = options.clock ?? systemClock;
    this.#admit = options.admit ?? (() => unlimited);
    this.#maxConnections = options.maxConnections ?? hboneLimits.poolConnections;
    this.#timeouts = new SharedTimeouts(this.#clock);
  }

  get connections(): number {
    return this.#connections;
  }

  /**
   * Opens a tunnel. Rejects with a transient error that names the failed step. Then none of the application's bytes
   * were sent.
   */
  async connect(options: HboneConnectOptions): Promise<HboneTunnel> {
    const startedMs = this.#clock.steadyMs();
    const leftMs = () => Math.max(leastLeftMs, options.timeoutMs - (this.#clock.steadyMs() - startedMs));
    const target = this.#target(options);
    for (let attempt = 1; ; attempt += 1) {
      const found = this.#connection(target, options, leftMs);
      const connection = found instanceof Promise ? await found : found;
      // Try again: the connection was idle while this connect waited, and the peer or a full pool has ended it.
      if (!connection.takesStreams && attempt < maxAttempts) continue;
      const fresh = connection.openedStreams === 0;
      try {
        // All connects that do not have to wait use the same time limit, so that they share a timer.
        const isAtOnce = attempt === 1 && connection === found;
        return await connection.open(options, isAtOnce ? options.timeoutMs : leftMs());
      } catch (error) {
        if (attempt >= maxAttempts || options.signal?.aborted === true || !mayMove(error, fresh)) throw error;
      }
    }
  }

  /** Closes idle connections now, and busy ones after their last stream. Refuses new connects. */
  close(): void {
    this.#end.abort();
    for (const targets of this.#targets.values())
      for (const target of targets) for (const connection of target.connections) connection.retire();
  }

  #target(options: HboneTarget): Target {
    const { address, expectedIdentities } = options;
    const expected =
      expectedIdentities.length > 1 ? [...expectedIdentities].sort().join("|") : (expectedIdentities[0] ?? "");
    let targets = this.#targets.get(address);
    if (targets === undefined) this.#targets.set(address, (targets = []));
    for (const target of targets) if (target.expected === expected && isSame(target.poolTarget, options)) return target;
    const { sourceIdentity, port, destinationId, namespaceFd, mark, sourceAddress } = options;
    const target = {
      poolTarget: {
        sourceIdentity,
        address,
        port,
        expectedIdentities,
        destinationId,
        namespaceFd,
        ...(mark === undefined ? {} : { mark }),
        ...(sourceAddress === undefined ? {} : { sourceAddress }),
      },
      expected,
      connections: new Set<HboneClientConnection>(),
      dialing: new Set<Dialing>(),
    };
    targets.push(target);
    return target;
  }

  /** Returns a promise only if the caller has to wait. */
  #connection(
    target: Target,
    options: HboneConnectOptions,
    leftMs: () => number,
  ): HboneClientConnection | Promise<HboneClientConnection> {
    if (this.#end.signal.aborted) throw poolDraining();
    for (const connection of target.connections) if (connection.takesStreams) return connection;
    return this.#awaitedConnection(target, options, leftMs);
  }

  async #awaitedConnection(
    target: Target,
    options: HboneConnectOptions,
    leftMs: () => number,
  ): Promise<HboneClientConnection> {
    for (const dialing of target.dialing) {
      if (dialing.waiters >= hboneLimits.pooledStreams) continue;
      dialing.waiters += 1;
      const connection = await this.#dialedByAnother(dialing, options, leftMs);
      return connection?.takesStreams === true ? connection : await this.#connection(target, options, leftMs);
    }
    if (this.#connections >= this.#maxConnections && !this.#endIdlest()) {
      this.#forgetIfEmpty(target);
      throw transientError("busy", `the pool holds ${this.#maxConnections} connections already`);
    }
    const dialing: Dialing = { connection: this.#dialNew(target, options, leftMs()), waiters: 1 };
    target.dialing.add(dialing);
    this.#remember(target);
    try {
      return await dialing.connection;
    } finally {
      target.dialing.delete(dialing);
      this.#forgetIfEmpty(target);
    }
  }

  /**
   * Waits for a connection that another connect is dialing, but no longer than this connect may wait. Returns undefined
   * if only the other connect's time is over. The other connect may have had a shorter limit or an earlier start.
   */
  async #dialedByAnother(
    dialing: Dialing,
    { address, port, timeoutMs }: HboneConnectOptions,
    leftMs: () => number,
  ): Promise<HboneClientConnection | undefined> {
    const late = Promise.withResolvers<never>();
    using _timer = this.#clock.after(leftMs(), () =>
      late.reject(transientError("timeout", `no connection to ${address}:${port} within ${timeoutMs} ms`)),
    );
    const dialed = dialing.connection.catch((error: unknown) => {
      if (isTimeout(error) && leftMs() > leastLeftMs) return undefined;
      throw error;
    });
    try {
      return await Promise.race([dialed, late.promise]);
    } finally {
      dialing.waiters -= 1;
    }
  }

  async #dialNew(target: Target, options: HboneConnectOptions, leftMs: number): Promise<HboneClientConnection> {
    // Use the pool's signal and not the caller's, because other connects may wait for the same connection.
    const stream = await this.#dial(options, leftMs, this.#end.signal);
    if (this.#end.signal.aborted) {
      stream.destroy();
      throw poolDraining();
    }
    if (stream.alpnProtocol !== "h2") {
      stream.destroy();
      throw transientError(
        "http2-failed",
        `http2 handshake failed: the peer at ${options.address}:${options.port} chose ${stream.alpnProtocol ?? "no protocol"}`,
      );
    }
    const connection = new HboneClientConnection({
      stream,
      clock: this.#clock,
      timeouts: this.#timeouts,
      onClosed: () => {
        place?.[Symbol.dispose]();
        invariant(target.connections.delete(connection), "a connection must be returned only once");
        this.#connections -= 1;
        this.#forgetIfEmpty(target);
      },
    });
    target.connections.add(connection);
    this.#connections += 1;
    connection.start();
    const place = this.#admit({ destroy: () => connection.endWhenIdle() });
    if (place === undefined) connection.endWhenIdle();
    return connection;
  }

  /** Ends the connection that has been idle for the longest time. Returns false if no connection is idle. */
  #endIdlest(): boolean {
    let idlest: HboneClientConnection | undefined;
    for (const { connections } of [...this.#targets.values()].flat())
      for (const connection of connections)
        if ((connection.idleSinceMs ?? Infinity) < (idlest?.idleSinceMs ?? Infinity)) idlest = connection;
    idlest?.retire();
    return idlest !== undefined;
  }

  /**
   * Adds a target to the list again. The pool removes a target when its last connection ends, which may happen while a
   * connect waits.
   */
  #remember(target: Target): void {
    const { address } = target.poolTarget;
    const known = this.#targets.get(address) ?? [];
    if (!known.includes(target)) this.#targets.set(address, [...known, target]);
  }

  #forgetIfEmpty(target: Target): void {
    if (target.connections.size > 0 || target.dialing.size > 0) return;
    const { address } = target.poolTarget;
    const others = this.#targets.get(address)?.filter((pooled) => pooled !== target) ?? [];
    if (others.length > 0) this.#targets.set(address, others);
    else this.#targets.delete(address);
  }
}

function isSame(left: HboneTarget, right: HboneTarget): boolean {
  return (
    left.port === right.port &&
    left.sourceIdentity === right.sourceIdentity &&
    left.destinationId === right.destinationId &&
    left.namespaceFd === right.namespaceFd &&
    left.mark === right.mark &&
    left.sourceAddress === right.sourceAddress
  );
}

function poolDraining(): SerinError {
  return transientError("draining", "pool draining");
}

function isTimeout(error: unknown): boolean {
  return error instanceof SerinError && (error.code === "timeout" || error.code === "certificate-wait");
}

/**
 * Whether the peer certainly did not accept a CONNECT: it refused the stream, or the reused connection had already
 * gone.
 */
function mayMove(error: unknown, fresh: boolean): boolean {
  if (!(error instanceof SerinError)) return false;
  return error.code === "tunnel-refused" || (!fresh && error.code === "tunnel-unanswered");
}
