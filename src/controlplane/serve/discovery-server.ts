import type { ProvenAccount } from "../ca/index.ts";
import { messageOf, transientError, type Clock, type Logger } from "../../base/index.ts";
import { SharedBudget, type BudgetShare } from "../../base/shared-budget/index.ts";
import { AcknowledgementReader } from "./acknowledgement-reader.ts";
import { ConnectedClient, type DiscoveryClient, type KeptMemory } from "./connected-client.ts";
import { debugConnection, type DebugRequest } from "./debug-connection.ts";
import type { DiscoveryMetrics } from "./discovery-metrics.ts";
import { DiscoveryStream, type ResponseSink } from "./discovery-stream.ts";
import { GoneProxies, type GoneProxy } from "./gone-proxies.ts";
import { HeldRequests } from "./held-requests.ts";
import type { ProxyIdentity } from "./proxy-identity.ts";
import type { WorkloadProxies } from "./proxy-registration.ts";
import { shortTypeName } from "./push-order.ts";
import type { DiscoveryProtocol } from "./read-request.ts";
import type { ResourceView } from "./resource-views/resource-view.ts";
import { ResponseBodies } from "./response-encoder.ts";

export interface DebugAnswerer {
  /** The bytes of a response. Rejects with a user error if the stream must end. */
  answer(server: DiscoveryServer, proxy: ProxyIdentity, request: DebugRequest): Promise<Buffer>;
}

export interface DiscoveryServerOptions {
  readonly viewOf: (proxy: ProxyIdentity, typeUrl: string) => ResourceView;
  /** The generation of the model, which grows with each settling. */
  readonly generation: () => number;
  /** Handles machines outside of the cluster. Absent if this control plane does not handle any. */
  readonly workloads?: WorkloadProxies<ProxyIdentity> | undefined;
  /** Answers debug requests. If absent, they get no answer, like requests for unknown types. */
  readonly debug?: DebugAnswerer | undefined;
  /** Lets the model settle in several turns of the event loop. If absent, it always settles in one turn. */
  readonly turns?: ModelTurns | undefined;
  readonly metrics: DiscoveryMetrics;
  /** The maximum memory that the server keeps for single clients. 512 MiB if absent. */
  readonly maxKeptBytes?: number;
  readonly clock: Clock;
  readonly log: Logger;
}

/** A model that settles in several turns of the event loop. Between them, its views are partly old and partly new. */
export interface ModelTurns {
  readonly isSettling: () => boolean;
  readonly settle: () => void;
  /** Computes the views of a proxy before it subscribes, see {@link ClientServer.expect}. */
  readonly expect: (proxy: ProxyIdentity) => boolean;
}

const keepBodiesMs = 3000;
/**
 * The maximum memory that the server keeps for single clients: for their identities, and for names of resources that do
 * not exist. A client of the port without authentication chooses all of this. A proxy needs about ten kilobytes.
 */
const defaultKeptBytes = 512 << 20;
/** All discovery streams of this control plane. It does not depend on gRPC. */
export class DiscoveryServer {
  readonly streams = new Set<DiscoveryStream>();
  readonly #options: DiscoveryServerOptions;
  /** Each open stream's count in the metric of versions. */
  readonly #counted = new Map<DiscoveryStream, Disposable>();
  /** The number of streams by the proxy's id. */
  readonly #connected = new Map<string, number>();
  readonly #gone = new GoneProxies();
  #pending: DiscoveryStream[] = [];
  readonly #bodies = new ResponseBodies();
  readonly #held = new HeldRequests();
  readonly #maxKeptBytes: number;
  readonly #memory: SharedBudget;
  /** Whether the last flush left streams for the next one. */
  #flushesOn = false;
  readonly #acknowledgements = new AcknowledgementReader();
  #forgetting: Disposable | undefined;
  #serials = 0;
  #turnAtMs: number | undefined;

  constructor(options: DiscoveryServerOptions) {
    this.#options = options;
    this.#maxKeptBytes = options.maxKeptBytes ?? defaultKeptBytes;
    this.#memory = new SharedBudget(this.#maxKeptBytes);
  }

  /**
   * Keeps the encoded bodies for a while after a proxy connects, because proxies that connect at the same time get the
   * same responses. Later, they are not worth their memory.
   */
  #forgetBodiesLater(): void {
    this.#forgetting ??= this.#options.clock.after(keepBodiesMs, () => this.#forgetBodies());
  }

  #forgetBodies(): void {
    this.#forgetting?.[Symbol.dispose]();
    this.#forgetting = undefined;
    this.#bodies.clear();
  }

  /**
   * Begins a stream. `authorize` throws if the caller may not be the proxy that its node names. Otherwise it returns
   * the account that the caller has proven, or whether it has proven anything.
   */
  connect(
    protocol: DiscoveryProtocol,
    sink: ResponseSink,
    authorize: (proxy: ProxyIdentity) => boolean | ProvenAccount,
  ): DiscoveryClient {
    const kept = this.#keptFor(sink.peer ?? "");
    const { clock, debug, turns, workloads } = this.#options;
    return new ConnectedClient({
      protocol,
      sink,
      debug: debugConnection(debug?.answer.bind(debug, this), protocol, sink),
      kept,
      identified: (claimed) => identified(claimed, protocol, sink, authorize),
      server: {
        clock,
        acknowledgements: this.#acknowledgements,
        isSettling: () => this.#isSettling(),
        canHold: () => this.#canHold(),
        hold: (request) => this.#held.hold(request),
        expect: (proxy) => turns?.expect(proxy) !== false,
        open: (proxy) => this.#open(protocol, sink, proxy, kept.forStream),
        close: (stream) => this.#close(stream),
        probed: (proxy, health) => workloads?.probed(proxy, health),
      },
    });
  }

  #keptFor(address: string): KeptMemory {
    const [own, ofStream] = [this.#memory.share(address), this.#memory.share(address)];
    const keep = (share: BudgetShare, bytes: number): void => {
      if (!share.set(bytes))
        throw transientError(
          "busy",
          `the clients at ${address} make the control plane keep more than their share of ${this.#maxKeptBytes >> 20} MiB`,
          { hint: "let them name fewer resources that do not exist, or open fewer streams" },
        );
    };
    return {
      forItself: (bytes) => keep(own, bytes),
      forStream: (bytes) => keep(ofStream, bytes),
      end: () => {
        own.set(0);
        ofStream.set(0);
      },
    };
  }

  #pumpLater(stream: DiscoveryStream): void {
    if (stream.isPending) return;
    stream.isPending = true;
    this.#pending.push(stream);
  }

  #isSettling(): boolean {
    const { turns } = this.#options;
    return turns !== undefined && (turns.isSettling() || !this.#held.isEmpty);
  }

  /** Whether one more request may wait for the model. Ends the settling if too many wait. */
  #canHold(): boolean {
    if (!this.#held.isFull) return true;
    this.#options.turns?.settle();
    return !this.takeHeld();
  }

  /** Handles the requests that waited for the model. Returns false if some are left. */
  takeHeld(budgetMs = Number.POSITIVE_INFINITY): boolean {
    const isDue = this.#dueAfter(budgetMs);
    this.#held.handle(() => this.#options.turns?.isSettling() === true, isDue);
    return this.#held.isEmpty;
  }

  #dueAfter(budgetMs: number): () => boolean {
    const { clock } = this.#options;
    const startMs = clock.steadyMs();
    return () => clock.steadyMs() - startMs >= budgetMs;
  }

  /** Sends what the last settling changed. Returns false if `budgetMs` was too short for all streams. */
  flush(budgetMs = Number.POSITIVE_INFINITY): boolean {
    // While proxies connect, the model settles for each new proxy, but the responses to the other proxies stay the
    // same. So keep the bodies then.
    if (this.#forgetting === undefined && !this.#flushesOn) this.#bodies.clear();
    const isDue = this.#dueAfter(budgetMs);
    const pending = this.#pending;
    this.#pending = [];
    let done = 0;
    for (const stream of pending) {
      if (done > 0 && isDue()) break;
      done += 1;
      stream.isPending = false;
      try {
        stream.pump();
      } catch (error) {
        this.#options.log.error("a push failed", { proxy: stream.proxy.id, error: messageOf(error) });
      }
    }
    this.#pending.unshift(...pending.slice(done));
    this.#flushesOn = done < pending.length;
    return !this.#flushesOn;
  }

  recentlyGone(): readonly GoneProxy[] {
    return this.#gone.recent(this.#options.clock.nowMs());
  }

  #turnMs(): number {
    if (this.#turnAtMs === undefined) {
      this.#turnAtMs = this.#options.clock.steadyMs();
      queueMicrotask(() => (this.#turnAtMs = undefined));
    }
    return this.#turnAtMs;
  }

  #open(
    protocol: DiscoveryProtocol,
    sink: ResponseSink,
    proxy: ProxyIdentity,
    keep: (bytes: number) => void,
  ): DiscoveryStream {
    const { viewOf, generation, clock, log, metrics, workloads } = this.#options;
    if (proxy.registration !== undefined) workloads?.connected(proxy);
    this.#serials += 1;
    const stream = new DiscoveryStream({
      proxy,
      protocol,
      sink,
      viewOf: (typeUrl) => viewOf(proxy, typeUrl),
      generation,
      clock,
      isModelSettling: () => this.#options.turns?.isSettling() === true,
      turnMs: () => this.#turnMs(),
      serial: this.#serials,
      bodies: this.#bodies,
      keep,
      pending: () => this.#pumpLater(stream),
      observer: {
        expired: (typeUrl) => metrics.expired(typeUrl),
        pushed: (typeUrl, bytes, sinceMs, tookMs) => metrics.pushed(typeUrl, bytes, sinceMs, tookMs),
        rejected: (typeUrl, reason) => {
          metrics.rejected(typeUrl);
          log.warn("a proxy rejected its configuration", { proxy: proxy.id, type: shortTypeName(typeUrl), reason });
        },
      },
    });
    this.#forgetBodiesLater();
    this.streams.add(stream);
    this.#connected.set(proxy.id, (this.#connected.get(proxy.id) ?? 0) + 1);
    this.#gone.forget(proxy.id);
    this.#counted.set(stream, metrics.connected(proxy.version));
    log.info("a proxy connected", { proxy: proxy.id, type: proxy.type, protocol, version: proxy.version });
    return stream;
  }

  #close(stream: DiscoveryStream): void {
    const { clock, log } = this.#options;
    stream.close();
    if (!this.streams.delete(stream)) return;
    if (this.streams.size === 0) this.#forgetBodies();
    const { proxy } = stream;
    if (proxy.registration !== undefined) this.#options.workloads?.disconnected(proxy);
    this.#counted.get(stream)?.[Symbol.dispose]();
    this.#counted.delete(stream);
    const others = (this.#connected.get(proxy.id) ?? 1) - 1;
    if (others > 0) this.#connected.set(proxy.id, others);
    else {
      this.#connected.delete(proxy.id);
      this.#gone.remember(proxy, clock.nowMs());
    }
    log.info("a proxy disconnected", { proxy: proxy.id, type: proxy.type });
  }
}

/** The proxy that a client's first request names, after the check of its credentials. */
function identified(
  claimed: ProxyIdentity,
  protocol: DiscoveryProtocol,
  sink: ResponseSink,
  authorize: (proxy: ProxyIdentity) => boolean | ProvenAccount,
): ProxyIdentity {
  const proven = authorize(claimed);
  return {
    ...claimed,
    peer: sink.peer ?? "",
    // The state-of-the-world protocol has no virtual host discovery.
    virtualHostDiscovery: claimed.virtualHostDiscovery && protocol === "delta",
    verified: proven !== false,
    ...(typeof proven === "boolean" ? {} : { account: proven }),
  };
}
