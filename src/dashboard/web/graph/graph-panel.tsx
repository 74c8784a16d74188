import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import type { GraphNode, GraphRoute } from "../../../api/dashboard/index.ts";
import { SeriesChart, type ChartSubject } from "../charts/index.ts";
import { chosenTime, HealthMark, Icon, Tag } from "../components/index.ts";
import { formatRate, formatShare } from "../format.ts";
import { useLive } from "../live/index.ts";
import { linkTo } from "../router.ts";
import type { DisplayEdge, DisplayGraph, DisplayNode } from "./display-graph.ts";
import { EdgeDetails } from "./edge-details.tsx";
import { edgeLabel } from "./edge-label.ts";
import { GraphFact } from "./graph-fact.tsx";
import { fullName } from "./graph-words.ts";

export interface GraphPanelProps {
  readonly graph: DisplayGraph;
  readonly routes: Readonly<Record<string, GraphRoute>>;
  readonly selected: string;
  readonly onSelect: (key: string) => void;
}

const chartWindowMs = 15 * 60_000;
const chartHeight = 92;
const maxListed = 12;

export function GraphPanel({ graph, routes, selected, onSelect }: GraphPanelProps): JSX.Element | null {
  if (selected === "") return null;
  const node = graph.nodes.get(selected);
  const edge = node === undefined ? graph.edges.find(({ key }) => key === selected) : undefined;
  return (
    <aside class="graph-panel" aria-label="Details of the selection">
      <button
        type="button"
        class="button graph-panel-close"
        data-kind="quiet"
        aria-label="Close the details"
        onClick={() => onSelect("")}
      >
        <Icon name="close" size={14} />
      </button>
      {node !== undefined ? (
        <NodeDetails key={selected} graph={graph} display={node} onSelect={onSelect} />
      ) : edge !== undefined ? (
        <EdgeDetails display={edge} routes={routes} onSelect={onSelect} />
      ) : (
        <p class="muted">
          The graph does not show the selection now: it had no traffic within the time window, or a filter hides it.
        </p>
      )}
    </aside>
  );
}

function NodeDetails({
  graph,
  display,
  onSelect,
}: {
  readonly graph: DisplayGraph;
  readonly display: DisplayNode;
  readonly onSelect: (key: string) => void;
}): JSX.Element {
  const { node, key } = display;
  const inbound = graph.edges.filter(({ edge }) => edge.to === key);
  const outbound = graph.edges.filter(({ edge }) => edge.from === key);
  const subject = chartSubject(node);
  return (
    <>
      <header class="stack graph-panel-head">
        <h2>{fullName(display)}</h2>
        <div class="row">
          <Tag>{node.kind}</Tag>
          {node.namespace === "" ? undefined : <Tag>{node.namespace}</Tag>}
          {node.dataPlane === "none" || node.dataPlane === "proxy" ? undefined : <Tag>{node.dataPlane}</Tag>}
          {node.revision === "" ? undefined : (
            <Tag title="The revision of the control plane that serves it">{node.revision}</Tag>
          )}
        </div>
        <p>
          <HealthMark health={node.health} />
          {node.reason === "" ? undefined : <span> · {node.reason}</span>}
        </p>
        {node.rollout === "" ? undefined : (
          <p>
            Traffic is being moved by <a href={rolloutLink(node.rollout)}>{node.rollout}</a>
          </p>
        )}
        <NodeLinks node={node} />
      </header>
      <dl class="facts graph-facts">
        <GraphFact title="Requests">{node.requestRate > 0 ? formatRate(node.requestRate) : "none"}</GraphFact>
        <GraphFact title="Errors">{node.requestRate > 0 ? formatShare(node.errorShare) : "–"}</GraphFact>
        <GraphFact title="Pods ready">{node.pods === 0 ? "–" : `${node.podsReady} of ${node.pods}`}</GraphFact>
      </dl>
      {node.kind === "app" ? (
        <AppWorkloads node={node} />
      ) : subject === undefined ? undefined : (
        <Charts subjects={[subject]} />
      )}
      <EdgeList title="Called by" edges={inbound} other={({ from }) => from} onSelect={onSelect} />
      <EdgeList title="Calls" edges={outbound} other={({ to }) => to} onSelect={onSelect} />
    </>
  );
}

function Charts({ subjects }: { readonly subjects: readonly ChartSubject[] }): JSX.Element {
  const { atMs } = chosenTime();
  return (
    <div class="stack">
      {(["requestRate", "errorShare", "p99Ms"] as const).map((measure) => (
        <SeriesChart
          key={measure}
          measure={measure}
          subjects={subjects}
          windowMs={chartWindowMs}
          toMs={atMs}
          height={chartHeight}
        />
      ))}
    </div>
  );
}

const tones = ["series-1", "series-2", "series-3", "series-4", "series-5"] as const;

/** Shows the workloads of an app or of a version, with their charts. There is usually one. */
function AppWorkloads({ node }: { readonly node: GraphNode }): JSX.Element {
  const live = useLive("workloads", { namespaces: node.namespace });
  const rows = live.table("workloads").value;
  const own = Object.values(rows).filter(
    ({ namespace, app, version }) =>
      namespace === node.namespace && app === node.app && (node.version === "" || version === node.version),
  );
  const names = own
    .map(({ name }) => name)
    .sort()
    .join(" ");
  const subjects = useMemo(
    () =>
      names
        .split(" ")
        .filter((name) => name !== "")
        .slice(0, tones.length)
        .map((name, index): ChartSubject => ({
          label: name,
          tone: tones[index] ?? "series-5",
          namespace: node.namespace,
          workload: name,
        })),
    [names],
  );
  return (
    <>
      <p class="row">
        {subjects.map(({ label }) => (
          <a key={label} href={linkTo(["workloads", node.namespace, label])}>
            Open {label}
          </a>
        ))}
      </p>
      {subjects.length === 0 ? undefined : <Charts subjects={subjects} />}
    </>
  );
}

function rolloutLink(rollout: string): string {
  const [kind = "", name = ""] = rollout.split(" ");
  return linkTo(["rollouts", kind, ...name.split("/")]);
}

function NodeLinks({ node }: { readonly node: GraphNode }): JSX.Element | null {
  if (node.kind === "external" || node.kind === "unknown") return null;
  const page = node.kind === "service" ? "services" : "workloads";
  const whole = node.kind === "app";
  return (
    <p class="row">
      {whole ? (
        <a href={linkTo(["workloads"], { ns: node.namespace, q: node.app })}>Its workloads</a>
      ) : (
        <a href={linkTo([page, node.namespace, node.name])}>
          Open the {node.kind === "service" ? "service" : "workload"}
        </a>
      )}
      {node.kind === "service" || whole ? undefined : (
        <a href={linkTo([page, node.namespace, node.name], { tab: "logs" })}>Logs</a>
      )}
      <a href={linkTo(["config"], { ns: node.namespace })}>Configuration</a>
    </p>
  );
}

function chartSubject(node: GraphNode): ChartSubject | undefined {
  if (node.kind === "external" || node.kind === "unknown" || node.kind === "app") return undefined;
  return {
    label: node.name,
    tone: "series-1",
    namespace: node.namespace,
    ...(node.kind === "service" ? { service: node.name } : { workload: node.name }),
  };
}

function EdgeList({
  title,
  edges,
  other,
  onSelect,
}: {
  readonly title: string;
  readonly edges: readonly DisplayEdge[];
  readonly other: (edge: DisplayEdge) => DisplayNode;
  readonly onSelect: (key: string) => void;
}): JSX.Element | null {
  if (edges.length === 0) return null;
  const inOrder = edges.toSorted(
    (a, b) => b.edge.requestRate - a.edge.requestRate || b.edge.byteRate - a.edge.byteRate,
  );
  return (
    <section class="stack">
      <h3>
        {title} <span class="count">{edges.length}</span>
      </h3>
      <ul class="graph-edges">
        {inOrder.slice(0, maxListed).map((edge) => {
          const rate = edgeLabel(edge.edge, "rate");
          return (
            <li key={edge.key}>
              <button type="button" onClick={() => onSelect(edge.key)}>
                <HealthMark health={edge.edge.health} quiet />
                <span class="ellipsis">{fullName(other(edge))}</span>
                <span class="number muted">{rate === "" ? "idle" : rate}</span>
              </button>
            </li>
          );
        })}
      </ul>
      {edges.length > maxListed ? (
        <p class="small muted">and {edges.length - maxListed} more, in the table</p>
      ) : undefined}
    </section>
  );
}
