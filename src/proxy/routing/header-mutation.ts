import type { ConnectionInfo } from "../terms/connection-info.ts";
import type { WorkloadLabels } from "../terms/workload-labels.ts";
import type { RequestView } from "./request-view.ts";

export type AppendAction =
  | "append-if-exists-or-add"
  | "add-if-absent"
  | "overwrite-if-exists-or-add"
  | "overwrite-if-exists";

export interface HeaderAddition {
  /** In lower case. */
  readonly name: string;
  /** Returns the header's value for a request. An empty value adds no header unless {@link keepEmptyValue}. */
  readonly value: (request: MutationContext) => string;
  readonly action: AppendAction;
  readonly keepEmptyValue: boolean;
}

/** The header changes of one level, such as a route or a virtual host. Removals are made before additions. */
export interface HeaderMutation {
  readonly add: readonly HeaderAddition[];
  /** Names in lower case. */
  readonly remove: readonly string[];
}

export interface MutationContext {
  readonly request: RequestView;
  readonly connection: ConnectionInfo;
  /** The client's workload, as far as it is known. */
  readonly downstreamPeer: WorkloadLabels | undefined;
  /** The client's address without port, from `x-forwarded-for` only if the listener trusts that header. */
  readonly clientAddress: () => string;
  readonly startedMs: number;
  readonly routeName: string;
  /** The chosen upstream. Empty if there is none. */
  readonly cluster: string;
  readonly upstreamHost: string;
  /** The status of the response. 0 if there is none. */
  readonly status: number;
  readonly flags: () => string;
  /** The headers of the upstream's response. Undefined if there is no response, or if it is the proxy's own. */
  readonly response: { get(name: string): string | undefined } | undefined;
  readonly metadata: ReadonlyMap<string, unknown> | undefined;
}

/** Header changes in the form in which the code that writes a head needs them. */
export interface HeaderEdits {
  /** Lower-case names of original headers to remove. */
  readonly dropped: ReadonlySet<string>;
  /** Lines to add, in order. */
  readonly added: readonly (readonly [name: string, value: string])[];
}

/**
 * The maximum length of the names and values that the changes of one message add. A short format that repeats a long
 * header of the client could otherwise fill the memory. It is several times the length of a head that servers accept.
 */
export const maxAddedLength = 262_144;

/**
 * Computes the changes of all levels in order, the most specific level first. `has` says whether the original head has
 * a header of that name. An addition that exceeds {@link maxAddedLength}, and those after it, are left out. If they
 * overwrite a header, it is still removed, so that a client's own value does not take the place of the route's.
 */
export function editHeaders(
  levels: readonly HeaderMutation[],
  context: MutationContext,
  has: (name: string) => boolean,
): HeaderEdits {
  const dropped = new Set<string>();
  const added = new AddedFields();
  for (const level of levels) {
    for (const name of level.remove) {
      dropped.add(name);
      added.remove(name);
    }
    for (const addition of level.add) {
      const { name, action } = addition;
      const value = added.isFull ? undefined : addition.value(context);
      if (value === "" && !addition.keepEmptyValue) continue;
      const present = added.has(name) || (!dropped.has(name) && has(name));
      if (action === "add-if-absent" && present) continue;
      if (action === "overwrite-if-exists" && !present) continue;
      if (action === "overwrite-if-exists-or-add" || action === "overwrite-if-exists") {
        dropped.add(name);
        added.remove(name);
      }
      if (value !== undefined) added.add(name, value);
    }
  }
  return { dropped, added: added.list() };
}

/** The number of added fields up to which a search among them is faster than an index. */
const maxScanned = 8;
const none: number[] = [];

/**
 * Added fields in their order. Many fields have an index, so that the time of a route that adds thousands of them does
 * not grow with the square of their number.
 */
class AddedFields {
  readonly #fields: (readonly [name: string, value: string] | undefined)[] = [];
  /** The positions of the fields by their names. Undefined while there are few fields. */
  #places: Map<string, number[]> | undefined;
  #length = 0;
  #hasGaps = false;

  get isFull(): boolean {
    return this.#length > maxAddedLength;
  }

  has(name: string): boolean {
    if (this.#places !== undefined) return (this.#places.get(name) ?? none).length > 0;
    for (const field of this.#fields) if (field?.[0] === name) return true;
    return false;
  }

  add(name: string, value: string): void {
    this.#length += name.length + value.length;
    if (this.isFull) return;
    const place = this.#fields.push([name, value]) - 1;
    if (this.#places !== undefined) this.#index(this.#places, name, place);
    else if (place === maxScanned) {
      const places = (this.#places = new Map<string, number[]>());
      for (const [at, field] of this.#fields.entries()) if (field !== undefined) this.#index(places, field[0], at);
    }
  }

  remove(name: string): void {
    if (this.#places === undefined) {
      for (let at = 0; at < this.#fields.length; at += 1) if (this.#fields[at]?.[0] === name) this.#clear(at);
      return;
    }
    // Keep the empty list: deleting keys of a large map again and again takes long.
    const places = this.#places.get(name) ?? none;
    for (const at of places) this.#clear(at);
    places.length = 0;
  }

  list(): HeaderEdits["added"] {
    const fields = this.#fields;
    return this.#hasGaps
      ? fields.filter((field) => field !== undefined)
      : (fields as readonly (readonly [string, string])[]);
  }

  #index(places: Map<string, number[]>, name: string, place: number): void {
    const known = places.get(name);
    if (known === undefined) places.set(name, [place]);
    else known.push(place);
  }

  #clear(place: number): void {
    this.#fields[place] = undefined;
    this.#hasGaps = true;
  }
}
