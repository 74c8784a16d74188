import { editHeaders, maxAddedLength, type HeaderMutation, type MutationContext } from "../routing/header-mutation.ts";
import type { StringMatcher } from "../routing/matchers.ts";
import type { FilterRequest } from "./http-filter.ts";

/** One change of a message's fields. `matches` removes each field whose name (in lower case) matches. */
export type FieldChange = HeaderMutation | { readonly matches: StringMatcher };

/** The fields of a message that changes apply to. Names are in lower case. */
interface Fields {
  names(): Iterable<string>;
  has(name: string): boolean;
  append(name: string, value: string): void;
  remove(name: string): void;
}

export class RequestFields implements Fields {
  readonly #request: FilterRequest;

  constructor(request: FilterRequest) {
    this.#request = request;
  }

  names(): Iterable<string> {
    return Array.from(this.#request.headers(), ([name]) => name);
  }

  has(name: string): boolean {
    return this.#request.header(name) !== undefined;
  }

  append(name: string, value: string): void {
    const before = this.#request.values(name);
    this.#request.setHeader(name, before.length === 0 ? value : [...before, value]);
  }

  remove(name: string): void {
    this.#request.removeHeader(name);
  }
}

type Pairs = readonly (readonly [name: string, value: string])[];

/** The fields of a response or of trailers, in a list of their own. */
export class ListedFields implements Fields {
  #list: (readonly [name: string, value: string])[];

  constructor(list: Pairs) {
    this.#list = list.slice();
  }

  get list(): Pairs {
    return this.#list;
  }

  get(name: string): string | undefined {
    return this.#list.find(([other]) => other === name)?.[1];
  }

  names(): Iterable<string> {
    return this.#list.map(([name]) => name);
  }

  has(name: string): boolean {
    return this.#list.some(([other]) => other === name);
  }

  append(name: string, value: string): void {
    this.#list.push([name, value]);
  }

  remove(name: string): void {
    if (this.has(name)) this.#list = this.#list.filter(([other]) => other !== name);
  }
}

/**
 * Headers that a change by matcher never removes: without them, a message would end elsewhere or have no destination.
 */
const indispensable: ReadonlySet<string> = new Set(["connection", "content-length", "host", "transfer-encoding"]);

/**
 * Makes the changes one after another, so that each sees the results of earlier ones. Additions that exceed
 * {@link maxAddedLength} together are left out. The removals among the changes still apply.
 */
export function applyChanges(changes: readonly FieldChange[], fields: Fields, context: MutationContext): void {
  let addedLength = 0;
  for (const change of changes) {
    if ("matches" in change) {
      for (const name of new Set(fields.names()))
        if (!indispensable.has(name) && change.matches(name)) fields.remove(name);
      continue;
    }
    const { dropped, added } = editHeaders([change], context, (name) => fields.has(name));
    for (const name of dropped) fields.remove(name);
    for (const [name, value] of added) {
      addedLength += name.length + value.length;
      if (addedLength <= maxAddedLength) fields.append(name, value);
    }
  }
}
