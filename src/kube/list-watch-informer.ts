import { setMaxListeners } from "node:events";
import { keyOf, type KindDefinition, type KubernetesObject } from "../api/index.ts";
import {
  Backoff,
  describeError,
  SerinError,
  systemRandom,
  type Clock,
  type Logger,
  type Random,
} from "../base/index.ts";
import type { KubeClient, ListOptions, WatchEvent } from "./client.ts";
import type { Informer, InformerChange } from "./informer.ts";
import { describeObject } from "./resource-path.ts";
import { isCode } from "./status-error.ts";

export interface InformerOptions<Value extends KubernetesObject = KubernetesObject> extends ListOptions {
  /** Reduces objects before they are stored and delivered. It must keep name, namespace, uid and resourceVersion. */
  readonly transform?: (object: Value) => Value;
  /**
   * Whether to treat the kind as empty if the first list is forbidden. Otherwise the informer waits. If a later list is
   * forbidden, the known objects stay.
   */
  readonly emptyIfForbidden?: boolean;
  /** Whether to get the existing objects from the watch, which saves a list request. The server must support it. */
  readonly streamsList?: boolean;
  readonly log: Logger;
  readonly clock: Clock;
  readonly random?: Random;
}

/** The wait before the first retry. It is short, because a restarted control plane returns within seconds. */
const retryInitialMs = 50;
const retryMaxMs = 5_000;
/** The longest wait that the informer accepts from a busy server. */
const retryAfterMaxMs = 60_000;
/**
 * How long the server may not know the kind before the informer treats the kind as empty: `believeAbsentMs` before the
 * first list, and `believeGoneMs` afterwards. A server that has just started may not know custom kinds yet.
 */
const believeAbsentMs = 1_000;
const believeGoneMs = 10_000;

/** Creates an informer of one kind. It sends no request before {@link Informer.run}. */
export function createInformer<Value extends KubernetesObject>(
  client: KubeClient,
  kind: KindDefinition<Value>,
  options: InformerOptions<Value>,
): Informer<Value> {
  return new ListWatchInformer(client, kind, options);
}

type Handler<Value> = (change: InformerChange<Value>) => void;

/**
 * Lists the objects, and then watches from the list's version. A watch that ends is resumed from the last version that
 * events or bookmarks have shown. After a 410, lists again and delivers the differences as ordinary changes. While the
 * server does not know the kind (its CRD is missing), the kind is treated as empty.
 */
class ListWatchInformer<Value extends KubernetesObject> implements Informer<Value> {
  readonly synced: Promise<void>;
  readonly #client: KubeClient;
  readonly #kind: KindDefinition<Value>;
  readonly #list: ListOptions;
  readonly #transform: (object: Value) => Value;
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #backoff: Backoff;
  readonly #objects = new Map<string, Value>();
  readonly #handlers = new Set<Handler<Value>>();
  readonly #markSynced: () => void;
  readonly #object: string;
  readonly #emptyIfForbidden: boolean;
  readonly #streamsList: boolean;
  #hasSynced = false;
  #resourceVersion: string | undefined;
  #absentSinceMs: number | undefined;
  #isForbidden = false;

  constructor(client: KubeClient, kind: KindDefinition<Value>, options: InformerOptions<Value>) {
    const {
      log,
      clock,
      random = systemRandom,
      transform = (object) => object,
      emptyIfForbidden = false,
      streamsList = false,
      namespace,
      labelSelector,
      fieldSelector,
      excerpt,
      pageSize,
    } = options;
    const list: ListOptions = {
      ...(namespace === undefined ? {} : { namespace }),
      ...(labelSelector === undefined ? {} : { labelSelector }),
      ...(fieldSelector === undefined ? {} : { fieldSelector }),
      ...(excerpt === undefined ? {} : { excerpt }),
      ...(pageSize === undefined ? {} : { pageSize }),
    };
    this.#transform = transform;
    this.#emptyIfForbidden = emptyIfForbidden;
    this.#streamsList = streamsList;
    this.#client = client;
    this.#kind = kind;
    this.#list = list;
    this.#log = log.scoped("informer");
    this.#clock = clock;
    this.#backoff = new Backoff({ initialMs: retryInitialMs, maxMs: retryMaxMs, random });
    this.#object = describeObject(kind, list.namespace);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.synced = promise;
    this.#markSynced = resolve;
  }

  get(key: string): Value | undefined {
    return this.#objects.get(key);
  }

  list(): readonly Value[] {
    return [...this.#objects.values()];
  }

  subscribe(handler: Handler<Value>): Disposable {
    for (const [key, object] of this.#objects) handler({ type: "set", key, object, previous: undefined });
    this.#handlers.add(handler);
    return { [Symbol.dispose]: () => void this.#handlers.delete(handler) };
  }

  async run(signal: AbortSignal): Promise<void> {
    setMaxListeners(0, signal);
    while (!signal.aborted) {
      try {
        await this.#step(signal);
      } catch (error) {
        if (signal.aborted) return;
        this.#note(error);
        await this.#pause(signal, error instanceof SerinError ? error.retryAfterMs : undefined);
      }
    }
  }

  /**
   * Makes one list request, if there is no version to continue from, and then one watch until its end. With
   * `streamsList`, the watch delivers the list.
   */
  async #step(signal: AbortSignal): Promise<void> {
    if (this.#resourceVersion === undefined && !this.#streamsList) await this.#readAll();
    let initial: Value[] | undefined = this.#resourceVersion === undefined ? [] : undefined;
    const startedMs = this.#clock.steadyMs();
    for await (const event of this.#client.watch(this.#kind, {
      ...this.#list,
      resourceVersion: this.#resourceVersion ?? "",
      ...(initial === undefined ? {} : { sendInitialEvents: true }),
      signal,
    })) {
      if (initial === undefined) {
        this.#backoff.reset();
        this.#take(event);
      } else if (event.type !== "BOOKMARK") initial.push(event.object);
      else if (event.endsInitialEvents === true) {
        this.#listed(initial, event.resourceVersion);
        initial = undefined;
      }
      if (signal.aborted) return;
    }
    // Pause if the watch ended at once. Otherwise a server that ends each watch at once would cause a tight loop.
    if (!signal.aborted && this.#clock.steadyMs() - startedMs < retryInitialMs) await this.#pause(signal);
  }

  /**
   * Reads a list. This is a function of its own, because the variables of a waiting function stay alive: otherwise the
   * list's objects would stay in memory during the watch.
   */
  async #readAll(): Promise<void> {
    const { items, resourceVersion } = await this.#client.list(this.#kind, this.#list);
    this.#listed(items, resourceVersion);
  }

  #listed(items: readonly Value[], resourceVersion: string): void {
    this.#absentSinceMs = undefined;
    this.#isForbidden = false;
    this.#replace(items);
    this.#finishSync();
    this.#resourceVersion = resourceVersion;
  }

  #take(event: WatchEvent<Value>): void {
    if (event.type === "BOOKMARK") {
      this.#resourceVersion = event.resourceVersion;
      return;
    }
    const { object } = event;
    const version = object.metadata.resourceVersion;
    if (version !== undefined) this.#resourceVersion = version;
    if (event.type === "DELETED") this.#remove(keyOf(object), object);
    else this.#set(keyOf(object), object);
  }

  #replace(items: readonly Value[]): void {
    const left = new Set(this.#objects.keys());
    for (const item of items) {
      const key = keyOf(item);
      left.delete(key);
      this.#set(key, item);
    }
    for (const key of left) {
      const object = this.#objects.get(key);
      if (object !== undefined) this.#remove(key, object);
    }
  }

  #set(key: string, received: Value): void {
    const object = this.#transform(received);
    const previous = this.#objects.get(key);
    const version = object.metadata.resourceVersion;
    // A resumed watch may repeat versions.
    if (previous !== undefined && version !== undefined && previous.metadata.resourceVersion === version) return;
    if (previous !== undefined && previous.metadata.uid !== object.metadata.uid) {
      // The object was deleted and created again meanwhile. Report a deletion first.
      this.#remove(key, previous);
      this.#objects.set(key, object);
      this.#notify({ type: "set", key, object, previous: undefined });
      return;
    }
    this.#objects.set(key, object);
    this.#notify({ type: "set", key, object, previous });
  }

  #remove(key: string, object: Value): void {
    if (!this.#objects.delete(key)) return;
    this.#notify({ type: "delete", key, object });
  }

  #notify(change: InformerChange<Value>): void {
    for (const handler of this.#handlers) {
      try {
        handler(change);
      } catch (error) {
        this.#log.error("a handler failed", { kind: this.#kind.kind, key: change.key, error: describeError(error) });
      }
    }
  }

  #note(error: unknown): void {
    if (isCode(error, "gone")) {
      this.#log.debug("the watch is too old, listing again", { object: this.#object });
      this.#resourceVersion = undefined;
      this.#backoff.reset();
      return;
    }
    if (isCode(error, "not-found")) {
      this.#resourceVersion = undefined;
      this.#noteAbsent();
      return;
    }
    if (this.#emptyIfForbidden && isCode(error, "forbidden")) {
      this.#noteForbidden(error);
      return;
    }
    const level = this.#backoff.attempt === 0 ? "debug" : "warn";
    this.#log[level]("will retry", { object: this.#object, error: describeError(error) });
  }

  #noteForbidden(error: unknown): void {
    if (!this.#isForbidden)
      this.#log.warn("this account may not read the kind, so new objects are not seen: grant it list and watch", {
        object: this.#object,
        error: describeError(error),
      });
    this.#isForbidden = true;
    this.#finishSync();
  }

  #noteAbsent(): void {
    const now = this.#clock.steadyMs();
    if (this.#absentSinceMs === undefined) {
      this.#absentSinceMs = now;
      this.#log.info("the server does not know this kind yet", { object: this.#object });
    }
    if (now - this.#absentSinceMs < (this.#hasSynced ? believeGoneMs : believeAbsentMs)) return;
    this.#replace([]);
    this.#finishSync();
  }

  #finishSync(): void {
    if (this.#hasSynced) return;
    this.#hasSynced = true;
    this.#markSynced();
  }

  /**
   * Waits before the next request. The random backoff spreads requests of many clients that a busy server has told to
   * wait for the same time.
   */
  async #pause(signal: AbortSignal, retryAfterMs = 0): Promise<void> {
    const delayMs = Math.min(retryAfterMs, retryAfterMaxMs) + this.#backoff.nextMs();
    await this.#clock.sleep(delayMs, signal).catch(() => undefined);
  }
}
