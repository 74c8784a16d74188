import { graphGroupings, type GraphGrouping, type Health } from "../../../api/dashboard/index.ts";
import type { GraphFilters } from "./display-graph.ts";
import { edgeLabels, type EdgeLabel } from "./edge-label.ts";

/** The state of the graph's view, as the link has it. The parameters that all views have are not here. */
export interface GraphState {
  readonly by: GraphGrouping;
  readonly label: EdgeLabel;
  readonly filters: GraphFilters;
  readonly search: string;
  readonly selected: string;
  /** If undefined, the window's width decides. */
  readonly mode: "graph" | "table" | undefined;
}

export const healths = ["healthy", "degraded", "failing", "idle", "unknown"] as const satisfies readonly Health[];

/** Reads the link's parameters. Ignores unknown values. */
export function graphState(query: Readonly<Record<string, string>>): GraphState {
  const minimumRate = Number(query["min"] ?? "");
  return {
    by: graphGroupings.find((name) => name === query["by"]) ?? "versionedApp",
    label: edgeLabels.find((name) => name === query["label"]) ?? "rate",
    filters: {
      protocols: new Set(listed(query["protocol"])),
      health: new Set(healths.filter((name) => listed(query["health"]).includes(name))),
      hideIdle: query["idle"] === "hide",
      minimumRate: Number.isFinite(minimumRate) && minimumRate > 0 ? minimumRate : 0,
      showHops: query["hops"] === "show",
    },
    search: query["q"] ?? "",
    selected: query["sel"] ?? "",
    mode: query["as"] === "graph" || query["as"] === "table" ? query["as"] : undefined,
  };
}

function listed(text: string | undefined): readonly string[] {
  return (text ?? "").split(",").filter((part) => part !== "");
}

/** Adds a member to a set, or removes it. Returns the set as a link's parameter. */
export function toggled(set: ReadonlySet<string>, member: string): string {
  const next = new Set(set);
  if (!next.delete(member)) next.add(member);
  return [...next].sort().join(",");
}

export function filterCount({ protocols, health, hideIdle, minimumRate }: GraphFilters): number {
  return protocols.size + health.size + (hideIdle ? 1 : 0) + (minimumRate > 0 ? 1 : 0);
}

/**
 * The moment that follows `atMs` while the graph plays. 0, which means now, if that moment is within one step of the
 * present.
 */
export function nextMoment(atMs: number, stepMs: number, nowMs: number): number {
  const next = atMs + stepMs;
  return next >= nowMs - stepMs ? 0 : next;
}
