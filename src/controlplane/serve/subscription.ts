import type { EncodedResource } from "../translate/resource.ts";
import type { ResourceView } from "./resource-view.ts";

/** Generations of the model, both inclusive. */
export interface GenerationRange {
  readonly first: number;
  readonly last: number;
}

interface Outstanding {
  readonly nonce: string;
  readonly range: GenerationRange;
  readonly names: readonly string[];
}

export interface Rejection {
  readonly reason: string;
  readonly range: GenerationRange;
}

/** What is to be sent of a type: resources with their bytes, and names that are gone. */
export interface Delivery {
  readonly resources: readonly EncodedResource[];
  readonly removed: readonly string[];
  readonly range: GenerationRange;
  /** When the oldest of the changes arrived; undefined for answers to a request. */
  readonly sinceMs: number | undefined;
}

/**
 * What one stream wants of one type, what it has still to be sent, and what it has answered. Changes that come while a
 * response is not acknowledged yet are joined, so a slow client costs no memory and gets only the last state.
 */
export class Subscription {
  readonly typeUrl: string;
  readonly view: ResourceView;
  wildcard = false;
  readonly names = new Set<string>();
  sent = "";
  acknowledged = "";
  rejected = "";
  rejection: Rejection | undefined;
  outstanding: Outstanding | undefined;
  /** Asked for by the client: answered at once, even with nothing. */
  #asked: Set<string> | undefined;
  readonly #changed = new Set<string>();
  readonly #removed = new Set<string>();
  #range: GenerationRange | undefined;
  #sinceMs: number | undefined;

  constructor(typeUrl: string, view: ResourceView) {
    this.typeUrl = typeUrl;
    this.view = view;
  }

  /** The client asks for resources anew. `known` are versions that it has: equal ones are not sent again. */
  ask(names: Iterable<string>, known: Readonly<Record<string, string>>, generation: number): void {
    const asked = (this.#asked ??= new Set());
    for (const name of names) {
      const found = this.view.get(name);
      if (found === undefined || found.version !== known[name]) asked.add(name);
      this.#changed.delete(name);
      this.#removed.delete(name);
    }
    this.#extend({ first: 0, last: generation });
  }

  /** To be sent whatever the client has; no names ask for nothing. */
  askIfAny(names: readonly string[], generation: number): void {
    if (names.length > 0) this.ask(names, {}, generation);
  }

  /** All that the view holds, and what the client has that is gone. */
  askAll(known: Readonly<Record<string, string>>, generation: number): void {
    const names = new Set(Object.keys(known));
    for (const resource of this.view.all()) names.add(resource.name);
    this.ask(names, known, generation);
  }

  wants(name: string): boolean {
    return this.wildcard || this.names.has(name);
  }

  change(names: readonly string[], generation: number, nowMs: number): void {
    for (const name of names) {
      if (!this.wants(name) || this.#asked?.has(name) === true) continue;
      const gone = this.view.get(name) === undefined;
      this.#changed.delete(name);
      this.#removed.delete(name);
      (gone ? this.#removed : this.#changed).add(name);
      this.#extend({ first: generation, last: generation });
      this.#sinceMs ??= nowMs;
    }
  }

  forget(name: string): void {
    this.names.delete(name);
    this.#changed.delete(name);
    this.#removed.delete(name);
    this.#asked?.delete(name);
  }

  get hasAsked(): boolean {
    return this.#asked !== undefined;
  }
  get hasChanged(): boolean {
    return this.#changed.size > 0;
  }
  get hasRemoved(): boolean {
    return this.#removed.size > 0;
  }
  get pending(): GenerationRange | undefined {
    return this.#range;
  }
  get idle(): boolean {
    return this.outstanding === undefined && this.#asked === undefined && this.#changed.size === 0;
  }

  /** Takes what must be sent: answers with all that is pending beside them, or changes, or removals. */
  take(part: "asked" | "changed" | "removed"): Delivery {
    const names = part === "removed" ? this.#removed : this.#changed;
    const taken = part === "asked" ? [...(this.#asked ?? []), ...names] : [...names];
    const resources: EncodedResource[] = [];
    const removed: string[] = [];
    for (const name of taken) {
      const found = this.view.get(name);
      if (found === undefined) removed.push(name);
      else resources.push(found);
    }
    names.clear();
    if (part === "asked") this.#asked = undefined;
    const delivery = { resources, removed, range: this.#range ?? { first: 0, last: 0 }, sinceMs: this.#sinceMs };
    if (this.#asked === undefined && this.#changed.size === 0 && this.#removed.size === 0) {
      this.#range = undefined;
      this.#sinceMs = undefined;
    }
    return delivery;
  }

  /** Drops what is pending, because all of it is in the response that is being made. */
  takeAll(): Omit<Delivery, "resources" | "removed"> {
    const taken = { range: this.#range ?? { first: 0, last: 0 }, sinceMs: this.#sinceMs };
    this.#asked = undefined;
    this.#changed.clear();
    this.#removed.clear();
    this.#range = undefined;
    this.#sinceMs = undefined;
    return taken;
  }

  /** Whether every response that this generation caused has been acknowledged. */
  hasAcknowledged(generation: number): boolean {
    return !contains(this.#range, generation) && !contains(this.outstanding?.range, generation) && !contains(this.rejection?.range, generation);
  }

  #extend(range: GenerationRange): void {
    this.#range = this.#range === undefined ? range : { first: Math.min(this.#range.first, range.first), last: Math.max(this.#range.last, range.last) };
  }
}

export function contains(range: GenerationRange | undefined, generation: number): boolean {
  return range !== undefined && range.first <= generation && generation <= range.last;
}
