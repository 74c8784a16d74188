import { create, fromBinary, toBinary, type JsonObject } from "@bufbuild/protobuf";
import type { ClientDuplexStream } from "@grpc/grpc-js";
import {
  Backoff,
  messageOf,
  systemClock,
  systemRandom,
  onAbort,
  type Clock,
  type Logger,
  type Random,
} from "../../base/index.ts";
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
  LocalitySchema,
  NodeSchema,
  StatusSchema,
  type DeltaDiscoveryResponse,
  type Node,
} from "../../wire/discovery/index.ts";
import { discoveryMethods } from "../../wire/xds/index.ts";
import { callMetadata, connectChannel, type ControlPlaneEndpoint } from "../grpc-channel.ts";
import type { XdsClient, XdsNode, XdsSubscription, XdsUpdate } from "./xds-types.ts";

export interface DeltaXdsClientOptions {
  readonly endpoint: ControlPlaneEndpoint;
  readonly node: XdsNode;
  /** The subscriptions, in the order in which they are requested. */
  readonly subscriptions: readonly XdsSubscription[];
  readonly log: Logger;
  readonly clock?: Clock;
  readonly random?: Random;
  /** Called when a stream ends or cannot be opened, unless this client ended it. */
  readonly onEnded?: (reason: "Complete" | "Error" | "ConnectionError") => void;
}

/** The gRPC code for a resource that cannot be used. */
const invalidArgument = 3;
const reconnectInitialMs = 100;
/**
 * The time limits of an attempt to connect, in milliseconds. Each attempt after a failed one gets twice the time, up to
 * the longest, so that slow nodes connect too.
 */
const connectTimeoutMs = { first: 2_000, longest: 10_000 } as const;
/**
 * The longest pause between two attempts to connect, in milliseconds. It is short, because new pods wait during the
 * pause when an istiod has restarted.
 */
const reconnectMaxMs = 2_000;

interface Subscribed {
  readonly subscription: XdsSubscription;
  /** The versions of the applied resources by name, so that a reconnect transfers only changes. */
  readonly versions: Map<string, string>;
  names: Set<string>;
  synced: boolean;
  /** Whether this stream has requested the type already. */
  requested: boolean;
}

type DeltaStream = ClientDuplexStream<Buffer, Buffer>;

/**
 * A client of incremental ADS: one stream for all types, with ACKs and NACKs. It reconnects by itself, and keeps its
 * resources meanwhile.
 */
export class DeltaXdsClient implements XdsClient {
  readonly synced: Promise<void>;
  readonly #options: DeltaXdsClientOptions;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #log: Logger;
  readonly #types = new Map<string, Subscribed>();
  #resolveSynced: () => void = () => undefined;
  #stream: DeltaStream | undefined;
  #connected = false;
  #applying = 0;
  #node: Node | undefined;
  /** The reports about this client's own workload by type, see {@link tell}. Undefined means that nothing is wrong. */
  readonly #answered = new Map<string, string | undefined>();

  constructor(options: DeltaXdsClientOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? systemRandom;
    this.#log = options.log;
    for (const subscription of options.subscriptions) {
      this.#types.set(subscription.typeUrl, {
        subscription,
        versions: new Map(),
        names: new Set(),
        synced: false,
        requested: false,
      });
    }
    this.synced = new Promise((resolve) => {
      this.#resolveSynced = resolve;
    });
  }

  get connected(): boolean {
    return this.#connected;
  }

  get behind(): boolean {
    return this.#applying > 0 || (this.#stream?.readableLength ?? 0) > 0;
  }

  setNames(typeUrl: string, names: Iterable<string>): void {
    const type = this.#types.get(typeUrl);
    if (type === undefined || type.subscription.mode !== "named")
      throw new TypeError(`${typeUrl} is not subscribed to by name`);
    const wanted = new Set(names);
    const added = [...wanted].filter((name) => !type.names.has(name));
    const removed = [...type.names].filter((name) => !wanted.has(name));
    type.names = wanted;
    for (const name of removed) type.versions.delete(name);
    if (this.#stream === undefined || (added.length === 0 && removed.length === 0)) return;
    if (!type.requested) this.#requestType(type);
    else this.#send({ typeUrl, resourceNamesSubscribe: added, resourceNamesUnsubscribe: removed });
  }

  /**
   * Reports the state of this client's own workload to the control plane, now and after each reconnect. `error`
   * describes what is wrong.
   */
  tell(typeUrl: string, error: string | undefined): void {
    this.#answered.set(typeUrl, error);
    if (this.#stream !== undefined) this.#send({ typeUrl, ...(error === undefined ? {} : { error }) });
  }

  async run(signal: AbortSignal): Promise<void> {
    const backoff = new Backoff({ initialMs: reconnectInitialMs, maxMs: reconnectMaxMs, random: this.#random });
    let timeoutMs: number = connectTimeoutMs.first;
    while (!signal.aborted) {
      let hadBegun = false;
      try {
        await this.#connectOnce(signal, timeoutMs, () => {
          hadBegun = true;
          backoff.reset();
        });
        if (!signal.aborted) this.#options.onEnded?.("Complete");
        if (!signal.aborted) this.#log.info("XDS stream ended, reconnecting", { server: this.#options.endpoint.url });
      } catch (error) {
        if (!signal.aborted) this.#options.onEnded?.(hadBegun ? "Error" : "ConnectionError");
        if (!signal.aborted)
          this.#log.warn("XDS client connection error", {
            server: this.#options.endpoint.url,
            error: messageOf(error),
          });
      }
      if (signal.aborted) return;
      timeoutMs = hadBegun ? connectTimeoutMs.first : Math.min(2 * timeoutMs, connectTimeoutMs.longest);
      await this.#clock.sleep(backoff.nextMs(), signal).catch(() => undefined);
    }
  }

  async #connectOnce(signal: AbortSignal, timeoutMs: number, onResponse: () => void): Promise<void> {
    const { endpoint } = this.#options;
    const metadata = await callMetadata(endpoint);
    const client = await connectChannel(endpoint, { timeoutMs, clock: this.#clock, random: this.#random, signal });
    try {
      const identity = (bytes: Buffer) => bytes;
      const stream = client.makeBidiStreamRequest(discoveryMethods.deltaAds, identity, identity, metadata);
      const ended = this.#follow(stream, onResponse);
      using _cancel = onAbort(signal, () => stream.cancel());
      this.#begin(stream);
      await ended;
    } finally {
      this.#stream = undefined;
      this.#connected = false;
      client.close();
    }
  }

  #follow(stream: DeltaStream, onResponse: () => void): Promise<void> {
    return new Promise((resolve, reject) => {
      stream.on("metadata", () => {
        this.#connected = true;
      });
      stream.on("data", (bytes: Buffer) => {
        if (!this.#connected) this.#connected = true;
        onResponse();
        this.#receive(bytes);
      });
      stream.on("end", () => resolve());
      stream.on("error", (error: Error) => reject(error));
    });
  }

  #begin(stream: DeltaStream): void {
    this.#stream = stream;
    this.#node = nodeMessage(this.#options.node);
    for (const type of this.#types.values()) {
      type.requested = false;
      // A named subscription without names would be treated as a wildcard.
      if (type.subscription.mode === "wildcard" || type.names.size > 0) this.#requestType(type);
    }
    for (const [typeUrl, error] of this.#answered) this.#send({ typeUrl, ...(error === undefined ? {} : { error }) });
  }

  #requestType(type: Subscribed): void {
    type.requested = true;
    this.#send({
      typeUrl: type.subscription.typeUrl,
      resourceNamesSubscribe: [...type.names],
      initialResourceVersions: Object.fromEntries(type.versions),
    });
  }

  #send(request: {
    readonly typeUrl: string;
    readonly resourceNamesSubscribe?: string[];
    readonly resourceNamesUnsubscribe?: string[];
    readonly initialResourceVersions?: Record<string, string>;
    readonly responseNonce?: string;
    readonly error?: string;
  }): void {
    const { error, ...fields } = request;
    const node = this.#node;
    this.#node = undefined;
    const message = create(DeltaDiscoveryRequestSchema, {
      ...fields,
      ...(node === undefined ? {} : { node }),
      ...(error === undefined ? {} : { errorDetail: create(StatusSchema, { code: invalidArgument, message: error }) }),
    });
    this.#stream?.write(Buffer.from(toBinary(DeltaDiscoveryRequestSchema, message)));
  }

  #receive(bytes: Buffer): void {
    let response: DeltaDiscoveryResponse;
    try {
      response = fromBinary(DeltaDiscoveryResponseSchema, bytes);
    } catch (error) {
      this.#log.error("an XDS response cannot be decoded", { error: messageOf(error) });
      this.#stream?.cancel();
      return;
    }
    const { typeUrl, nonce: responseNonce } = response;
    const type = this.#types.get(typeUrl);
    if (type === undefined) {
      this.#log.warn("an XDS response has a type that was not asked for", { type: typeUrl });
      this.#send({ typeUrl, responseNonce, error: `${typeUrl} was not subscribed to` });
      return;
    }
    const stream = this.#stream;
    const outcome = this.#apply(type, updateOf(response));
    const answer = (error: string | undefined): void =>
      this.#send({ typeUrl, responseNonce, ...(error === undefined ? {} : { error }) });
    if (!(outcome instanceof Promise)) {
      answer(outcome);
      return;
    }
    // Updates are applied in order, so the next one waits for this one.
    stream?.pause();
    this.#applying += 1;
    void outcome.then((error) => {
      this.#applying -= 1;
      if (this.#stream !== stream) return;
      answer(error);
      stream?.resume();
    });
  }

  /** Returns the reason if the update was refused, otherwise undefined. */
  #apply(type: Subscribed, update: XdsUpdate): string | undefined | Promise<string | undefined> {
    try {
      const applying = type.subscription.apply(update);
      if (applying === undefined) return this.#accepted(type, update);
      return applying.then(
        () => this.#accepted(type, update),
        (error: unknown) => this.#refused(update, error),
      );
    } catch (error) {
      return this.#refused(update, error);
    }
  }

  #refused(update: XdsUpdate, error: unknown): string {
    const reason = messageOf(error);
    this.#log.warn("an XDS response is rejected", {
      type: update.typeUrl,
      resources: update.resources.length,
      error: reason,
    });
    return reason;
  }

  #accepted(type: Subscribed, update: XdsUpdate): undefined {
    for (const resource of update.resources) type.versions.set(resource.name, resource.version);
    for (const name of update.removed) type.versions.delete(name);
    this.#log.debug("received response", {
      type: update.typeUrl,
      size: update.resources.length,
      removes: update.removed.length,
    });
    if (!type.synced) {
      type.synced = true;
      const wildcards = [...this.#types.values()].filter((state) => state.subscription.mode === "wildcard");
      if (wildcards.every((state) => state.synced)) this.#resolveSynced();
    }
    return undefined;
  }
}

function updateOf(response: DeltaDiscoveryResponse): XdsUpdate {
  const { typeUrl } = response;
  return {
    typeUrl,
    resources: response.resources.map((resource) => ({
      name: resource.name,
      version: resource.version,
      aliases: resource.aliases,
      typeUrl,
      body: resource.resource?.value ?? new Uint8Array(0),
    })),
    removed: response.removedResources,
  };
}

/** The message by which an xDS client introduces itself. */
export function nodeMessage(node: XdsNode): Node {
  return create(NodeSchema, {
    id: node.id,
    cluster: node.cluster ?? "",
    // Remove properties with the value undefined, which a JSON object must not contain.
    metadata: JSON.parse(JSON.stringify(node.metadata)) as JsonObject,
    ...(node.locality === undefined ? {} : { locality: create(LocalitySchema, node.locality) }),
  });
}
