import type { KindDefinition, KubernetesObject } from "../../api/index.ts";
import { aborted, type Clock, type Logger } from "../../base/index.ts";
import { SharedBudget, type BudgetShare } from "../../base/shared-budget/index.ts";
import { createInformer, type Collection, type KubeClient } from "../../kube/index.ts";

export interface ObjectName {
  readonly namespace: string;
  readonly name: string;
  /** The namespace of the object with the reference. Absent if it is that of the named object. */
  readonly author?: string;
}

export interface NamedObjectsOptions<Value extends KubernetesObject> {
  readonly client: KubeClient;
  readonly kind: KindDefinition<Value>;
  readonly references: readonly Collection<ObjectName>[];
  /** Called for each referenced object. `object` is undefined if it does not exist. */
  readonly take: (name: ObjectName, object: Value | undefined) => void;
  /** Called when the last reference to an object is gone. */
  readonly forget: (key: string) => void;
  /** Whether `take` has already recorded that the object does not exist. */
  readonly knownAbsent: (key: string) => boolean;
  readonly clock: Clock;
  readonly log: Logger;
  /** The maximum number of objects that are watched at once. */
  readonly maxWatched?: number;
}

/**
 * The maximum number of objects of one kind that are watched at once. Each watch takes memory here and at the API
 * server, and anybody who may write Gateways decides how many objects they name.
 */
const defaultMaxWatched = 8192;

interface Wanted extends Pick<ObjectName, "namespace" | "name"> {
  readonly authors: Set<string>;
}

/** One of the watches that the namespaces share, and the namespace for which it counts. */
interface Place {
  readonly author: string;
  readonly share: BudgetShare;
}

interface Watched {
  place: Place;
  readonly stop: AbortController;
  readonly done: Promise<void>;
}

/**
 * Watches only the objects that configuration names, each with a watch of its own. The namespaces of the objects with
 * references share the watches: each may have half of the watches that the others leave. Objects beyond that are not
 * read.
 */
export class NamedObjects<Value extends KubernetesObject> {
  readonly #options: NamedObjectsOptions<Value>;
  readonly #watched = new Map<string, Watched>();
  readonly #places: SharedBudget;
  /** The namespaces that name objects which are not read. */
  #excessive: ReadonlySet<string> = new Set();

  constructor(options: NamedObjectsOptions<Value>) {
    this.#options = options;
    this.#places = new SharedBudget(options.maxWatched ?? defaultMaxWatched);
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
    const wanted = this.#wanted();
    for (const [key, watched] of this.#watched) {
      if (this.#mayStay(watched, wanted.get(key))) continue;
      this.#watched.delete(key);
      watched.place.share.set(0);
      void this.#end(watched).then(() => {
        if (!this.#watched.has(key)) this.#options.forget(key);
      });
    }
    const excessive = new Set<string>();
    for (const [key, object] of wanted) {
      if (this.#watched.has(key)) continue;
      const place = this.#place(object);
      if (place !== undefined) this.#watched.set(key, { place, ...this.#watch(object, signal) });
      else for (const author of object.authors) excessive.add(author);
    }
    this.#report(excessive);
  }

  #wanted(): ReadonlyMap<string, Wanted> {
    const wanted = new Map<string, Wanted>();
    for (const references of this.#options.references)
      for (const { namespace, name, author = namespace } of references.values()) {
        const key = `${namespace}/${name}`;
        const known = wanted.get(key);
        if (known === undefined) wanted.set(key, { namespace, name, authors: new Set([author]) });
        else known.authors.add(author);
      }
    return wanted;
  }

  /** Whether a watch may stay. It counts for a namespace only as long as that namespace names the object. */
  #mayStay(watched: Watched, wanted: Wanted | undefined): boolean {
    if (wanted === undefined) return false;
    const { author, share } = watched.place;
    if (wanted.authors.has(author)) return true;
    const place = this.#place(wanted);
    if (place === undefined) return false;
    share.set(0);
    watched.place = place;
    return true;
  }

  #place({ authors }: Wanted): Place | undefined {
    for (const author of authors) {
      const share = this.#places.share(author);
      if (share.set(1)) return { author, share };
    }
    return undefined;
  }

  #report(excessive: ReadonlySet<string>): void {
    const { kind, log } = this.#options;
    for (const namespace of excessive)
      if (!this.#excessive.has(namespace))
        log.warn("a namespace names more objects than are read, and the others have no effect", {
          kind: kind.kind,
          namespace,
          read: [...this.#watched.values()].filter(({ place }) => place.author === namespace).length,
        });
    this.#excessive = excessive;
  }

  async #end(watched: Watched): Promise<void> {
    watched.stop.abort();
    await watched.done;
  }

  #watch({ namespace, name }: ObjectName, outer: AbortSignal): Omit<Watched, "place"> {
    const { client, kind, clock, log, take, knownAbsent } = this.#options;
    const wanted = { namespace, name };
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
      // An earlier watch may have recorded the object before it was deleted. So record that it does not exist.
      if (!stop.signal.aborted && informer.get(key) === undefined && !knownAbsent(key)) take(wanted, undefined);
    });
    const done = informer.run(AbortSignal.any([stop.signal, outer])).finally(() => subscription[Symbol.dispose]());
    return { stop, done };
  }
}
