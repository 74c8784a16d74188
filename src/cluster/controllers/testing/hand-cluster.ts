import { keyOf, type KindDefinition, type KubernetesObject } from "../../../api/index.ts";
import { podKind } from "../../../api/kubernetes/index.ts";
import { silentLogger, userError } from "../../../base/index.ts";
import { HandClock } from "../../../base/testing/index.ts";
import {
  controllerOf,
  type EventNote,
  type Informer,
  type InformerChange,
  type KubeClient,
} from "../../../kube/index.ts";
import { applyMergePatch } from "../../schema/patch/merge-patch.ts";
import { asList, timeOf, type ControllerContext } from "../controller.ts";
import { ObjectView } from "../object-view.ts";

type Handler = (change: InformerChange<KubernetesObject>) => void;

/** The objects of one kind. Its handlers hear of each change at once. */
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
 * A cluster in memory for one controller. Queues work only when the test says so, and the clock stands until the test
 * moves it.
 */
export class HandCluster {
  readonly clock = new HandClock();
  /** For example `delete Pod/default/web`, in order. */
  readonly writes: string[] = [];
  /** The reasons of the events. */
  readonly events: string[] = [];
  readonly context: ControllerContext;
  readonly #kinds = new Map<string, HandInformer>();
  readonly #views = new Map<string, ObjectView<KubernetesObject>>();
  readonly #queues = new Map<string, (key: string) => Promise<number | void>>();
  /** By queue and key, so that a key waits once. */
  readonly #waiting = new Map<string, { readonly queue: string; readonly key: string }>();
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
      queue: (name: string, reconcile: (key: string) => Promise<number | void>) => {
        this.#queues.set(name, reconcile);
        return { add: (key: string) => this.#waiting.set(`${name} ${key}`, { queue: name, key }) };
      },
      events: () => (_kind: KindDefinition, _object: KubernetesObject, note: EventNote) =>
        this.events.push(note.reason),
      now: () => timeOf(this.clock.nowMs()),
    } as unknown as ControllerContext;
  }

  view<Value extends KubernetesObject>(kind: KindDefinition<Value>): ObjectView<Value> {
    let view = this.#views.get(kind.kind);
    if (view === undefined) this.#views.set(kind.kind, (view = new ObjectView(this.#informer(kind), this.clock)));
    return view as unknown as ObjectView<Value>;
  }

  /** Stores the object, as another client would, and returns it as the server knows it. */
  put<Value extends KubernetesObject>(kind: KindDefinition<Value>, object: Value): Value {
    this.#version += 1;
    const known = this.#informer(kind).get(keyOf(object));
    const metadata = {
      creationTimestamp: timeOf(this.clock.nowMs()),
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

  /** Works until no key waits. */
  async settle(): Promise<void> {
    for (const [waiting, { queue, key }] of this.#waiting) {
      this.#waiting.delete(waiting);
      const againMs = await this.#queues.get(queue)?.(key);
      this.#timers = this.#timers.filter((timer) => timer.queue !== queue || timer.key !== key);
      if (typeof againMs === "number") this.#timers.push({ queue, key, atMs: this.clock.nowMs() + againMs });
    }
  }

  /** Moves the clock, and works at each time at which a key asked to be looked at again. */
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
    let informer = this.#kinds.get(kind.kind);
    if (informer === undefined) this.#kinds.set(kind.kind, (informer = new HandInformer()));
    return informer;
  }

  #client(): KubeClient {
    const find = (kind: KindDefinition, name: string, namespace = ""): KubernetesObject | undefined =>
      this.#informer(kind).get(namespace === "" ? name : `${namespace}/${name}`);
    const note = (verb: string, kind: KindDefinition, name: string, namespace = ""): void =>
      void this.writes.push(`${verb} ${kind.kind}/${namespace === "" ? "" : `${namespace}/`}${name}`);
    const client: Pick<KubeClient, "get" | "create" | "patchMerge" | "delete"> = {
      get: async (kind, name, namespace) => find(kind, name, namespace) as never,
      create: async (kind, object) => {
        const { name = "", namespace } = object.metadata;
        if (find(kind, name, namespace) !== undefined) throw userError("already-exists", `${name} is there already`);
        note("create", kind, name, namespace);
        return this.put(kind, object);
      },
      patchMerge: async (kind, name, namespace, patch) => {
        const known = find(kind, name, namespace);
        if (known === undefined) throw userError("not-found", `${name} is not there`);
        note("patch", kind, name, namespace);
        return this.put(kind, applyMergePatch(known, patch) as never);
      },
      delete: async (kind, name, namespace) => {
        note("delete", kind, name, namespace);
        const known = find(kind, name, namespace);
        if (known !== undefined) this.#informer(kind).drop(known);
      },
    };
    return client as KubeClient;
  }
}
