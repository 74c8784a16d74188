import type { ComponentType } from "preact";
import type { RouteParameters } from "./route-parameters.ts";

export interface Route {
  /** The pattern of the path. A part such as `:namespace` matches one segment, which may be empty. */
  readonly pattern: string;
  /** The entry of the navigation that the view belongs to. */
  readonly entry: string;
  /** Loads the view's code. Each view is a file of its own. */
  readonly load: () => Promise<ComponentType<Required<RouteParameters>>>;
}

export const routes: readonly Route[] = [
  { pattern: "", entry: "overview", load: async () => (await import("./overview/overview-page.tsx")).OverviewPage },
  {
    pattern: "overview",
    entry: "overview",
    load: async () => (await import("./overview/overview-page.tsx")).OverviewPage,
  },
  { pattern: "graph", entry: "graph", load: async () => (await import("./graph/graph-page.tsx")).GraphPage },
  { pattern: "ladder", entry: "ladder", load: async () => (await import("./ladder/ladder-page.tsx")).LadderPage },
  {
    pattern: "rollouts",
    entry: "rollouts",
    load: async () => (await import("./rollouts/rollouts-page.tsx")).RolloutsPage,
  },
  {
    pattern: "rollouts/:kind/:namespace/:name",
    entry: "rollouts",
    load: async () => (await import("./rollouts/rollout-page.tsx")).RolloutPage,
  },
  // The path of a MeshUpgrade, which has no namespace.
  {
    pattern: "rollouts/:kind/:name",
    entry: "rollouts",
    load: async () => (await import("./rollouts/rollout-page.tsx")).RolloutPage,
  },
  {
    pattern: "workloads",
    entry: "workloads",
    load: async () => (await import("./inspect/workloads-page.tsx")).WorkloadsPage,
  },
  {
    pattern: "workloads/:namespace/:name",
    entry: "workloads",
    load: async () => (await import("./inspect/workload-page.tsx")).WorkloadPage,
  },
  {
    pattern: "services",
    entry: "services",
    load: async () => (await import("./inspect/services-page.tsx")).ServicesPage,
  },
  {
    pattern: "services/:namespace/:name",
    entry: "services",
    load: async () => (await import("./inspect/service-page.tsx")).ServicePage,
  },
  { pattern: "config", entry: "config", load: async () => (await import("./inspect/configs-page.tsx")).ConfigsPage },
  {
    pattern: "config/new",
    entry: "config",
    load: async () => (await import("./inspect/config-editor-page.tsx")).ConfigEditorPage,
  },
  {
    pattern: "config/:apiVersion/:kind/:namespace/:name",
    entry: "config",
    load: async () => (await import("./inspect/config-page.tsx")).ConfigPage,
  },
  { pattern: "audit", entry: "audit", load: async () => (await import("./account/audit-page.tsx")).AuditPage },
  { pattern: "login", entry: "", load: async () => (await import("./account/login-page.tsx")).LoginPage },
];

export const entries = [
  { entry: "overview", title: "Overview", key: "o" },
  { entry: "graph", title: "Graph", key: "g" },
  { entry: "ladder", title: "Revisions", key: "v" },
  { entry: "rollouts", title: "Rollouts", key: "r" },
  { entry: "workloads", title: "Workloads", key: "w" },
  { entry: "services", title: "Services", key: "s" },
  { entry: "config", title: "Config", key: "c" },
  { entry: "audit", title: "Audit", key: "a" },
] as const;

/** Finds the route for a path, and its parameters. Undefined if no route matches. */
export function routeOf(
  path: readonly string[],
): { readonly route: Route; readonly parameters: Required<RouteParameters> } | undefined {
  const segments = path.length === 0 ? [""] : path;
  for (const route of routes) {
    const wanted = route.pattern.split("/");
    if (wanted.length !== segments.length) continue;
    const parameters: Record<string, string> = { apiVersion: "", kind: "", namespace: "", name: "" };
    const fits = wanted.every((part, index) => {
      const segment = segments[index] ?? "";
      if (!part.startsWith(":")) return part === segment;
      parameters[part.slice(1)] = segment;
      return true;
    });
    if (fits) return { route, parameters: parameters as unknown as Required<RouteParameters> };
  }
  return undefined;
}
