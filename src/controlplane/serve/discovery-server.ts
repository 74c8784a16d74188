import type { ProvenAccount } from "../ca/index.ts";
import { messageOf, toSerinError, transientError, userError, type Clock, type Logger } from "../../base/index.ts";
import { SharedBudget, type BudgetShare } from "../../base/shared-budget/index.ts";
import { typeUrls } from "../../wire/xds/index.ts";
import { AcknowledgementReader } from "./acknowledgement-reader.ts";
import { debugConnection, type DebugConnection, type DebugRequest } from "./debug-connection.ts";
import type { DiscoveryMetrics } from "./discovery-metrics.ts";
import { DiscoveryStream, keptReason, type ResponseSink } from "./discovery-stream.ts";
import { GoneProxies, type GoneProxy } from "./gone-proxies.ts";
import { HeldRequests } from "./held-requests.ts";
import { bytesOfTexts, readProxyIdentity, type ProxyIdentity } from "./proxy-identity.ts";
import type { WorkloadProxies } from "./proxy-registration.ts";
import { shortTypeName } from "./push-order.ts";
import { decodeRequest, resourceRequest, type DiscoveryProtocol } from "./read-request.ts";
import type { ResourceView } from "./resource-view.ts";
import { ResponseBodies } from "./response-encoder.ts";

export interface DebugAnswerer {
  /** The bytes of a response. Rejects with a user error if the stream must end. */
  answer(server: DiscoveryServer, proxy: ProxyIdentity, request: DebugRequest): Promise<Buffer>;
}

export interface DiscoveryServerOptions {
  readonly viewOf: (proxy: ProxyIdentity, typeUrl: string) => ResourceView;
  /** The generation of the model, which grows with each settling. */
  readonly generation: () => number;
  /** Handles machines outside of the cluster. If absent, this control plane does not handle them. */
  readonly workloads?: WorkloadProxies<ProxyIdentity> | undefined;
  /** Answers debug requests. If absent, they get no answer, like requests for unknown types. */
  readonly debug?: DebugAnswerer | undefined;
  /** Lets the model settle in several turns of the event loop. If absent, it always settles in one. */
  readonly turns?: ModelTurns | undefined;
  readonly metrics: DiscoveryMetrics;
  /** The limit of the memory that the server keeps for single clients only. 512 MiB if absent. */
  readonly maxKeptBytes?: number;
  readonly clock: Clock;
  readonly log: Logger;
}

/** A model that settles in several turns of the event loop. In between, its views are partly old and partly new. */
export interface ModelTurns {
  readonly isSettling: () => boolean;
  /** Ends the settling at once. */
  readonly settle: () => void;
  /** Computes the views of a proxy before it subscribes. Returns false if this takes longer. */
  readonly expect: (proxy: ProxyIdentity) => boolean;
}

/** One connected client, before and after its first request names its node. */
export interface DiscoveryClient {
  /** Takes the bytes of a request. They are only read during the call. Throws a user error if the stream must end. */
  receive(bytes: Uint8Array): void;
  drained(): void;
  close(): void;
}

/** The time limit for a client's first request, far more than any client needs. */
const maxSilenceMs = 30_000;
const keepBodiesMs = 3000;
/**
 * The limit of the memory that the server keeps for single clients only: their identities, and names of resources that
 * do not exist. A client of the port without authentication chooses all of this. A proxy needs about ten kilobytes.
 */
const defaultKeptBytes = 512 << 20;
/** The memory for each client, in addition to its labels, metadata and networks. */
const bytesOfClient = 16 << 10;

/** The memory that the server keeps for one client. Throws if the client's address exceeds its share. */
interface KeptMemory {
  readonly forItself: (bytes: number) => void;
  readonly forStream: (bytes: number) => void;
  readonly end: () => void;
}

/** All discovery streams of this control plane. Knows nothing of gRPC. */
export class DiscoveryServer {
  readonly streams = new Set<DiscoveryStream>();
  readonly #options: DiscoveryServerOptions;
  /** Streams by the id of their proxy. */
  readonly #connected = new Map<string, number>();
  readonly #gone = new GoneProxies();
  /** Streams that have something to send when the model has settled. */
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

  /** Proxies that connect at the same time get the same responses. Remembering later ones is not worth the memory. */
  #forgetBodiesLater(): void {
    this.#forgetting ??= this.#options.clock.after(keepBodiesMs, () => this.#forgetBodies());
  }

  #forgetBodies(): void {
    this.#forgetting?.[Symbol.dispose]();
    this.#forgetting = undefined;
    this.#bodies.clear();
  }

  /**
   * `authorize` throws if the caller may not be the proxy that its node names. It returns whether the caller has proven
   * its identity, and its account.
   */
  connect(
    protocol: DiscoveryProtocol,
    sink: ResponseSink,
    authorize: (proxy: ProxyIdentity) => boolean | ProvenAccount,
  ): DiscoveryClient {
    let stream: DiscoveryStream | undefined;
    let proxy: ProxyIdentity | undefined;
    const kept = this.#keptFor(sink.peer ?? "");
    const debug = this.#debugConnection(protocol, sink);
    // Without this limit, a stream without requests would stay open forever.
    const { clock } = this.#options;
    const refuse = (): void =>
      sink.refuse?.(
        userError("bad-request", `the first request of a stream must come within ${maxSilenceMs / 1000} s`),
      );
    const silence = sink.afterSilence?.(clock, maxSilenceMs, refuse) ?? clock.after(maxSilenceMs, refuse);
    let isOpen = true;
    let heldCount = 0;
    const take = (bytes: Uint8Array): void => {
      const accepted = stream === undefined || protocol !== "delta" ? undefined : this.#acknowledgements.read(bytes);
      if (accepted !== undefined && stream?.accept(accepted.typeUrl, accepted.nonce) === true) return;
      const request = decodeRequest(protocol, bytes);
      if (proxy === undefined) {
        silence[Symbol.dispose]();
        proxy = identified(readProxyIdentity(request.node), protocol, sink, authorize);
        kept.forItself(bytesOfClient + bytesOfTexts(proxy));
      }
      // A client that sends only debug requests is not a proxy and gets no stream.
      if (debug.take(proxy, request)) return;
      if (stream === undefined && this.#options.turns?.expect(proxy) === false) return hold(bytes);
      stream ??= this.#open(protocol, sink, proxy, kept.forStream);
      if (request.typeUrl === typeUrls.healthInformation) {
        this.#options.workloads?.probed(stream.proxy, {
          healthy: request.errorDetail === undefined,
          message: keptReason(request.errorDetail?.message ?? ""),
        });
        return;
      }
      stream.receive(resourceRequest(request));
    };
    const takeHeld = (bytes: Uint8Array): void => {
      heldCount -= 1;
      if (!isOpen) return;
      try {
        take(bytes);
      } catch (error) {
        sink.refuse?.(toSerinError(error));
      }
    };
    const hold = (bytes: Uint8Array): void => {
      heldCount += 1;
      this.#held.hold({ bytes, take: takeHeld });
    };
    return {
      receive: (bytes) => {
        // Debug pages show the state during a settling too. A held request comes first, because it may name the node.
        const isHeld = this.#isSettling() && (heldCount > 0 || !debug.isFor(bytes)) && this.#canHold();
        (isHeld ? hold : take)(bytes);
      },
      drained: () => {
        debug.drained();
        stream?.drained();
      },
      close: () => {
        isOpen = false;
        debug.close();
        silence[Symbol.dispose]();
        if (stream !== undefined) this.#close(stream);
        stream = undefined;
        kept.end();
      },
    };
  }

  #debugConnection(protocol: DiscoveryProtocol, sink: ResponseSink): DebugConnection {
    const { debug } = this.#options;
    const answer = debug?.answer.bind(debug, this);
    return debugConnection(answer, protocol, sink);
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

  /** Whether requests wait for the model. */
  #isSettling(): boolean {
    const { turns } = this.#options;
    return turns !== undefined && (turns.isSettling() || !this.#held.isEmpty);
  }

  /** Whether one more request can wait for the model. Ends the settling if too many wait. */
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

  /** Sends what the last settling changed. Returns false if the time was too short for some streams. */
  flush(budgetMs = Number.POSITIVE_INFINITY): boolean {
    // While proxies connect, the model settles for each new one, but this does not change what they need.
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

  /** Proxies that disconnected a short while ago. */
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
        expired: (typeUrl) => metrics.expired(shortTypeName(typeUrl)),
        pushed: (typeUrl, bytes, sinceMs, tookMs) => metrics.pushed(shortTypeName(typeUrl), bytes, sinceMs, tookMs),
        rejected: (typeUrl, reason) => {
          metrics.rejected(shortTypeName(typeUrl));
          log.warn("a proxy rejected its configuration", { proxy: proxy.id, type: shortTypeName(typeUrl), reason });
        },
      },
    });
    this.#forgetBodiesLater();
    this.streams.add(stream);
    this.#connected.set(proxy.id, (this.#connected.get(proxy.id) ?? 0) + 1);
    this.#gone.forget(proxy.id);
    metrics.connected(proxy.version, 1);
    log.info("a proxy connected", { proxy: proxy.id, type: proxy.type, protocol, version: proxy.version });
    return stream;
  }

  #close(stream: DiscoveryStream): void {
    const { clock, log, metrics } = this.#options;
    stream.close();
    if (!this.streams.delete(stream)) return;
    if (this.streams.size === 0) this.#forgetBodies();
    const { proxy } = stream;
    if (proxy.registration !== undefined) this.#options.workloads?.disconnected(proxy);
    metrics.connected(proxy.version, -1);
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
    // Virtual host discovery exists only in the delta protocol.
    virtualHostDiscovery: claimed.virtualHostDiscovery && protocol === "delta",
    verified: proven !== false,
    ...(typeof proven === "boolean" ? {} : { account: proven }),
  };
}
