import type { XdsResource, XdsSubscription, XdsUpdate } from "../../dataplane/index.ts";

interface Mirrored {
  accepted: XdsResource | undefined;
  /** Those that came since, in updates of which something was refused. */
  tried: XdsResource[];
}

/** Of one resource, those that were tried since it was accepted. */
const maxTried = 4;

/** The configuration as workers were given it, for one that begins later. */
export class ConfigMirror {
  /** Types in the order in which a worker that begins is given them. */
  readonly #types = new Map<string, Map<string, Mirrored>>();
  readonly #named = new Set<string>();
  readonly #received = new Set<string>();

  constructor(subscriptions: readonly XdsSubscription[], last: string) {
    for (const { typeUrl } of subscriptions) if (typeUrl !== last) this.#types.set(typeUrl, new Map());
    // What refers to all the rest, and begins to serve at once.
    this.#types.set(last, new Map());
    for (const { typeUrl, mode } of subscriptions) if (mode === "named") this.#named.add(typeUrl);
  }

  /** Notes an update that workers are about to be given; answers it with bytes that are its own. */
  try(update: XdsUpdate): XdsUpdate {
    const { typeUrl, removed } = update;
    // What came is a part of a whole answer, which each thread would be sent.
    const resources = update.resources.map((resource) => ({ ...resource, body: new Uint8Array(resource.body) }));
    const known = this.#of(typeUrl);
    this.#received.add(typeUrl);
    for (const resource of resources) {
      const entry = known.get(resource.name) ?? { accepted: undefined, tried: [] };
      entry.tried = [...entry.tried, resource].slice(-maxTried);
      known.set(resource.name, entry);
    }
    for (const name of removed) known.delete(name);
    return { typeUrl, resources, removed };
  }

  accept({ typeUrl, resources }: XdsUpdate): void {
    const known = this.#of(typeUrl);
    for (const resource of resources) known.set(resource.name, { accepted: resource, tried: [] });
  }

  /** No worker outlived it: those that begin are not given it. */
  forget({ typeUrl, resources }: XdsUpdate): void {
    const known = this.#of(typeUrl);
    for (const resource of resources) {
      const entry = known.get(resource.name);
      if (entry === undefined) continue;
      entry.tried = entry.tried.filter((one) => one !== resource);
      if (entry.accepted === undefined && entry.tried.length === 0) known.delete(resource.name);
    }
  }

  /** Of a type that is asked for by name, what is wanted no more goes. */
  keepNames(typeUrl: string, names: ReadonlySet<string>): void {
    if (!this.#named.has(typeUrl) || names.has("*")) return;
    const known = this.#of(typeUrl);
    for (const name of known.keys()) if (!names.has(name)) known.delete(name);
  }

  /** What brings a worker that begins to where the others are, in this order. */
  *replay(): Iterable<XdsUpdate> {
    for (const [typeUrl, known] of this.#types) {
      if (!this.#received.has(typeUrl)) continue;
      const accepted = [...known.values()].flatMap((entry) => entry.accepted ?? []);
      yield { typeUrl, resources: accepted, removed: [] };
      for (let round = 0; round < maxTried; round += 1) {
        const resources = [...known.values()].flatMap((entry) => entry.tried[round] ?? []);
        if (resources.length > 0) yield { typeUrl, resources, removed: [] };
      }
    }
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
