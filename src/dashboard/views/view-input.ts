import type { SourceState } from "../../api/dashboard/index.ts";
import type { ConnectedProxy } from "../../api/serin/index.ts";
import type { ConfigMessages } from "./config-messages.ts";
import type { Inventory } from "./inventory.ts";
import type { TrafficEdge } from "./traffic.ts";

/** Whose namespaces are shown. */
export type VisibleNamespaces = ReadonlySet<string> | "*";

/** What was measured over a window. */
export interface MeasuredTraffic {
  readonly edges: readonly TrafficEdge[];
  readonly windowSeconds: number;
  /** The window's end: when the latest of it was counted. */
  readonly asOfMs: number;
  readonly oldestMs: number | undefined;
}

/** What control planes told. */
export interface PilotReports {
  readonly proxies: readonly ConnectedProxy[];
  /** By revision, SHA-256 of the root that it signs by. */
  readonly roots: ReadonlyMap<string, string>;
  /** Pods of control planes that have answered. */
  readonly answered: number;
}

export const noPilots: PilotReports = { proxies: [], roots: new Map(), answered: 0 };

/** Everything that a view is made of. */
export interface ViewInput {
  readonly atMs: number;
  readonly sources: readonly SourceState[];
  readonly inventory: Inventory;
  readonly traffic: MeasuredTraffic;
  readonly pilots: PilotReports;
  readonly messages: ConfigMessages;
}

export function isVisible(visible: VisibleNamespaces, namespace: string): boolean {
  return visible === "*" || visible.has(namespace);
}

/** Names with commas between them; empty: all that are visible. */
export function wantedNamespaces(text: string, visible: VisibleNamespaces): VisibleNamespaces {
  const names = text
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "");
  if (names.length === 0) return visible;
  return new Set(names.filter((name) => isVisible(visible, name)));
}
