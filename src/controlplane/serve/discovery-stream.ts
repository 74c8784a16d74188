import { ownCopy, truncated, userError, type Clock, type SerinError } from "../../base/index.ts";
import { typeUrls } from "../../wire/xds/index.ts";
import { AcknowledgementWait } from "./acknowledgement-wait.ts";
import { AddressDemand } from "./address-demand.ts";
import type { ProxyIdentity } from "./proxy-identity.ts";
import { byPushOrder, chainOf, isWholeInStateOfTheWorld, typesAfter, typesBefore } from "./push-order.ts";
import { namedClusters } from "./named-clusters.ts";
import type { ResourceRequest } from "./read-request.ts";
import { groupsOf, type ResourceView } from "./resource-views/resource-view.ts";
import { encodeHead, type ResponseBodies } from "./response-encoder.ts";
import { SentClusters } from "./sent-clusters.ts";
import { versionOf } from "./state-version.ts";
import { StreamMemory } from "./stream-memory.ts";
import { Subscription, type Delivery, type DuePart } from "./subscription.ts";

export interface ResponseSink {
  /** The address from which the client connects. Absent if unknown. */
  readonly peer?: string;
  /**
   * The parts form one response. Their bytes must not change afterwards. If this returns false, the stream must wait
   * for {@link DiscoveryStream.drained}.
   */
  write(parts: readonly Buffer[]): boolean;
  /** Ends the stream with an error. If absent, the stream's owner does that. */
  refuse?(error: SerinError): void;
  /**
   * Calls `run` if the client sends nothing in this time, unless the result is disposed of. If absent, the clock alone
   * measures the time.
   */
  afterSilence?(clock: Clock, ms: number, run: () => void): Disposable;
}

export interface StreamObserver {
  pushed(typeUrl: string, bytes: number, sinceMs: number | undefined, tookMs: number): void;
  rejected(typeUrl: string, reason: string): void;
  /** Called for a nonce that belongs to another response than the last one. */
  expired(typeUrl: string): void;
}

export interface DiscoveryStreamOptions {
  readonly proxy: ProxyIdentity;
  readonly protocol: "delta" | "state-of-the-world";
  readonly sink: ResponseSink;
  readonly viewOf: (typeUrl: string) => ResourceView;
  readonly generation: () => number;
  readonly clock: Clock;
  /** The time of this turn of the event loop. All streams learn of a change in one turn. */
  readonly turnMs: () => number;
  readonly isModelSettling: () => boolean;
  readonly observer: StreamObserver;
  /** A number that is unique in this process. The stream's nonces begin with it. */
  readonly serial: number;
  /** The encoded bodies of responses, which all streams share. */
  readonly bodies: ResponseBodies;
  /** Called with an estimate of the memory that only this client makes the stream keep. Throws if that is too much. */
  readonly keep: (bytes: number) => void;
  readonly pending: () => void;
}

/** The maximum number of types of a stream, far more than any proxy requests. It limits the stream's memory. */
const maxTypes = 32;
const maxNames = 200_000;
/** The maximum length of a client's reason for a NACK or for an unhealthy application. The rest is cut off. */
const maxReasonCharacters = 4096;
/** Types that make a proxy send requests to clusters. */
const usesClusters: ReadonlySet<string> = new Set([typeUrls.listener, typeUrls.route, typeUrls.virtualHost]);
/**
 * How long a proxy waits for the first answer as long as its pod has not been seen. It then gets the resources that are
 * known so far.
 */
const unknownWaitMs = 5000;

/**
 * One discovery stream of one proxy, over either protocol. All work is synchronous. Each type has at most one
 * unacknowledged response at a time.
 */
export class DiscoveryStream {
  readonly proxy: ProxyIdentity;
  readonly connectedAtMs: number;
  readonly subscriptions = new Map<string, Subscription>();
  /** Whether the stream is in the server's list of streams with something to send. The server sets it. */
  isPending = false;
  readonly #options: DiscoveryStreamOptions;
  readonly #viewSubscriptions: Disposable[] = [];
  readonly #clusters: SentClusters;
  #ordered: readonly Subscription[] | undefined;
  readonly #acknowledgements: AcknowledgementWait;
  readonly #memory: StreamMemory;
  #waiting: Disposable | undefined;
  #gaveUpWaiting = false;
  #nonces = 0;
  /** Whether any subscription may have something to send. The stream looks at them only then. */
  #mayBeDue = false;
  #writable = true;
  #closed = false;

  constructor(options: DiscoveryStreamOptions) {
    this.#options = options;
    this.proxy = options.proxy;
    this.connectedAtMs = options.clock.nowMs();
    this.#clusters = new SentClusters(options.proxy.envoy);
    this.#memory = new StreamMemory(this.subscriptions, options.keep);
    this.#acknowledgements = new AcknowledgementWait(options.clock, () => {
      this.#clusters.stopWarming();
      this.pump();
      // While the model settles, nothing is sent. The wait stays over then, so that the stream sends as soon as the
      // model has settled.
      if (!options.isModelSettling()) this.#acknowledgements.end();
    });
  }

  receive(request: ResourceRequest): void {
    const known = this.subscriptions.get(request.typeUrl);
    const first = known === undefined;
    const subscription = known ?? this.#open(request.typeUrl);
    if (
      request.nonce !== "" &&
      !first &&
      !this.#acknowledge(subscription, {
        nonce: request.nonce,
        rejection: request.rejection,
        isWhole: request.whole !== undefined,
      })
    )
      return;
    if (request.whole === undefined) this.#updateDelta(subscription, request, first);
    else this.#updateWhole(subscription, request.whole, first);
    this.#memory.refuseTooMuch();
    this.#mayBeDue = true;
    this.pump();
    if (this.#memory.hasUnread) this.#memory.refuseTooMuch();
  }

  /** Does the same as {@link receive} for a plain ACK. Returns false if the request must be decoded as a whole. */
  accept(typeUrl: string, nonce: string): boolean {
    const subscription = this.subscriptions.get(typeUrl);
    if (subscription === undefined || nonce === "" || subscription.sent === "") return false;
    if (this.#acknowledge(subscription, { nonce, rejection: undefined, isWhole: false })) this.pump();
    return true;
  }

  drained(): void {
    this.#writable = true;
    this.#memory.read();
    this.pump();
  }

  close(): void {
    this.#closed = true;
    this.#acknowledgements.end();
    this.#waiting?.[Symbol.dispose]();
    for (const { demand } of this.subscriptions.values()) demand?.close();
    for (const subscription of this.#viewSubscriptions) subscription[Symbol.dispose]();
    this.#viewSubscriptions.length = 0;
  }

  /** Whether all responses that this generation caused are acknowledged. False before the first request. */
  hasAcknowledged(generation: number): boolean {
    return (
      this.subscriptions.size > 0 &&
      [...this.subscriptions.values()].every((subscription) => subscription.hasAcknowledged(generation))
    );
  }

  pump(): void {
    // The server calls this again when the views are complete.
    if (this.#options.isModelSettling()) return this.#options.pending();
    let progressed = this.#mayBeDue;
    while (progressed && this.#writable && !this.#closed) {
      progressed = false;
      this.#mayBeDue = false;
      for (const subscription of this.#inOrder()) {
        if (!subscription.isDue) continue;
        this.#mayBeDue = true;
        if (!this.#writable) return;
        if (this.#step(subscription)) progressed = true;
      }
    }
  }

  #inOrder(): readonly Subscription[] {
    this.#ordered ??= [...this.subscriptions.values()].sort((left, right) => byPushOrder(left.typeUrl, right.typeUrl));
    return this.#ordered;
  }

  #step(subscription: Subscription): boolean {
    if (subscription.outstanding !== undefined) return false;
    if (subscription.hasAsked) return this.#isKnown(subscription) && this.#send(subscription, "asked");
    if (subscription.hasChanged && this.#mayAdd(subscription))
      return this.#removeNamedClusters(subscription) || this.#send(subscription, "changed");
    if (subscription.hasRemoved && !subscription.hasChanged && this.#mayRemove(subscription))
      return this.#send(subscription, "removed");
    return false;
  }

  /**
   * Whether the proxy's view is known, or the stream has waited long enough for it. With an empty answer, a proxy would
   * become ready and serve nothing.
   */
  #isKnown({ view }: Subscription): boolean {
    if (this.#gaveUpWaiting || view.known?.() !== false) return true;
    this.#waiting ??= this.#options.clock.after(unknownWaitMs, () => {
      this.#gaveUpWaiting = true;
      this.pump();
    });
    this.#options.pending();
    return false;
  }

  /**
   * Whether additions may be sent. First, the client must acknowledge the earlier types of the chain and the endpoints
   * of new clusters.
   */
  #mayAdd(subscription: Subscription): boolean {
    const settled = this.#areIdle(typesBefore(subscription.typeUrl));
    const warm = this.#clusters.areWarm || !usesClusters.has(subscription.typeUrl);
    return (settled && warm) || this.#acknowledgements.isOver();
  }

  /**
   * Whether removals may be sent. First, the client must acknowledge all additions of the chain, and the removals of
   * the chain's later types must be sent.
   */
  #mayRemove(subscription: Subscription): boolean {
    const settled = this.#areIdle(chainOf(subscription.typeUrl));
    return (
      (settled &&
        this.#clusters.areWarm &&
        typesAfter(subscription.typeUrl).every((typeUrl) => this.subscriptions.get(typeUrl)?.hasRemoved !== true)) ||
      this.#acknowledgements.isOver()
    );
  }

  /**
   * Sends the removal of clusters before a listener that names them. Returns whether it did. A filter that fetches keys
   * may name a cluster that does not exist. If the client still had that cluster, it would fetch the keys through it.
   */
  #removeNamedClusters(subscription: Subscription): boolean {
    const clusters = this.subscriptions.get(typeUrls.cluster);
    if (subscription.typeUrl !== typeUrls.listener || clusters?.hasRemoved !== true) return false;
    if (clusters.outstanding !== undefined) return false;
    const named = new Set<string>();
    for (const listener of subscription.changed())
      for (const name of namedClusters(listener)) if (clusters.isRemoved(name)) named.add(name);
    return named.size > 0 && this.#send(clusters, named);
  }

  #areIdle(typesOfChain: readonly string[]): boolean {
    for (const typeUrl of typesOfChain) if (this.subscriptions.get(typeUrl)?.idle === false) return false;
    return true;
  }

  #send(subscription: Subscription, part: DuePart): boolean {
    const { protocol, sink, clock, observer, serial, bodies } = this.#options;
    const startedMs = clock.steadyMs();
    const delivery = protocol === "delta" ? subscription.take(part) : this.#wholeDelivery(subscription, part);
    if (delivery === undefined) return false;
    this.#nonces += 1;
    const nonce = `${serial}-${this.#nonces}`;
    const isDelta = protocol === "delta";
    const head = encodeHead({
      version: isDelta ? "" : versionOf(delivery.groups),
      typeUrl: subscription.typeUrl,
      nonce,
      removed: isDelta ? delivery.removed : [],
    });
    const parts = [head];
    let bytes = head.length;
    for (const group of delivery.groups) {
      for (const body of bodies.bodyOf(group, isDelta ? "delta" : "any")) {
        parts.push(body);
        bytes += body.length;
      }
    }
    if (subscription.typeUrl === typeUrls.cluster) this.#noteClusters(delivery, part);
    if (subscription.typeUrl === typeUrls.endpoint) this.#clusters.withoutEndpoints(delivery.removed);
    if (subscription.typeUrl === typeUrls.route) this.#noteTables(delivery);
    subscription.sent = nonce;
    subscription.outstanding = { nonce, range: delivery.range, groups: delivery.groups };
    this.#writable = sink.write(parts);
    if (delivery.removed.length > 0) this.#memory.sentNames(head.length, this.#writable);
    const nowMs = clock.steadyMs();
    observer.pushed(
      subscription.typeUrl,
      bytes,
      delivery.sinceMs === undefined ? undefined : nowMs - delivery.sinceMs,
      nowMs - startedMs,
    );
    return true;
  }

  /**
   * A state-of-the-world response. It is complete for listeners and clusters, and for clients that want all resources
   * of a type. Otherwise it contains only what changed, because the protocol cannot express removals of other types.
   */
  #wholeDelivery(subscription: Subscription, part: DuePart): Delivery | undefined {
    if (!isWholeInStateOfTheWorld(subscription.typeUrl) && !subscription.wildcard) {
      const delivery = subscription.take(part);
      return delivery.groups.length === 0 && part !== "asked" ? undefined : delivery;
    }
    const groups = subscription.wildcard
      ? groupsOf(subscription.view)
      : [[...subscription.names].flatMap((name) => subscription.view.get(name) ?? [])];
    return { groups, removed: [], ...subscription.takeAll() };
  }

  #noteClusters(delivery: Delivery, part: DuePart): void {
    const endpoints = this.subscriptions.get(typeUrls.endpoint);
    this.#clusters.send({
      delivery,
      part,
      isComplete: this.#options.protocol === "state-of-the-world",
      hasEndpoints: (name) => endpoints?.view.get(name) !== undefined,
    });
    if (endpoints !== undefined)
      endpoints.askIfAny(this.#clusters.takeOwed(endpoints.names), this.#options.generation());
  }

  /**
   * Queues the virtual hosts of the route configurations in a response. A client that receives a route configuration
   * again does not ask for its virtual hosts if it already has some.
   */
  #noteTables({ groups }: Delivery): void {
    const hosts = this.subscriptions.get(typeUrls.virtualHost);
    if (hosts?.wildcard !== true) return;
    const tables = new Set(groups.flatMap((group) => group.map(({ name }) => name)));
    const names = groupsOf(hosts.view).flatMap((group) =>
      group.flatMap(({ name }) => (tables.has(name.slice(0, name.indexOf("/"))) ? name : [])),
    );
    hosts.askIfAny(names, this.#options.generation());
  }

  /**
   * Takes an ACK or a NACK. Returns false if it answers an older response, because its list of names is out of date
   * then. A nonce that was already acknowledged does not count as older: a state-of-the-world client sends it again to
   * request other names.
   */
  #acknowledge(
    subscription: Subscription,
    request: { readonly nonce: string; readonly rejection: string | undefined; readonly isWhole: boolean },
  ): boolean {
    const { outstanding } = subscription;
    if (outstanding === undefined || outstanding.nonce !== request.nonce) {
      if (request.nonce !== subscription.sent) this.#options.observer.expired(subscription.typeUrl);
      return !request.isWhole || request.nonce === subscription.sent;
    }
    subscription.outstanding = undefined;
    this.#acknowledgements.end();
    if (subscription.typeUrl === typeUrls.endpoint) this.#clusters.acknowledgeEndpoints(outstanding.groups);
    if (request.rejection === undefined) {
      subscription.acknowledged = outstanding.nonce;
      subscription.rejection = undefined;
    } else {
      const reason = keptReason(request.rejection);
      subscription.rejected = outstanding.nonce;
      subscription.rejection = { reason, range: outstanding.range };
      if (subscription.typeUrl === typeUrls.cluster) this.#clusters.stopWarming();
      this.#options.observer.rejected(subscription.typeUrl, reason);
    }
    return true;
  }

  #open(typeUrl: string): Subscription {
    if (this.subscriptions.size >= maxTypes)
      throw userError("bad-request", `a stream may subscribe to at most ${maxTypes} types of resources`);
    const { viewOf, generation, turnMs, pending } = this.#options;
    const view = viewOf(typeUrl);
    const subscription = new Subscription(typeUrl, view);
    this.subscriptions.set(typeUrl, subscription);
    this.#ordered = undefined;
    this.#viewSubscriptions.push(
      view.subscribe((names) => {
        const isDue = subscription.change(names, generation(), turnMs()) || subscription.hasAsked;
        if (!isDue) return;
        this.#mayBeDue = true;
        pending();
      }),
    );
    return subscription;
  }

  #updateDelta(subscription: Subscription, request: ResourceRequest, first: boolean): void {
    const generation = this.#options.generation();
    const names = request.subscribe.filter((name) => name !== "*");
    // A client that subscribes to "*" and unsubscribes from it in one request requests nothing. Recognize this, because
    // a first request without names requests everything.
    const [wantsAll, wantsNothing] = [
      request.subscribe.includes("*"),
      request.subscribe.includes("*") && request.unsubscribe.includes("*"),
    ];
    if (first && subscription.typeUrl === typeUrls.address && (wantsNothing || (names.length > 0 && !wantsAll)))
      subscription.demand = new AddressDemand(subscription.view, this.proxy.node);
    if (subscription.demand !== undefined) return this.#updateDemand(subscription, subscription.demand, names, request);
    const wildcard =
      request.subscribe.includes("*") ||
      (first && request.subscribe.length === 0 && Object.keys(request.known).length === 0) ||
      (first && isWildcardType(subscription.typeUrl) && names.length === 0);
    for (const name of request.unsubscribe) {
      if (name === "*") subscription.wildcard = false;
      else subscription.forget(name);
    }
    addNames(subscription, names);
    if (wildcard && !subscription.wildcard) {
      subscription.wildcard = true;
      subscription.askAll(request.known, generation);
    }
    if (names.length > 0) subscription.ask(names, request.known, generation);
    if (first && subscription.typeUrl === typeUrls.cluster) this.#noteClaims(subscription, request.known);
    if (subscription.typeUrl === typeUrls.endpoint) subscription.askIfAny(this.#clusters.takeOwed(names), generation);
  }

  /**
   * Records the clusters that the client claims to have. It may claim any number, so those that do not exist or that it
   * does not request are left out.
   */
  #noteClaims(clusters: Subscription, known: ResourceRequest["known"]): void {
    for (const [name, version] of Object.entries(known)) {
      const cluster = clusters.wants(name) ? clusters.view.get(name) : undefined;
      if (cluster !== undefined) this.#clusters.addKnown(cluster, version);
    }
  }

  #updateDemand(
    subscription: Subscription,
    demand: AddressDemand,
    names: readonly string[],
    request: ResourceRequest,
  ): void {
    for (const name of request.unsubscribe) subscription.forget(name);
    if (names.length > 0 || subscription.sent === "")
      subscription.askFor(
        [...names, ...(subscription.sent === "" ? Object.keys(request.known) : [])],
        demand,
        request.known,
        this.#options.generation(),
      );
    addNames(subscription, []);
  }

  #updateWhole(
    subscription: Subscription,
    whole: { readonly names: readonly string[]; readonly version: string },
    first: boolean,
  ): void {
    const generation = this.#options.generation();
    const wanted = new Set(whole.names.filter((name) => name !== "*"));
    const wildcard =
      whole.names.includes("*") ||
      (whole.names.length === 0 && (first || subscription.wildcard) && subscription.names.size === 0);
    const added = [...wanted].filter((name) => !subscription.names.has(name));
    for (const name of subscription.names) if (!wanted.has(name)) subscription.forget(name);
    addNames(subscription, [...wanted]);
    const newly = wildcard && !subscription.wildcard;
    subscription.wildcard = wildcard;
    if (newly) {
      if (whole.version === versionOf(groupsOf(subscription.view)) && whole.version !== "") return;
      subscription.askAll({}, generation);
    } else if (added.length > 0) {
      const resources = added.flatMap((name) => subscription.view.get(name) ?? []);
      const owed = subscription.typeUrl === typeUrls.endpoint && this.#clusters.takeOwed(wanted).length > 0;
      if (!owed && first && whole.version !== "" && whole.version === versionOf([resources])) return;
      // Old clients expect all requested resources. Listeners and clusters are always complete anyway.
      subscription.ask(subscription.names, {}, generation);
    }
  }
}

/** A copy of a reason that a client sent, cut to the maximum length. */
export function keptReason(reason: string): string {
  return ownCopy(truncated(reason, maxReasonCharacters));
}

function addNames({ names, typeUrl, view }: Subscription, wanted: readonly string[]): void {
  names.addAll(wanted, view);
  if (names.size > maxNames)
    throw userError("bad-request", `a stream may subscribe to at most ${maxNames} resources of ${typeUrl} by name`);
}

function isWildcardType(typeUrl: string): boolean {
  return (
    typeUrl === typeUrls.cluster ||
    typeUrl === typeUrls.listener ||
    typeUrl === typeUrls.address ||
    typeUrl === typeUrls.authorization ||
    typeUrl === typeUrls.nameTable ||
    typeUrl === typeUrls.virtualHost
  );
}
