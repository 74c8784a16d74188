import type { SourceState } from "../../api/dashboard/index.ts";
import type { ConnectedProxy } from "../../api/serin/index.ts";
import type { ConfigMessages } from "./config-messages.ts";
import type { Inventory } from "./inventory.ts";
import type { TrafficEdge } from "./traffic.ts";

export type VisibleNamespaces = ReadonlySet<string> | "*";

export interface MeasuredTraffic {
  readonly edges: readonly TrafficEdge[];
  readonly windowSeconds: number;
  /** The end of the window: when traffic was counted last. */
  readonly asOfMs: number;
  readonly oldestMs: number | undefined;
}

export interface PilotReports {
  readonly proxies: readonly ConnectedProxy[];
  /** By revision, the SHA-256 fingerprint of the root with which it signs. */
  readonly roots: ReadonlyMap<string, string>;
  readonly answered: number;
  /** The control plane pods that have not answered. What is known about their proxies is old. */
  readonly silent: readonly SilentPilot[];
}

export interface SilentPilot {
  readonly pod: string;
  readonly revision: string;
  readonly problem: string;
}

export const noPilots: PilotReports = { proxies: [], roots: new Map(), answered: 0, silent: [] };

/** Why it is unknown how many proxies there are. Undefined if at least one control plane has reported its proxies. */
export function whyProxiesUnknown({ answered, silent }: PilotReports): string | undefined {
  if (answered > 0) return undefined;
  const [first] = silent;
  return first === undefined ? "no control plane has answered" : problemOf(first);
}

/** Why the counts of proxies may be incomplete or old. Undefined if all control planes have answered, or none. */
export function whyProxiesIncomplete({ answered, silent }: PilotReports): string | undefined {
  const [first] = silent;
  return answered === 0 || first === undefined ? undefined : problemOf(first);
}

function problemOf({ pod, problem }: SilentPilot): string {
  return `${pod}: ${problem}`;
}

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

/** Parses names that are separated by commas. No name means all visible namespaces. */
export function wantedNamespaces(text: string, visible: VisibleNamespaces): VisibleNamespaces {
  const names = text
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "");
  if (names.length === 0) return visible;
  return new Set(names.filter((name) => isVisible(visible, name)));
}
