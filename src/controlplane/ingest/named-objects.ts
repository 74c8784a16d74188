import type { KindDefinition, KubernetesObject } from "../../api/index.ts";
import type { Clock, Logger } from "../../base/index.ts";
import { createInformer, type Collection, type KubeClient } from "../../kube/index.ts";

export interface ObjectName {
  readonly namespace: string;
  readonly name: string;
}

export interface NamedObjectsOptions<Value extends KubernetesObject> {
  readonly client: KubeClient;
  readonly kind: KindDefinition<Value>;
  /** What is asked for; several may mean one object. */
  readonly references: readonly Collection<ObjectName>[];
  /** Undefined: there is none of that name. Told for each that is asked for, also when it is absent from the first. */
  readonly take: (name: ObjectName, object: Value | undefined) => void;
  /** Nobody asks for it any more. */
  readonly forget: (key: string) => void;
  /** Whether absence is known already. */
  readonly knownAbsent: (key: string) => boolean;
  readonly clock: Clock;
  readonly log: Logger;
}

interface Watched {
  readonly stop: AbortController;
  readonly done: Promise<void>;
}

/** Watches the objects that configuration names, each by its own name, and no others. */
export class NamedObjects<Value extends KubernetesObject> {
  readonly #options: NamedObjectsOptions<Value>;
  readonly #watched = new Map<string, Watched>();

  constructor(options: NamedObjectsOptions<Value>) {
    this.#options = options;
  }

  /** Until the signal; what is asked for may change all the time. */
  async run(signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const subscriptions = this.#options.references.map((references) =>
      references.subscribe(() => this.#adjust(signal)),
    );
    signal.addEventListener("abort", () => resolve(), { once: true });
    if (signal.aborted) resolve();
    await promise;
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
      // An earlier watch may have left what has been deleted since.
      if (!stop.signal.aborted && informer.get(key) === undefined && !knownAbsent(key)) take(wanted, undefined);
    });
    const done = informer.run(AbortSignal.any([stop.signal, outer])).finally(() => subscription[Symbol.dispose]());
    return { stop, done };
  }
}
