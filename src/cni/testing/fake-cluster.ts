import assert from "node:assert/strict";
import { keyOf, type KubernetesObject } from "../../api/index.ts";
import type { Namespace, Node, Pod } from "../../api/kubernetes/index.ts";
import type { Informer, InformerChange, KubeClient } from "../../kube/index.ts";

/** An informer whose objects the test sets. */
export class FakeInformer<Value extends KubernetesObject> implements Informer<Value> {
  readonly synced = Promise.resolve();
  readonly #objects = new Map<string, Value>();
  readonly #handlers = new Set<(change: InformerChange<Value>) => void>();

  run(): Promise<void> {
    return Promise.resolve();
  }
  get(key: string): Value | undefined {
    return this.#objects.get(key);
  }
  list(): readonly Value[] {
    return [...this.#objects.values()];
  }
  subscribe(handler: (change: InformerChange<Value>) => void): Disposable {
    this.#handlers.add(handler);
    for (const [key, object] of this.#objects) handler({ type: "set", key, object, previous: undefined });
    return { [Symbol.dispose]: () => void this.#handlers.delete(handler) };
  }

  set(object: Value): void {
    const key = keyOf(object);
    const previous = this.#objects.get(key);
    this.#objects.set(key, object);
    for (const handler of this.#handlers) handler({ type: "set", key, object, previous });
  }
  delete(key: string): void {
    const object = this.#objects.get(key);
    this.#objects.delete(key);
    if (object !== undefined) for (const handler of this.#handlers) handler({ type: "delete", key, object });
  }
}

/** The part of a cluster that a CNI agent uses. */
export class FakeCluster {
  readonly pods = new FakeInformer<Pod>();
  readonly namespaces = new FakeInformer<Namespace>();
  readonly nodes = new FakeInformer<Node>();
  /** The pods by `namespace/name` that the API server has but the watch has not reported yet. */
  readonly unwatched = new Map<string, Pod>();

  /** Applies patches to the informer's objects, as if a watch had delivered them. */
  readonly client: Pick<KubeClient, "get" | "patchMerge"> = {
    get: (_kind, name, namespace) => {
      const key = `${namespace ?? ""}/${name}`;
      return Promise.resolve((this.unwatched.get(key) ?? this.pods.get(key)) as never);
    },
    patchMerge: (_kind, name, namespace, patch, options) => {
      assert.equal(options?.subresource, "status", "the agent's role grants no more of pods");
      const pod = this.pods.get(`${namespace ?? ""}/${name}`);
      if (pod !== undefined)
        this.annotate(
          pod,
          (patch as { metadata: { annotations: Record<string, string | null> } }).metadata.annotations,
        );
      return Promise.resolve(pod as never);
    },
  };

  annotate(pod: Pod, annotations: Readonly<Record<string, string | null>>): void {
    const merged = Object.entries({ ...pod.metadata.annotations, ...annotations }).filter(
      (entry): entry is [string, string] => entry[1] !== null,
    );
    this.pods.set({ ...pod, metadata: { ...pod.metadata, annotations: Object.fromEntries(merged) } });
  }

  label(key: string, labels: Readonly<Record<string, string>>): void {
    const pod = this.pods.get(key);
    if (pod !== undefined) this.pods.set({ ...pod, metadata: { ...pod.metadata, labels: { ...labels } } });
  }

  annotation(key: string, name: string): string | undefined {
    return this.pods.get(key)?.metadata.annotations?.[name];
  }

  /** Resolves when the pod fulfils the condition. */
  until(key: string, wanted: (pod: Pod | undefined) => boolean): Promise<void> {
    if (wanted(this.pods.get(key))) return Promise.resolve();
    return new Promise((resolve) => {
      const watch = this.pods.subscribe((change) => {
        if (change.key !== key || !wanted(change.type === "set" ? change.object : undefined)) return;
        setImmediate(() => watch[Symbol.dispose]());
        resolve();
      });
    });
  }
}
