import type { KindDefinition, KubernetesObject } from "../../api/index.ts";
import { aborted, type Clock, type Logger } from "../../base/index.ts";
import { createInformer, type Collection, type KubeClient } from "../../kube/index.ts";

export interface ObjectName {
  readonly namespace: string;
  readonly name: string;
}

export interface NamedObjectsOptions<Value extends KubernetesObject> {
  readonly client: KubeClient;
  readonly kind: KindDefinition<Value>;
  /** The references to objects. Several may name the same one. */
  readonly references: readonly Collection<ObjectName>[];
  /** Called for each referenced object. If `object` is undefined, it does not exist. */
  readonly take: (name: ObjectName, object: Value | undefined) => void;
  /** Called when the last reference to an object is gone. */
  readonly forget: (key: string) => void;
  /** Whether `take` has already recorded that the object does not exist. */
  readonly knownAbsent: (key: string) => boolean;
  readonly clock: Clock;
  readonly log: Logger;
}

interface Watched {
  readonly stop: AbortController;
  readonly done: Promise<void>;
}

/** Watches only the objects that configuration names, each with a watch of its own. */
export class NamedObjects<Value extends KubernetesObject> {
  readonly #options: NamedObjectsOptions<Value>;
  readonly #watched = new Map<string, Watched>();

  constructor(options: NamedObjectsOptions<Value>) {
    this.#options = options;
  }

  /** Follows the references, which may change at any time, until the signal. */
  async run(signal: AbortSignal): Promise<void> {
    const subscriptions = this.#options.references.map((references) =>
      references.subscribe(() => this.#adjust(signal)),
    );
    await aborted(signal);
    for (const subscription of subscriptions) subscription[Symbol.dispose]();
    await Promise.all([...this.#watched.values()].map((watched) => this.#end(watched)));
  }

  #adjust(signal: AbortSignal): void {
    if (signal.aborted) return;
    const names = this.#options.references.flatMap((references) => [...references.values()]);
    const wanted = new Map(names.map(({ namespace, name }) => [`${namespace}/${name}`, { namespace, name }]));
    for (const [key, watched] of this.#watched) {
      if (wanted.has(key)) continue;
      this.#watched.delete(key);
      void this.#end(watched).then(() => {
        if (!this.#watched.has(key)) this.#options.forget(key);
      });
    }
    for (const [key, name] of wanted) if (!this.#watched.has(key)) this.#watched.set(key, this.#watch(name, signal));
  }

  async #end(watched: Watched): Promise<void> {
    watched.stop.abort();
    await watched.done;
  }

  #watch(wanted: ObjectName, outer: AbortSignal): Watched {
    const { client, kind, clock, log, take, knownAbsent } = this.#options;
    const { namespace, name } = wanted;
    const stop = new AbortController();
    const key = `${namespace}/${name}`;
    const informer = createInformer<Value>(client, kind, {
      namespace,
      fieldSelector: `metadata.name=${name}`,
      log,
      clock,
    });
    const subscription = informer.subscribe((change) => {
      if (change.key === key) take(wanted, change.type === "set" ? change.object : undefined);
    });
    void informer.synced.then(() => {
      // An earlier watch may have recorded the object before it was deleted.
      if (!stop.signal.aborted && informer.get(key) === undefined && !knownAbsent(key)) take(wanted, undefined);
    });
    const done = informer.run(AbortSignal.any([stop.signal, outer])).finally(() => subscription[Symbol.dispose]());
    return { stop, done };
  }
}
