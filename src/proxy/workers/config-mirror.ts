import type { XdsResource, XdsSubscription, XdsUpdate } from "../../dataplane/index.ts";

interface Mirrored {
  accepted: XdsResource | undefined;
  /** The versions that arrived after the accepted one, in updates that were refused in part. */
  tried: XdsResource[];
}

/** The maximum number of versions after the accepted one that are kept for each resource. */
const maxTried = 4;

/** A copy of the configuration that the workers were given, for workers that start later. */
export class ConfigMirror {
  /** The types in the order in which a new worker gets them. */
  readonly #types = new Map<string, Map<string, Mirrored>>();
  readonly #named = new Set<string>();
  readonly #received = new Set<string>();
  /**
   * The names that the control plane does not have, by type. Only for types whose resources stay in force after their
   * removal.
   */
  readonly #absent: ReadonlyMap<string, Set<string>>;

  /**
   * `lasting` are the types that are requested by name and whose resources stay in force after their removal, until
   * nobody requests them.
   */
  constructor(subscriptions: readonly XdsSubscription[], last: string, lasting: ReadonlySet<string> = new Set()) {
    this.#absent = new Map([...lasting].map((typeUrl) => [typeUrl, new Set<string>()]));
    for (const { typeUrl } of subscriptions) if (typeUrl !== last) this.#types.set(typeUrl, new Map());
    // Put listeners last, because they refer to everything else and begin to serve at once.
    this.#types.set(last, new Map());
    for (const { typeUrl, mode } of subscriptions) if (mode === "named") this.#named.add(typeUrl);
  }

  /** Records an update before workers get it. Returns the update with a copy of its bytes. */
  try(update: XdsUpdate): XdsUpdate {
    const { typeUrl, removed } = update;
    // Copy the bytes: they are a part of the whole response, of which each thread would otherwise get a copy.
    const resources = update.resources.map((resource) => ({ ...resource, body: new Uint8Array(resource.body) }));
    const known = this.#of(typeUrl);
    this.#received.add(typeUrl);
    for (const resource of resources) {
      const entry = known.get(resource.name) ?? { accepted: undefined, tried: [] };
      entry.tried = [...entry.tried, resource].slice(-maxTried);
      known.set(resource.name, entry);
    }
    const absent = this.#absent.get(typeUrl);
    for (const { name } of resources) absent?.delete(name);
    for (const name of removed) {
      if (absent === undefined) known.delete(name);
      else if (!known.has(name)) absent.add(name);
    }
    return { typeUrl, resources, removed };
  }

  accept({ typeUrl, resources }: XdsUpdate): void {
    const known = this.#of(typeUrl);
    for (const resource of resources) known.set(resource.name, { accepted: resource, tried: [] });
  }

  /** Forgets an update that made every worker fail, so that new workers do not get it. */
  forget({ typeUrl, resources }: XdsUpdate): void {
    const known = this.#of(typeUrl);
    for (const resource of resources) {
      const entry = known.get(resource.name);
      if (entry === undefined) continue;
      entry.tried = entry.tried.filter((tried) => tried !== resource);
      if (entry.accepted === undefined && entry.tried.length === 0) known.delete(resource.name);
    }
  }

  /** Removes the resources of a type that are no longer requested, if the type is requested by name. */
  keepNames(typeUrl: string, names: ReadonlySet<string>): void {
    if (!this.#named.has(typeUrl) || names.has("*")) return;
    const known = this.#of(typeUrl);
    for (const name of known.keys()) if (!names.has(name)) known.delete(name);
    const absent = this.#absent.get(typeUrl);
    for (const name of absent ?? []) if (!names.has(name)) absent?.delete(name);
  }

  /** The updates, in order, that bring a new worker to the state of the others. */
  *replay(): Iterable<XdsUpdate> {
    for (const [typeUrl, known] of this.#types) {
      if (!this.#received.has(typeUrl)) continue;
      yield* updatesOf(typeUrl, [...known.values()], [...(this.#absent.get(typeUrl) ?? [])]);
    }
  }

  /** The updates that give a worker these resources as the others have them. */
  *part(typeUrl: string, names: readonly string[]): Iterable<XdsUpdate> {
    const entries = names.flatMap((name) => this.#of(typeUrl).get(name) ?? []);
    const absent = names.filter((name) => this.#absent.get(typeUrl)?.has(name) === true);
    if (entries.length + absent.length > 0) yield* updatesOf(typeUrl, entries, absent);
  }

  #of(typeUrl: string): Map<string, Mirrored> {
    let known = this.#types.get(typeUrl);
    if (known === undefined) {
      known = new Map();
      this.#types.set(typeUrl, known);
    }
    return known;
  }
}

function* updatesOf(typeUrl: string, entries: readonly Mirrored[], removed: readonly string[]): Iterable<XdsUpdate> {
  yield { typeUrl, resources: entries.flatMap(({ accepted }) => accepted ?? []), removed };
  for (let round = 0; round < maxTried; round += 1) {
    const resources = entries.flatMap(({ tried }) => tried[round] ?? []);
    if (resources.length > 0) yield { typeUrl, resources, removed: [] };
  }
}
