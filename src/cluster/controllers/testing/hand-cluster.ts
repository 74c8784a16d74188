import { keyOf, type KindDefinition, type KubernetesObject } from "../../../api/index.ts";
import { podKind } from "../../../api/kubernetes/index.ts";
import { rfc3339Seconds, silentLogger, transientError, userError } from "../../../base/index.ts";
import { HandClock } from "../../../base/testing/index.ts";
import {
  controllerOf,
  type EventNote,
  type Informer,
  type InformerChange,
  type KubeClient,
  type RawResponse,
  type WatchEvent,
  type WatchOptions,
} from "../../../kube/index.ts";
import { applyMergePatch } from "../../schema/patch/merge-patch.ts";
import { asList, type ControllerContext } from "../controller.ts";
import { ObjectView } from "../object-view.ts";

type Handler = (change: InformerChange<KubernetesObject>) => void;

/** The objects of one kind. It calls its handlers synchronously for each change. */
class HandInformer implements Informer<KubernetesObject> {
  readonly synced = Promise.resolve();
  readonly #objects = new Map<string, KubernetesObject>();
  readonly #handlers: Handler[] = [];

  async run(): Promise<void> {
    await this.synced;
  }

  get(key: string): KubernetesObject | undefined {
    return this.#objects.get(key);
  }

  list(): readonly KubernetesObject[] {
    return [...this.#objects.values()];
  }

  subscribe(handler: Handler): Disposable {
    this.#handlers.push(handler);
    return { [Symbol.dispose]: () => undefined };
  }

  async *watch({ signal, sendInitialEvents }: WatchOptions): AsyncGenerator<WatchEvent<KubernetesObject>> {
    const waiting: WatchEvent<KubernetesObject>[] = [];
    if (sendInitialEvents === true) {
      for (const object of this.list()) waiting.push({ type: "ADDED", object });
      waiting.push({ type: "BOOKMARK", resourceVersion: "0", endsInitialEvents: true });
    }
    let wake = (): void => undefined;
    this.subscribe(({ type, object }) => {
      waiting.push({ type: type === "set" ? "MODIFIED" : "DELETED", object });
      wake();
    });
    signal?.addEventListener("abort", () => wake());
    for (;;) {
      yield* waiting.splice(0);
      if (signal?.aborted === true) return;
      await new Promise<void>((resolve) => (wake = resolve));
    }
  }

  set(object: KubernetesObject): void {
    const key = keyOf(object);
    const previous = this.#objects.get(key);
    this.#objects.set(key, object);
    for (const handler of this.#handlers) handler({ type: "set", key, object, previous });
  }

  drop(object: KubernetesObject): void {
    const key = keyOf(object);
    this.#objects.delete(key);
    for (const handler of this.#handlers) handler({ type: "delete", key, object });
  }
}

interface Timer {
  readonly queue: string;
  readonly key: string;
  readonly atMs: number;
}

/**
 * A cluster in memory for one controller. Queues work only when the test runs them, and the clock stands still until
 * the test moves it.
 */
export class HandCluster {
  readonly clock = new HandClock();
  /** The writes in order, for example `delete Pod/default/web`. */
  readonly writes: string[] = [];
  /** The reasons of the events. */
  readonly events: string[] = [];
  /** The messages of the events. */
  readonly notes: string[] = [];
  /** The writes that the server refuses, for example `create Pod`, each with the error that it returns. */
  readonly refusals = new Map<string, Error>();
  /** Objects that the server has but the watch has not delivered yet, by kind and key: `Pod/default/web`. */
  readonly unseen = new Map<string, KubernetesObject | undefined>();
  readonly context: ControllerContext;
  readonly #kinds = new Map<string, { readonly kind: KindDefinition; readonly informer: HandInformer }>();
  readonly #views = new Map<string, ObjectView<KubernetesObject>>();
  readonly #queues = new Map<string, (key: string) => Promise<number | void>>();
  /** The waiting keys by queue and key. A key waits at most once in each queue. */
  readonly #waiting = new Map<string, { readonly queue: string; readonly key: string }>();
  readonly #runs: ((signal: AbortSignal) => Promise<void>)[] = [];
  #timers: Timer[] = [];
  #version = 0;

  constructor(now = "2026-01-01T00:00:00Z") {
    this.clock.pass(Date.parse(now));
    const pods = this.view(podKind);
    this.context = {
      client: this.#client(),
      clock: this.clock,
      log: silentLogger,
      random: () => 0,
      podsByController: pods.index((pod) => asList(controllerOf(pod)?.uid)),
      podsByNamespace: pods.index((pod) => asList(pod.metadata.namespace)),
      podsByNode: pods.index((pod) => asList(pod.spec?.nodeName)),
      view: (kind: KindDefinition) => this.view(kind),
      lateView: (kind: KindDefinition) => this.view(kind),
      queue: (name: string, reconcile: (key: string) => Promise<number | void>) => {
        this.#queues.set(name, reconcile);
        return { add: (key: string) => this.#waiting.set(`${name} ${key}`, { queue: name, key }) };
      },
      events: () => (_kind: KindDefinition, _object: KubernetesObject, note: EventNote) => {
        this.events.push(note.reason);
        this.notes.push(note.message);
      },
      now: () => rfc3339Seconds(this.clock.nowMs()),
      dependencies: () => ({ client: this.context.client, clock: this.clock, log: silentLogger, random: () => 0 }),
      runs: (run: (signal: AbortSignal) => Promise<void>) => this.#runs.push(run),
      allSynced: () => Promise.resolve(),
    } as unknown as ControllerContext;
  }

  view<Value extends KubernetesObject>(kind: KindDefinition<Value>): ObjectView<Value> {
    let view = this.#views.get(kind.kind);
    if (view === undefined) this.#views.set(kind.kind, (view = new ObjectView(this.#informer(kind), this.clock)));
    return view as unknown as ObjectView<Value>;
  }

  /** Stores the object, as another client would. Returns the object as the server stores it. */
  put<Value extends KubernetesObject>(kind: KindDefinition<Value>, object: Value): Value {
    this.#version += 1;
    const known = this.#informer(kind).get(keyOf(object));
    const metadata = {
      creationTimestamp: rfc3339Seconds(this.clock.nowMs()),
      ...object.metadata,
      uid: known?.metadata.uid ?? object.metadata.uid ?? `uid-${this.#version}`,
      resourceVersion: String(this.#version),
    };
    const stored = { ...object, metadata };
    this.#informer(kind).set(stored);
    return stored;
  }

  all<Value extends KubernetesObject>(kind: KindDefinition<Value>): Value[] {
    return [...this.#informer(kind).list()] as Value[];
  }

  remove(kind: KindDefinition, key: string): void {
    const known = this.#informer(kind).get(key);
    if (known !== undefined) this.#informer(kind).drop(known);
  }

  /** Runs the controllers' tasks other than queues, such as watches of their own. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all(this.#runs.map((run) => run(signal)));
  }

  /** Runs the queues until no key waits. Throws the error of a controller. Its key then waits for the next call. */
  async settle(): Promise<void> {
    for (const [waiting, { queue, key }] of this.#waiting) {
      this.#waiting.delete(waiting);
      let againMs: number | void;
      try {
        againMs = await this.#queues.get(queue)?.(key);
      } catch (error) {
        this.#waiting.set(waiting, { queue, key });
        throw error;
      }
      this.#timers = this.#timers.filter((timer) => timer.queue !== queue || timer.key !== key);
      if (typeof againMs === "number") this.#timers.push({ queue, key, atMs: this.clock.nowMs() + againMs });
    }
  }

  /** Advances the clock, and runs the queues at each time at which a key is due. */
  async pass(ms: number): Promise<void> {
    const endMs = this.clock.nowMs() + ms;
    for (;;) {
      const atMs = Math.min(...this.#timers.map((timer) => timer.atMs));
      if (atMs > endMs) break;
      this.clock.pass(atMs - this.clock.nowMs());
      for (const { queue, key } of this.#timers.filter((timer) => timer.atMs === atMs))
        this.#waiting.set(`${queue} ${key}`, { queue, key });
      this.#timers = this.#timers.filter((timer) => timer.atMs !== atMs);
      await this.settle();
    }
    this.clock.pass(endMs - this.clock.nowMs());
  }

  #informer(kind: KindDefinition): HandInformer {
    let known = this.#kinds.get(kind.kind);
    if (known === undefined) this.#kinds.set(kind.kind, (known = { kind, informer: new HandInformer() }));
    return known.informer;
  }

  #find(kind: KindDefinition, name: string, namespace = ""): KubernetesObject | undefined {
    const key = namespace === "" ? name : `${namespace}/${name}`;
    const unseen = `${kind.kind}/${key}`;
    return this.unseen.has(unseen) ? this.unseen.get(unseen) : this.#informer(kind).get(key);
  }

  /** Records a write, or refuses it. */
  #note(verb: string, kind: KindDefinition, name: string, namespace = ""): void {
    const refusal = this.refusals.get(`${verb} ${kind.kind}`);
    if (refusal !== undefined) throw refusal;
    this.writes.push(`${verb} ${kind.kind}/${namespace === "" ? "" : `${namespace}/`}${name}`);
  }

  /** Deletes an object as the server does: at once, or when its last finalizer is removed. */
  #delete(kind: KindDefinition, known: KubernetesObject, uid: string | undefined): void {
    const { finalizers = [], deletionTimestamp = rfc3339Seconds(this.clock.nowMs()), ...metadata } = known.metadata;
    if (uid !== undefined && uid !== metadata.uid) throw transientError("conflict", "the uid is another one");
    if (finalizers.length === 0) this.#informer(kind).drop(known);
    else if (known.metadata.deletionTimestamp === undefined)
      this.put(kind, { ...known, metadata: { ...metadata, finalizers, deletionTimestamp } });
  }

  /** The kinds of the cluster in the form of the server's discovery. */
  #discovery(path: string): RawResponse {
    const items = [...this.#kinds.values()]
      .filter(({ kind }) => (kind.group === "") === (path === "/api"))
      .map(({ kind }) => {
        const scope = kind.namespaced ? "Namespaced" : "Cluster";
        const verbs = ["list", "watch", "delete"];
        const resources = [{ resource: kind.plural, responseKind: { kind: kind.kind }, scope, verbs }];
        return { metadata: { name: kind.group }, versions: [{ version: kind.versions[0], resources }] };
      });
    return { status: 200, headers: {}, text: JSON.stringify({ items }) };
  }

  #client(): KubeClient {
    const client: Omit<KubeClient, "apply" | "close"> = {
      get: async (kind, name, namespace) => this.#find(kind, name, namespace) as never,
      list: async (kind, { namespace } = {}) => {
        const items = this.all(kind).filter(({ metadata }) => (namespace ?? metadata.namespace) === metadata.namespace);
        return { items, resourceVersion: String(this.#version) };
      },
      create: async (kind, object, { subresource } = {}) => {
        const { name = "", namespace } = object.metadata;
        const known = this.#find(kind, name, namespace);
        if (subresource === "binding" && known !== undefined) {
          this.#note("bind", kind, name, namespace);
          const { target } = object as { readonly target?: { readonly name?: string } };
          return this.put(kind, applyMergePatch(known, { spec: { nodeName: target?.name } }) as never);
        }
        if (known !== undefined) throw userError("already-exists", `${name} is there already`);
        this.#note("create", kind, name, namespace);
        return this.put(kind, object);
      },
      update: async (kind, object, { subresource } = {}) => {
        const { name = "", namespace } = object.metadata;
        const known = this.#find(kind, name, namespace);
        if (known === undefined) throw userError("not-found", `${name} is not there`);
        this.#note(subresource === undefined ? "update" : `update ${subresource} of`, kind, name, namespace);
        return this.put(kind, { ...known, ...object, metadata: { ...known.metadata, ...object.metadata } });
      },
      patchMerge: async (kind, name, namespace, patch) => {
        const known = this.#find(kind, name, namespace);
        if (known === undefined) throw userError("not-found", `${name} is not there`);
        this.#note("patch", kind, name, namespace);
        const patched = this.put(kind, applyMergePatch(known, patch) as never);
        const held = (object: KubernetesObject): boolean => (object.metadata.finalizers ?? []).length > 0;
        if (known.metadata.deletionTimestamp !== undefined && held(known) && !held(patched))
          this.#informer(kind).drop(patched);
        return patched;
      },
      delete: async (kind, name, namespace, { preconditions } = {}) => {
        this.#note("delete", kind, name, namespace);
        const known = this.#find(kind, name, namespace);
        if (known !== undefined) this.#delete(kind, known, preconditions?.uid);
      },
      watch: (kind, options) => this.#informer(kind).watch(options) as never,
      raw: async (_method, path) => this.#discovery(path),
    };
    return client as KubeClient;
  }
}
