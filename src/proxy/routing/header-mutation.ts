import type { ConnectionInfo } from "../terms/connection-info.ts";
import type { WorkloadLabels } from "../terms/workload-labels.ts";
import type { RequestView } from "./request-view.ts";

/** What happens to an existing header. */
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

/** The facts to which header values may refer. */
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
  /** The metadata that filters set. */
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
 * Computes the changes of all levels in order, the most specific level first. `has` says whether the original head has
 * a header of that name.
 */
export function editHeaders(
  levels: readonly HeaderMutation[],
  context: MutationContext,
  has: (name: string) => boolean,
): HeaderEdits {
  const dropped = new Set<string>();
  let added: [string, string][] = [];
  for (const level of levels) {
    for (const name of level.remove) {
      dropped.add(name);
      added = added.filter(([other]) => other !== name);
    }
    for (const addition of level.add) {
      const value = addition.value(context);
      if (value === "" && !addition.keepEmptyValue) continue;
      const { name } = addition;
      const present = added.some(([other]) => other === name) || (!dropped.has(name) && has(name));
      if (addition.action === "add-if-absent" && present) continue;
      if (addition.action === "overwrite-if-exists" && !present) continue;
      if (addition.action === "overwrite-if-exists-or-add" || addition.action === "overwrite-if-exists") {
        dropped.add(name);
        added = added.filter(([other]) => other !== name);
      }
      added.push([name, value]);
    }
  }
  return { dropped, added };
}
