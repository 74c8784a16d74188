import { memos } from "../model/memos.ts";
import type { AddressDemand } from "./address-demand.ts";
import type { EncodedResource } from "../translate/resource.ts";
import { groupsOf, type ResourceView } from "./resource-views/resource-view.ts";
import { bytesOf, WantedNames } from "./wanted-names.ts";

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

/** Resources in lists, some of which other streams share. */
export type ResourceGroups = readonly (readonly EncodedResource[])[];

export interface Delivery {
  readonly groups: ResourceGroups;
  readonly removed: readonly string[];
  readonly range: GenerationRange;
  /** When the oldest of the changes arrived. Undefined for an answer to a request. */
  readonly sinceMs: number | undefined;
}

/** What a response sends of a subscription. A set of names means the removals of these resources. */
export type DuePart = "asked" | "changed" | "removed" | ReadonlySet<string>;

const noRange: GenerationRange = { first: 0, last: 0 };
let latestRange = noRange;

/** All streams that a change affects share the object. */
function rangeOf(generation: number): GenerationRange {
  if (latestRange.last !== generation) latestRange = { first: generation, last: generation };
  return latestRange;
}

/** A longer list of changed names is stored as a set. */
const maxSharedNames = 16;

/** The resources of a list of names, as the previous stream found them. Other streams mostly find the same. */
const resourcesOfNames = memos.brief<readonly string[], ResourceGroups>("resources-of-changes");

/**
 * One stream's subscription to one type: the requested names, the changes that must still be sent, and the client's
 * acknowledgements. Changes that arrive before a response is acknowledged are merged, so a slow client costs no memory
 * and gets only the latest state.
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
  /** What a ztunnel has asked for. Set for a client that requests single addresses by keys other than their names. */
  demand: AddressDemand | undefined;
  hasDemanded = false;
  /** Names that the client has requested. They are answered at once, even if they do not exist. */
  #requested: Set<string> | undefined;
  /** Whether the client has no resource and has requested all. */
  #askedAll = false;
  /**
   * The total length of the names of removed resources that the client claimed to have, and the memory of these names,
   * until the client's request is answered.
   */
  #goneCharacters = 0;
  #goneBytes = 0;
  /**
   * The changed names as the view reported them. Usually there is only one change at a time, and its list is the same
   * object for all streams. If another change follows, the names move into {@link #changed}.
   */
  #changedNames: readonly string[] | undefined;
  readonly #changed = new Set<string>();
  readonly #removed = new Set<string>();
  /** The generations of what must be sent. Set while there is something to send. */
  #range: GenerationRange | undefined;
  #sinceMs: number | undefined;

  constructor(typeUrl: string, view: ResourceView) {
    this.typeUrl = typeUrl;
    this.view = view;
  }

  /**
   * Called when the client requests resources again. `known` are the versions that it has. Resources with these
   * versions are not sent again.
   */
  ask(names: Iterable<string>, known: Readonly<Record<string, string>>, generation: number): void {
    const requested = (this.#requested ??= new Set());
    this.#gatherChanged();
    for (const name of names) {
      const has = known[name];
      if (has === undefined || this.view.get(name)?.version !== has) requested.add(name);
      this.#changed.delete(name);
      this.#removed.delete(name);
    }
    this.#extend({ first: 0, last: generation });
  }

  /** Sends the named resources even if the client has them. An empty list requests nothing. */
  askIfAny(names: readonly string[], generation: number): void {
    if (names.length > 0) this.ask(names, {}, generation);
  }

  /** Requests everything in the view. Resources that the client has but the view does not are answered as removed. */
  askAll(known: Readonly<Record<string, string>>, generation: number): void {
    const names = new Set(Object.keys(known));
    if (names.size === 0) {
      this.#askedAll = true;
      this.#changedNames = undefined;
      this.#changed.clear();
      this.#extend({ first: 0, last: generation });
      return;
    }
    for (const name of names) {
      if (this.view.get(name) !== undefined) continue;
      this.#goneCharacters += name.length;
      this.#goneBytes += bytesOf(name);
    }
    for (const resource of this.view.all()) names.add(resource.name);
    this.ask(names, known, generation);
  }

  /** The total length of the stored names that only this client sent. */
  get characters(): number {
    return this.names.characters + this.#goneCharacters;
  }

  /** An estimate of the memory that only this client makes the server keep. */
  get bytes(): number {
    return this.names.bytes + this.#goneBytes + (this.rejection?.reason.length ?? 0);
  }

  wants(name: string): boolean {
    if (this.wildcard || this.names.has(name)) return true;
    if (this.demand?.isFor(name, this.names) !== true) return false;
    this.names.add(name);
    return true;
  }

  /** Requests the resources that answer some keys, and follows them from now on. */
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
    this.names.addAll([...keys, ...answers], this.view);
    this.ask(answers, known, generation);
  }

  /** Returns false if none of the names matters to this client. */
  change(names: readonly string[], generation: number, nowMs: number): boolean {
    if (this.#range === undefined && this.#wantsAllOf(names)) {
      this.#changedNames = names;
      this.#range = rangeOf(generation);
      this.#sinceMs = nowMs;
      return true;
    }
    this.#gatherChanged();
    let concerned = false;
    this.demand?.changed(names);
    for (const name of names) {
      if (!this.wants(name)) continue;
      const gone = this.view.get(name) === undefined;
      // The change will be in the answer that is still to be sent, and is acknowledged with that answer.
      if (this.#requested?.has(name) === true || (this.#askedAll && !gone)) {
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

  #wantsAllOf(names: readonly string[]): boolean {
    if (names.length === 0 || names.length > maxSharedNames || this.demand !== undefined) return false;
    for (let index = 0; index < names.length; index += 1) {
      const name = names[index] ?? "";
      if (!this.wants(name) || this.view.get(name) === undefined || names.indexOf(name) !== index) return false;
    }
    return true;
  }

  #gatherChanged(): void {
    if (this.#changedNames === undefined) return;
    for (const name of this.#changedNames) this.#changed.add(name);
    this.#changedNames = undefined;
  }

  forget(name: string): void {
    this.#gatherChanged();
    this.names.delete(name);
    this.#changed.delete(name);
    this.#removed.delete(name);
    this.#requested?.delete(name);
    this.view.forget?.(name);
    this.#endRange();
  }

  /** Whether something must be sent, now or after the client has answered. */
  get isDue(): boolean {
    return this.#range !== undefined;
  }

  get hasAsked(): boolean {
    return this.#askedAll || this.#requested !== undefined;
  }
  get hasChanged(): boolean {
    return this.#changedNames !== undefined || this.#changed.size > 0;
  }
  get hasRemoved(): boolean {
    return this.#removed.size > 0;
  }
  *changed(): Iterable<EncodedResource> {
    for (const name of this.#changedNames ?? this.#changed) {
      const found = this.view.get(name);
      if (found !== undefined) yield found;
    }
  }
  /** Whether the resource is gone, and its removal has not been sent to the client yet. */
  isRemoved(name: string): boolean {
    return this.#removed.has(name);
  }
  get pending(): GenerationRange | undefined {
    return this.#range;
  }
  get idle(): boolean {
    return this.outstanding === undefined && (this.#range === undefined || (!this.hasAsked && !this.hasChanged));
  }

  /**
   * Takes what must be sent: the requested resources with all pending changes, only the changes, or only the removals.
   */
  take(part: DuePart): Delivery {
    if (part === "changed" && this.#changedNames !== undefined) return this.#takeChanged(this.#changedNames);
    this.#gatherChanged();
    const delivery = part === "asked" && this.#askedAll ? this.#takeWhole() : this.#takeNames(part);
    this.#endRange();
    return delivery;
  }

  #takeChanged(names: readonly string[]): Delivery {
    const { range, sinceMs } = this.takeAll();
    const known = resourcesOfNames.get(names);
    if (known?.[0] !== undefined && this.#areNow(names, known[0]))
      return { groups: known, removed: noNames, range, sinceMs };
    const resources = names.flatMap((name) => this.view.get(name) ?? []);
    const groups = resources.length === 0 ? [] : [resources];
    resourcesOfNames.set(names, groups);
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

  /** Drops the pending changes, because the response under construction contains all of them. */
  takeAll(): Omit<Delivery, "groups" | "removed"> {
    const taken = { range: this.#range ?? noRange, sinceMs: this.#sinceMs };
    this.#requested = undefined;
    this.#askedAll = false;
    this.#goneCharacters = 0;
    this.#goneBytes = 0;
    this.#changedNames = undefined;
    // `clear` allocates a new table even for an empty set.
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

  /** Everything, in lists that other streams share. Requested names that do not exist are answered as removed. */
  #takeWhole(): Delivery {
    const removed = [...(this.#requested ?? []), ...this.#removed].filter((name) => this.view.get(name) === undefined);
    return { groups: groupsOf(this.view), removed, ...this.takeAll() };
  }

  #takeNames(part: DuePart): Delivery {
    const pending = part === "asked" || part === "changed" ? this.#changed : this.#removed;
    const names = typeof part === "string" ? pending : part;
    const resources: EncodedResource[] = [];
    const removed: string[] = [];
    const take = (name: string): void => {
      const found = this.view.get(name);
      if (found === undefined) removed.push(name);
      else resources.push(this.demand?.withAliases(found) ?? found);
    };
    if (part === "asked") {
      for (const name of this.#requested ?? []) take(name);
      this.#requested = undefined;
      this.#goneCharacters = 0;
      this.#goneBytes = 0;
    }
    for (const name of names) take(name);
    if (names === pending) pending.clear();
    else for (const name of names) pending.delete(name);
    return {
      groups: resources.length === 0 ? [] : [resources],
      removed,
      range: this.#range ?? noRange,
      sinceMs: this.#sinceMs,
    };
  }

  /**
   * Clears the range when nothing is pending. Otherwise, a rollout that waits for the acknowledgement would wait
   * forever.
   */
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
