import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import type { Health } from "../../../api/dashboard/index.ts";
import { DataTable, Empty, HealthMark, Tag, type Column } from "../components/index.ts";
import { formatMs, formatRate, formatShare } from "../format.ts";
import { edgeRate, isTcp, type DisplayEdge, type DisplayGraph, type DisplayNode } from "./display-graph.ts";
import { edgeLabel } from "./edge-label.ts";
import { fullName } from "./graph-words.ts";

const severity: Readonly<Record<Health, number>> = { failing: 0, degraded: 1, unknown: 2, healthy: 3, idle: 4 };

/** The graph as two tables, for small screens and for users who cannot see the drawing. */
export function GraphTable({
  graph,
  onSelect,
}: {
  readonly graph: DisplayGraph;
  readonly onSelect: (key: string) => void;
}): JSX.Element {
  const edges = useMemo(() => Object.fromEntries(graph.edges.map((edge) => [edge.key, edge])), [graph]);
  const nodes = useMemo(() => Object.fromEntries(graph.nodes), [graph]);
  const edgeColumns = useMemo(() => [edgeEnds(onSelect), ...edgeProperties], [onSelect]);
  const nodeColumns = useMemo(() => [nodeName(onSelect), ...nodeProperties], [onSelect]);
  const empty = (
    <Empty title="No traffic">The proxies reported no traffic within the time window, or a filter hides it.</Empty>
  );
  return (
    <>
      <DataTable
        label="Edges of the graph"
        title="Edges"
        id="e"
        noun={["edge", "edges"]}
        rows={edges}
        columns={edgeColumns}
        order="health"
        text={({ edge, from, to }) =>
          `${fullName(from)} ${from.node.namespace} ${fullName(to)} ${to.node.namespace} ${edge.protocol} ${edge.health}`
        }
        empty={empty}
      />
      <DataTable
        label="Nodes of the graph"
        title="Nodes"
        id="n"
        noun={["node", "nodes"]}
        rows={nodes}
        columns={nodeColumns}
        order="health"
        text={({ node }) => `${node.name} ${node.namespace} ${node.app} ${node.version} ${node.kind} ${node.health}`}
        empty={empty}
      />
    </>
  );
}

function edgeEnds(onSelect: (key: string) => void): Column<DisplayEdge> {
  return {
    key: "from",
    title: "From → to",
    cell: ({ from, to, edge }, key) => (
      <button
        type="button"
        class="link-button ellipsis"
        title={`${from.node.namespace} ${fullName(from)} → ${to.node.namespace} ${fullName(to)}`}
        onClick={() => onSelect(key)}
      >
        <span class="narrow-only">
          <HealthMark health={edge.health} quiet />{" "}
        </span>
        {fullName(from)} → {fullName(to)}
        <span class="phone-only muted small">
          {" "}
          {from.node.namespace === to.node.namespace
            ? to.node.namespace
            : `${from.node.namespace} → ${to.node.namespace}`}
        </span>
      </button>
    ),
    sort: ({ from, to }) => `${fullName(from)} ${fullName(to)}`,
  };
}

const edgeProperties: readonly Column<DisplayEdge>[] = [
  {
    key: "protocol",
    title: "Protocol",
    width: "96px",
    priority: 2,
    cell: ({ edge }) => <Tag>{edge.protocol}</Tag>,
    sort: ({ edge }) => edge.protocol,
  },
  {
    key: "health",
    title: "Health",
    width: "104px",
    priority: 2,
    cell: ({ edge }) => <HealthMark health={edge.health} />,
    sort: ({ edge }) => severity[edge.health],
  },
  {
    key: "rate",
    title: "Rate",
    width: "84px",
    number: true,
    cell: ({ edge }) => edgeLabel(edge, "rate") || <span class="muted">idle</span>,
    sort: ({ edge }) => edgeRate(edge),
  },
  {
    key: "errors",
    title: "Errors",
    width: "84px",
    number: true,
    cell: ({ edge }) =>
      isTcp(edge) || edge.requestRate === 0 ? <span class="muted">–</span> : formatShare(edge.errorShare),
    sort: ({ edge }) => edge.errorShare,
  },
  {
    key: "p95",
    title: "p95",
    width: "84px",
    number: true,
    priority: 2,
    cell: ({ edge }) => formatMs(edge.p95Ms),
    sort: ({ edge }) => edge.p95Ms,
  },
  {
    key: "p99",
    title: "p99",
    width: "84px",
    number: true,
    priority: 3,
    cell: ({ edge }) => formatMs(edge.p99Ms),
    sort: ({ edge }) => edge.p99Ms,
  },
  {
    key: "weight",
    title: "Weight",
    width: "136px",
    number: true,
    priority: 3,
    cell: ({ edge }) => edgeLabel(edge, "weight") || <span class="muted">–</span>,
    sort: ({ edge }) => edge.configuredWeight,
  },
  {
    key: "mtls",
    title: "mTLS",
    width: "110px",
    number: true,
    priority: 3,
    cell: ({ edge }) => edgeLabel(edge, "mtls") || <span class="muted">not known</span>,
    sort: ({ edge }) => edge.mutualTlsShare,
  },
];

function nodeName(onSelect: (key: string) => void): Column<DisplayNode> {
  return {
    key: "name",
    title: "Name",
    cell: (display, key) => (
      <button type="button" class="link-button ellipsis" title={fullName(display)} onClick={() => onSelect(key)}>
        <span class="narrow-only">
          <HealthMark health={display.node.health} quiet />{" "}
        </span>
        {fullName(display)}
        <span class="phone-only muted small"> {display.node.namespace}</span>
      </button>
    ),
    sort: (display) => fullName(display),
  };
}

const nodeProperties: readonly Column<DisplayNode>[] = [
  {
    key: "kind",
    title: "Kind",
    width: "96px",
    priority: 2,
    cell: ({ node }) => node.kind,
    sort: ({ node }) => node.kind,
  },
  {
    key: "namespace",
    title: "Namespace",
    width: "150px",
    priority: 2,
    cell: ({ node }) => node.namespace,
    sort: ({ node }) => node.namespace,
  },
  {
    key: "health",
    title: "Health",
    width: "104px",
    priority: 2,
    cell: ({ node }) => <HealthMark health={node.health} reason={node.reason} />,
    sort: ({ node }) => severity[node.health],
  },
  {
    key: "rate",
    title: "Rate",
    width: "84px",
    number: true,
    cell: ({ node }) => (node.requestRate > 0 ? formatRate(node.requestRate) : <span class="muted">idle</span>),
    sort: ({ node }) => node.requestRate,
  },
  {
    key: "errors",
    title: "Errors",
    width: "84px",
    number: true,
    cell: ({ node }) => (node.requestRate > 0 ? formatShare(node.errorShare) : <span class="muted">–</span>),
    sort: ({ node }) => node.errorShare,
  },
  {
    key: "pods",
    title: "Pods",
    width: "80px",
    number: true,
    priority: 2,
    cell: ({ node }) => (node.pods === 0 ? <span class="muted">–</span> : `${node.podsReady}/${node.pods}`),
    sort: ({ node }) => node.pods,
  },
  {
    key: "rollout",
    title: "Rollout",
    width: "150px",
    priority: 3,
    cell: ({ node }) => node.rollout,
    sort: ({ node }) => node.rollout,
  },
];
