import type { SourceState } from "../../api/dashboard/index.ts";
import type { ConnectedProxy } from "../../api/serin/index.ts";
import type { ConfigMessages } from "./config-messages.ts";
import type { Inventory } from "./inventory.ts";
import type { TrafficEdge } from "./traffic.ts";

/** The namespaces that are shown. */
export type VisibleNamespaces = ReadonlySet<string> | "*";

/** The traffic measured over a window. */
export interface MeasuredTraffic {
  readonly edges: readonly TrafficEdge[];
  readonly windowSeconds: number;
  /** The end of the window, when its latest traffic was counted. */
  readonly asOfMs: number;
  readonly oldestMs: number | undefined;
}

/** The reports of control planes. */
export interface PilotReports {
  readonly proxies: readonly ConnectedProxy[];
  /** The SHA-256 fingerprint of the signing root, by revision. */
  readonly roots: ReadonlyMap<string, string>;
  /** The number of control plane pods that have answered. */
  readonly answered: number;
  /** The control plane pods that have not answered. The state of their proxies is old or unknown. */
  readonly silent: readonly SilentPilot[];
}

export interface SilentPilot {
  readonly pod: string;
  readonly revision: string;
  readonly problem: string;
}

export const noPilots: PilotReports = { proxies: [], roots: new Map(), answered: 0, silent: [] };

/** Why the numbers of proxies are unknown. Undefined if at least one control plane has reported its proxies. */
export function whyProxiesUnknown({ answered, silent }: PilotReports): string | undefined {
  if (answered > 0) return undefined;
  const [first] = silent;
  return first === undefined ? "no control plane has answered" : problemOf(first);
}

/** Why some proxies may be missing or old in the counts. Undefined if all control planes, or none, have answered. */
export function whyProxiesIncomplete({ answered, silent }: PilotReports): string | undefined {
  const [first] = silent;
  return answered === 0 || first === undefined ? undefined : problemOf(first);
}

function problemOf({ pod, problem }: SilentPilot): string {
  return `${pod}: ${problem}`;
}

/** The input of a view. */
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

/** Parses comma-separated names. Empty means all visible namespaces. */
export function wantedNamespaces(text: string, visible: VisibleNamespaces): VisibleNamespaces {
  const names = text
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "");
  if (names.length === 0) return visible;
  return new Set(names.filter((name) => isVisible(visible, name)));
}
