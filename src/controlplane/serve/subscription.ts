import type { AddressDemand } from "./address-demand.ts";
import type { EncodedResource } from "../translate/resource.ts";
import { groupsOf, type ResourceView } from "./resource-view.ts";
import { WantedNames } from "./wanted-names.ts";

/** Generations of the model, both inclusive. */
export interface GenerationRange {
  readonly first: number;
  readonly last: number;
}

interface Outstanding {
  readonly nonce: string;
  readonly range: GenerationRange;
  readonly groups: ResourceGroups;
}

export interface Rejection {
  readonly reason: string;
  readonly range: GenerationRange;
}

/** Resources in lists, of which some are shared with other streams. */
export type ResourceGroups = readonly (readonly EncodedResource[])[];

/** What is to be sent of a type: resources with their bytes, and names that are gone. */
export interface Delivery {
  readonly groups: ResourceGroups;
  readonly removed: readonly string[];
  readonly range: GenerationRange;
  /** When the oldest of the changes arrived; undefined for answers to a request. */
  readonly sinceMs: number | undefined;
}

const noRange: GenerationRange = { first: 0, last: 0 };
/** A longer list of changed names is not kept as it was told. */
const maxToldNames = 16;

/** What the names of a list stand for now, as the stream that asked last had it: others mostly have the same. */
const resourcesOfTold = new WeakMap<readonly string[], ResourceGroups>();

/**
 * What one stream wants of one type, what it has still to be sent, and what it has answered. Changes that come while a
 * response is not acknowledged yet are joined, so a slow client costs no memory and gets only the last state.
 */
export class Subscription {
  readonly typeUrl: string;
  readonly view: ResourceView;
  wildcard = false;
  readonly names = new WantedNames();
  sent = "";
  acknowledged = "";
  rejected = "";
  rejection: Rejection | undefined;
  outstanding: Outstanding | undefined;
  /** Of one that asks for some addresses, by more than their names. */
  demand: AddressDemand | undefined;
  hasDemanded = false;
  /** Asked for by the client: answered at once, even with nothing. */
  #asked: Set<string> | undefined;
  /** All that there is, to a client that has nothing. */
  #askedAll = false;
  /** Of names that the client said it has, in the request that is not answered yet, and that are gone. */
  #goneCharacters = 0;
  /**
   * All that has changed, as the view told it: nearly always one change comes at a time, and its list is the same object for
   * all streams that are told of it. What comes to it makes it part of {@link #changed}.
   */
  #told: readonly string[] | undefined;
  readonly #changed = new Set<string>();
  readonly #removed = new Set<string>();
  /** There is one as long as there is something to send. */
  #range: GenerationRange | undefined;
  #sinceMs: number | undefined;

  constructor(typeUrl: string, view: ResourceView) {
    this.typeUrl = typeUrl;
    this.view = view;
  }

  /** The client asks for resources anew. `known` are versions that it has: equal ones are not sent again. */
  ask(names: Iterable<string>, known: Readonly<Record<string, string>>, generation: number): void {
    const asked = (this.#asked ??= new Set());
    this.#gatherTold();
    for (const name of names) {
      const has = known[name];
      if (has === undefined || this.view.get(name)?.version !== has) asked.add(name);
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
    if (names.size === 0) {
      this.#askedAll = true;
      this.#told = undefined;
      this.#changed.clear();
      this.#extend({ first: 0, last: generation });
      return;
    }
    for (const name of names) if (this.view.get(name) === undefined) this.#goneCharacters += name.length;
    for (const resource of this.view.all()) names.add(resource.name);
    this.ask(names, known, generation);
  }

  /** Of names that are kept because this client has said them. */
  get characters(): number {
    return this.names.characters + this.#goneCharacters;
  }

  wants(name: string): boolean {
    if (this.wildcard || this.names.has(name)) return true;
    if (this.demand?.isFor(name, this.names) !== true) return false;
    this.names.add(name);
    return true;
  }

  /** Asks for what answers some keys, and follows it from now on. */
  askFor(
    keys: readonly string[],
    demand: AddressDemand,
    known: Readonly<Record<string, string>>,
    generation: number,
  ): void {
    const answers = [
      ...keys.flatMap((key) => {
        const found = demand.answersTo(key);
        return found.length === 0 ? [key] : found;
      }),
      ...(this.hasDemanded ? [] : demand.onNode()),
    ];
    this.hasDemanded = true;
    for (const name of [...keys, ...answers]) this.names.add(name);
    this.ask(answers, known, generation);
  }

  /** False when none of the names matters to this client. */
  change(names: readonly string[], generation: number, nowMs: number): boolean {
    if (this.#range === undefined && this.#wantsAllOf(names)) {
      this.#told = names;
      this.#range = { first: generation, last: generation };
      this.#sinceMs = nowMs;
      return true;
    }
    this.#gatherTold();
    let concerned = false;
    this.demand?.changed(names);
    for (const name of names) {
      if (!this.wants(name)) continue;
      const gone = this.view.get(name) === undefined;
      // It will be in the answer that is still to be sent, and is acknowledged with that.
      if (this.#asked?.has(name) === true || (this.#askedAll && !gone)) {
        this.#extend({ first: generation, last: generation });
        continue;
      }
      this.#changed.delete(name);
      this.#removed.delete(name);
      (gone ? this.#removed : this.#changed).add(name);
      concerned = true;
    }
    if (concerned) {
      this.#extend({ first: generation, last: generation });
      this.#sinceMs ??= nowMs;
    }
    return concerned;
  }

  /** Every one of a few is wanted and there. */
  #wantsAllOf(names: readonly string[]): boolean {
    if (names.length === 0 || names.length > maxToldNames || this.demand !== undefined) return false;
    for (let index = 0; index < names.length; index += 1) {
      const name = names[index] ?? "";
      if (!this.wants(name) || this.view.get(name) === undefined || names.indexOf(name) !== index) return false;
    }
    return true;
  }

  #gatherTold(): void {
    if (this.#told === undefined) return;
    for (const name of this.#told) this.#changed.add(name);
    this.#told = undefined;
  }

  forget(name: string): void {
    this.#gatherTold();
    this.names.delete(name);
    this.#changed.delete(name);
    this.#removed.delete(name);
    this.#asked?.delete(name);
    this.view.forget?.(name);
    this.#endRange();
  }

  /** Something is to be sent, now or when the client has answered. */
  get isDue(): boolean {
    return this.#range !== undefined;
  }

  get hasAsked(): boolean {
    return this.#askedAll || this.#asked !== undefined;
  }
  get hasChanged(): boolean {
    return this.#told !== undefined || this.#changed.size > 0;
  }
  get hasRemoved(): boolean {
    return this.#removed.size > 0;
  }
  get pending(): GenerationRange | undefined {
    return this.#range;
  }
  get idle(): boolean {
    return this.outstanding === undefined && (this.#range === undefined || (!this.hasAsked && !this.hasChanged));
  }

  /** Takes what must be sent: answers with all that is pending beside them, or changes, or removals. */
  take(part: "asked" | "changed" | "removed"): Delivery {
    if (part === "changed" && this.#told !== undefined) return this.#takeTold(this.#told);
    this.#gatherTold();
    const delivery = part === "asked" && this.#askedAll ? this.#takeWhole() : this.#takeNames(part);
    this.#endRange();
    return delivery;
  }

  #takeTold(names: readonly string[]): Delivery {
    const { range, sinceMs } = this.takeAll();
    const known = resourcesOfTold.get(names);
    if (known?.[0] !== undefined && this.#areNow(names, known[0]))
      return { groups: known, removed: noNames, range, sinceMs };
    const resources = names.flatMap((name) => this.view.get(name) ?? []);
    const groups = resources.length === 0 ? [] : [resources];
    resourcesOfTold.set(names, groups);
    return {
      groups,
      removed: resources.length === names.length ? noNames : names.filter((name) => this.view.get(name) === undefined),
      range,
      sinceMs,
    };
  }

  #areNow(names: readonly string[], resources: readonly EncodedResource[]): boolean {
    if (names.length !== resources.length) return false;
    for (let index = 0; index < names.length; index += 1)
      if (this.view.get(names[index] ?? "") !== resources[index]) return false;
    return true;
  }

  /** Drops what is pending, because all of it is in the response that is being made. */
  takeAll(): Omit<Delivery, "groups" | "removed"> {
    const taken = { range: this.#range ?? noRange, sinceMs: this.#sinceMs };
    this.#asked = undefined;
    this.#askedAll = false;
    this.#goneCharacters = 0;
    this.#told = undefined;
    // To clear a set, also an empty one, is to make a new one.
    if (this.#changed.size > 0) this.#changed.clear();
    if (this.#removed.size > 0) this.#removed.clear();
    this.#range = undefined;
    this.#sinceMs = undefined;
    return taken;
  }

  /** Whether every response that this generation caused has been acknowledged. */
  hasAcknowledged(generation: number): boolean {
    return (
      !contains(this.#range, generation) &&
      !contains(this.outstanding?.range, generation) &&
      !contains(this.rejection?.range, generation)
    );
  }

  /** In lists that other streams share. Names that were asked for and are not there are answered as removed. */
  #takeWhole(): Delivery {
    const removed = [...(this.#asked ?? []), ...this.#removed].filter((name) => this.view.get(name) === undefined);
    return { groups: groupsOf(this.view), removed, ...this.takeAll() };
  }

  #takeNames(part: "asked" | "changed" | "removed"): Delivery {
    const names = part === "removed" ? this.#removed : this.#changed;
    const resources: EncodedResource[] = [];
    const removed: string[] = [];
    const take = (name: string): void => {
      const found = this.view.get(name);
      if (found === undefined) removed.push(name);
      else resources.push(this.demand?.withAliases(found) ?? found);
    };
    if (part === "asked") {
      for (const name of this.#asked ?? []) take(name);
      this.#asked = undefined;
      this.#goneCharacters = 0;
    }
    for (const name of names) take(name);
    names.clear();
    return {
      groups: resources.length === 0 ? [] : [resources],
      removed,
      range: this.#range ?? noRange,
      sinceMs: this.#sinceMs,
    };
  }

  /** What is neither to be sent nor was sent is never acknowledged: nobody may wait for it. */
  #endRange(): void {
    if (this.hasAsked || this.hasChanged || this.hasRemoved) return;
    this.#range = undefined;
    this.#sinceMs = undefined;
  }

  #extend(range: GenerationRange): void {
    this.#range =
      this.#range === undefined
        ? range
        : { first: Math.min(this.#range.first, range.first), last: Math.max(this.#range.last, range.last) };
  }
}

const noNames: readonly string[] = [];

export function contains(range: GenerationRange | undefined, generation: number): boolean {
  return range !== undefined && range.first <= generation && generation <= range.last;
}
