import type { Inventory } from "./inventory.ts";
import type { MessageType } from "./message-types.ts";
import type { Resource } from "./resource.ts";

/** Reports a message. `path` is the field that it is about, or `""` for the whole resource. */
export type Report = (type: MessageType, resource: Resource, path: string, text: string) => void;

/** A group of checks. If Istio has the same checks, it has Istio's name for them. */
export interface Analyzer {
  readonly name: string;
  readonly description: string;
  analyze(inventory: Inventory, report: Report): void;
}

/** Formats names for a message: `a, b and c`. Of more than `most` names, gives the first, and the number of others. */
export function listed(names: readonly string[], most = 5): string {
  const shown = names.length > most ? [...names.slice(0, most), `${names.length - most} more`] : names;
  return shown.length < 2 ? (shown[0] ?? "") : `${shown.slice(0, -1).join(", ")} and ${shown.at(-1) ?? ""}`;
}

/** Formats labels, sorted: `app=web,tier=front`. */
export function labelsText(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .toSorted()
    .join(",");
}
