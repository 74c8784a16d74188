import type { ConfigsView, ConfigView } from "./config-view.ts";
import type { GraphGrouping, GraphView } from "./graph-view.ts";
import type { LadderView } from "./ladder-view.ts";
import type { OverviewView } from "./overview-view.ts";
import type { RolloutsView, RolloutView } from "./rollout-view.ts";
import type { Problem, View, ViewHead } from "./view.ts";
import type { ServicesView, ServiceView, WorkloadsView, WorkloadView } from "./workload-view.ts";

export interface Topics {
  readonly overview: { readonly view: OverviewView; readonly parameters: Readonly<Record<string, never>> };
  readonly graph: { readonly view: GraphView; readonly parameters: GraphParameters };
  readonly ladder: { readonly view: LadderView; readonly parameters: Readonly<Record<string, never>> };
  readonly rollouts: { readonly view: RolloutsView; readonly parameters: Readonly<Record<string, never>> };
  /** `namespace` is empty for a MeshUpgrade. */
  readonly rollout: {
    readonly view: RolloutView;
    readonly parameters: { readonly kind: "Canary" | "MeshUpgrade"; readonly namespace: string; readonly name: string };
  };
  readonly workloads: { readonly view: WorkloadsView; readonly parameters: NamespacesParameter };
  readonly workload: {
    readonly view: WorkloadView;
    readonly parameters: { readonly namespace: string; readonly name: string };
  };
  readonly services: { readonly view: ServicesView; readonly parameters: NamespacesParameter };
  readonly service: {
    readonly view: ServiceView;
    readonly parameters: { readonly namespace: string; readonly name: string };
  };
  readonly configs: { readonly view: ConfigsView; readonly parameters: NamespacesParameter };
  readonly config: {
    readonly view: ConfigView;
    readonly parameters: {
      readonly apiVersion: string;
      readonly kind: string;
      readonly namespace: string;
      readonly name: string;
    };
  };
}

export type TopicName = keyof Topics;
export const topicNames = [
  "overview",
  "graph",
  "ladder",
  "rollouts",
  "rollout",
  "workloads",
  "workload",
  "services",
  "service",
  "configs",
  "config",
] as const satisfies readonly TopicName[];

export interface NamespacesParameter {
  /** Names separated by commas. Empty means all namespaces that the user can see. */
  readonly namespaces: string;
}

export interface GraphParameters extends NamespacesParameter {
  /** The length of the period that the rates are measured over. It ends at `atMs`. */
  readonly windowSeconds: number;
  /** The time to show. It must be within the metrics store's window. 0 means now, and then the view advances. */
  readonly atMs: number;
  readonly by: GraphGrouping;
}

/**
 * `GET /api/live?topic=<topic>&topic=…` answers with server-sent events. The data of each event is one of these
 * messages as JSON. A topic has the form `graph?namespaces=a,b&windowSeconds=60&atMs=0&by=workload`, URL-encoded as a
 * whole. A connection starts with the whole of each view.
 */
export type LiveMessage =
  | { readonly type: "view"; readonly topic: string; readonly view: View }
  /** The changes since the previous message on this connection. Rows and `head` are replaced as a whole. */
  | {
      readonly type: "change";
      readonly topic: string;
      readonly head: ViewHead;
      readonly set: View["tables"];
      readonly gone: Readonly<Record<string, readonly string[]>>;
    }
  /**
   * The topic cannot be shown now, for example because it is forbidden or missing, or its source is unavailable. The
   * server tries again.
   */
  | { readonly type: "problem"; readonly topic: string; readonly problem: Problem; readonly atMs: number }
  /** The session has ended, and the user must log in again. The server then closes the connection. */
  | { readonly type: "logged-out"; readonly problem: Problem; readonly atMs: number }
  /** Sent after some seconds without another message, so that the page knows that the connection is alive. */
  | { readonly type: "alive"; readonly atMs: number };

/** The topic as text, `name?key=value&…`, with sorted keys. Equal topics have the same text. */
export function topicText(name: TopicName, parameters: Readonly<Record<string, string | number>>): string {
  const query = Object.entries(parameters).map(
    ([key, value]) => `${encodeURIComponent(key)}=${encodeURIComponent(String(value))}`,
  );
  return query.length === 0 ? name : `${name}?${query.sort().join("&")}`;
}

/**
 * Applies a message to the previous view of the connection. Undefined if the message needs a previous view and there is
 * none.
 */
export function applyLiveMessage(before: View | undefined, message: LiveMessage): View | undefined {
  if (message.type === "view") return message.view;
  if (message.type !== "change" || before === undefined) return before;
  const tables: Record<string, Readonly<Record<string, object>>> = { ...before.tables };
  for (const name of new Set([...Object.keys(message.set), ...Object.keys(message.gone)])) {
    const rows = { ...tables[name], ...message.set[name] };
    for (const key of message.gone[name] ?? []) delete rows[key];
    tables[name] = rows;
  }
  return { head: message.head, tables };
}
