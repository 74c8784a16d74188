import type { GraphEdge, GraphNode, GraphView } from "../../api/dashboard/index.ts";
import { paint } from "../terminal/colour.ts";
import {
  bytesText,
  latencyText,
  healthColours,
  healthMarks,
  lockText,
  rateText,
  shareText,
} from "../terminal/measure-text.ts";
import { withWhatFits } from "../terminal/with-what-fits.ts";

export interface GraphTreeOptions {
  readonly columns: number | undefined;
  readonly colour: boolean;
}

interface Line {
  readonly branch: string;
  readonly name: string;
  readonly node: GraphNode | undefined;
  readonly edge: GraphEdge | undefined;
  readonly note: string;
  /**
   * Whether its namespace differs from its caller's. Also true if the tree begins at it, because then no caller is
   * shown.
   */
  readonly isElsewhere: boolean;
}

/** The name for every workload whose name no proxy reports, or that the user may not see. */
const unknownName = "unknown";
const gap = 2;
const leastName = 16;
/** The maximum depth of the tree. A note says that deeper calls are left out. */
const maxDepth = 12;
const maxLines = 2000;

/**
 * Renders a tree in which each workload has the workloads that it calls below it. The tree begins at workloads that no
 * other calls. The calls of a workload with several callers are shown only below the first one.
 */
export function renderGraph({ tables: { nodes, edges } }: GraphView, options: GraphTreeOptions): string {
  // Leaves out connections to and from waypoints: the graph already shows their traffic between the workloads.
  const isCarrier = ({ from, to, requestRate }: GraphEdge): boolean =>
    requestRate === 0 && (nodes[from]?.kind === "waypoint" || nodes[to]?.kind === "waypoint");
  const traffic = Object.values(edges).filter(
    (edge) => edge.requestRate + edge.byteRate + edge.openedRate > 0 && !isCarrier(edge),
  );
  const outgoing = Map.groupBy(traffic, ({ from }) => from);
  const called = new Set(traffic.filter(({ from, to }) => from !== to).map(({ to }) => to));
  const callers = [...outgoing.keys()].toSorted(
    (a, b) => Number(called.has(a)) - Number(called.has(b)) || (a < b ? -1 : 1),
  );
  const lines: Line[] = [];
  const shown = new Set<string>();
  const add = (
    key: string,
    branch: string,
    inner: string,
    edge: GraphEdge | undefined,
    path: readonly string[],
  ): void => {
    if (lines.length >= maxLines) return;
    const node = nodes[key];
    const next = (outgoing.get(key) ?? []).toSorted((a, b) => b.requestRate - a.requestRate || (a.to < b.to ? -1 : 1));
    const isAgain = next.length > 0 && (shown.has(key) || path.length >= maxDepth);
    const caller = path.at(-1);
    const isElsewhere = caller === undefined || nodes[caller]?.namespace !== node?.namespace;
    lines.push({
      branch,
      name: nameOf(key, node),
      node,
      edge,
      note: isAgain ? (path.includes(key) ? "↺" : "↑") : "",
      isElsewhere,
    });
    if (isAgain) return;
    shown.add(key);
    for (const [index, call] of next.entries()) {
      const isLast = index === next.length - 1;
      add(call.to, `${inner}${isLast ? "└─ " : "├─ "}`, `${inner}${isLast ? "   " : "│  "}`, call, [...path, key]);
    }
  };
  // A cycle has no beginning, so the tree shows it from the workload whose name sorts first.
  for (const key of callers) if (!called.has(key) || !shown.has(key)) add(key, "", "", undefined, []);
  const idle = Object.entries(nodes)
    .filter(([key, { kind }]) => !shown.has(key) && !called.has(key) && kind !== "waypoint" && kind !== "ztunnel")
    .map(([, node]) => node);
  const body = lines.length === 0 ? "the proxies have not reported any traffic yet\n" : render(lines, options);
  return `${body}${idleText(idle, options)}`;
}

function nameOf(key: string, node: GraphNode | undefined): string {
  if (node === undefined || node.kind === "unknown") return unknownName;
  if (node.kind === "external") return `${node.name} (outside)`;
  const kind = node.kind === "workload" || node.kind === "app" ? "" : ` (${node.kind})`;
  const version = node.kind === "app" && node.version !== "" ? ` ${node.version}` : "";
  return key.startsWith("service ") ? node.name : `${node.name}${version}${kind}`;
}

function idleText(nodes: readonly GraphNode[], { columns }: GraphTreeOptions): string {
  if (nodes.length === 0) return "";
  const names = nodes.map(({ namespace, name }) => `${namespace}/${name}`).toSorted();
  const lines = ["without traffic:"];
  for (const [index, name] of names.entries()) {
    const word = ` ${name}${index === names.length - 1 ? "" : ","}`;
    if (columns !== undefined && (lines.at(-1) ?? "").length + word.length > columns) lines.push("");
    lines[lines.length - 1] += word;
  }
  const left = lines.length - maxIdleLines;
  return `\n${(left > 0 ? [...lines.slice(0, maxIdleLines), ` and ${left} more lines`] : lines).join("\n")}\n`;
}

const maxIdleLines = 6;

interface Column {
  readonly title: string;
  readonly cell: (line: Line) => string;
  readonly right?: boolean;
  readonly spare: number;
}

const columnsInOrder: readonly Column[] = [
  { title: "NAMESPACE", cell: ({ node }) => (node?.kind === "unknown" ? "" : (node?.namespace ?? "")), spare: 4 },
  {
    title: "RATE",
    cell: ({ edge }) =>
      edge === undefined
        ? ""
        : edge.requestRate > 0 || edge.byteRate === 0
          ? rateText(edge.requestRate)
          : bytesText(edge.byteRate),
    right: true,
    spare: 0,
  },
  {
    title: "ERRORS",
    cell: ({ edge }) => (edge === undefined || edge.requestRate === 0 ? "" : shareText(edge.errorShare)),
    right: true,
    spare: 0,
  },
  { title: "P50", cell: ({ edge }) => (edge === undefined ? "" : latencyText(edge.p50Ms)), right: true, spare: 5 },
  { title: "P99", cell: ({ edge }) => (edge === undefined ? "" : latencyText(edge.p99Ms)), right: true, spare: 2 },
  { title: "SECURED", cell: ({ edge }) => (edge === undefined ? "" : lockText(edge.mutualTlsShare)), spare: 1 },
  {
    title: "SHARE",
    cell: ({ edge }) => (edge?.measuredShare === undefined ? "" : shareText(edge.measuredShare)),
    right: true,
    spare: 1,
  },
  {
    title: "OF",
    cell: ({ edge }) =>
      edge?.configuredWeight === undefined ? "" : `${Number(edge.configuredWeight.toPrecision(3))} %`,
    right: true,
    spare: 1,
  },
  { title: "BY", cell: ({ edge }) => edge?.service ?? "", spare: 6 },
];

/** The marks and names that are explained below the tree if they occur in it. */
const explanations: readonly { readonly occursIn: (line: Line) => boolean; readonly text: string }[] = [
  { occursIn: ({ note }) => note === "↑", text: "↑ calls shown above" },
  { occursIn: ({ note }) => note === "↺", text: "↺ cycle" },
  {
    occursIn: ({ name }) => name === unknownName,
    text: "unknown: outside the mesh, or hidden from you",
  },
];

function render(lines: readonly Line[], { columns, colour }: GraphTreeOptions): string {
  // Without the column of namespaces, a namespace is printed wherever it changes, because workloads of several
  // namespaces may have the same name.
  const namespaceOf = ({ node, isElsewhere }: Line): string =>
    isElsewhere &&
    !shown.some(({ title }) => title === "NAMESPACE") &&
    node?.kind !== "unknown" &&
    (node?.namespace ?? "") !== ""
      ? `, ${node?.namespace ?? ""}`
      : "";
  const labelOf = (line: Line): string =>
    `${line.branch}${line.name}${namespaceOf(line)}${line.note === "" ? "" : ` ${line.note}`}`;
  let shown = columnsInOrder.filter(({ cell }) => lines.some((line) => cell(line) !== ""));
  const widthOf = ({ title, cell }: Column): number =>
    Math.max(title.length, ...lines.map((line) => cell(line).length));
  const widthOfNames = (): number => Math.max("WHO".length, ...lines.map((line) => labelOf(line).length + 2));
  let nameWidth = widthOfNames();
  const total = (): number => nameWidth + shown.reduce((sum, column) => sum + widthOf(column) + gap, 0);
  if (columns !== undefined) {
    while (total() > columns) {
      const last = shown.toSorted((a, b) => b.spare - a.spare)[0];
      if (last === undefined || last.spare === 0) break;
      shown = shown.filter((column) => column !== last);
      nameWidth = widthOfNames();
    }
    // Do not put back the column of namespaces: the names are longer without it, so there is no space.
    const known = columnsInOrder.filter(
      (column) =>
        shown.includes(column) || (column.title !== "NAMESPACE" && lines.some((line) => column.cell(line) !== "")),
    );
    shown = withWhatFits(known, shown, (column) => widthOf(column) + gap, columns - total());
    nameWidth = Math.max(leastName, Math.min(nameWidth, nameWidth + columns - total()));
  }
  const widths = shown.map(widthOf);
  const cells = (texts: readonly string[]): string =>
    texts
      .map(
        (text, index) =>
          `${" ".repeat(gap)}${shown[index]?.right === true ? text.padStart(widths[index] ?? 0) : text.padEnd(widths[index] ?? 0)}`,
      )
      .join("");
  const header = paint(
    { colour },
    "bold",
    `${"WHO".padEnd(nameWidth)}${cells(shown.map(({ title }) => title))}`.trimEnd(),
  );
  const body = lines.map((line) => {
    const health = line.edge?.health ?? line.node?.health ?? "unknown";
    const label = `${line.branch}${healthMarks[health]} ${labelOf(line).slice(line.branch.length)}`;
    const text =
      (label.length > nameWidth ? `${label.slice(0, nameWidth - 1)}…` : label.padEnd(nameWidth)) +
      cells(shown.map(({ cell }) => cell(line)));
    const tint = healthColours[health];
    return tint === undefined || health === "healthy" ? text.trimEnd() : paint({ colour }, tint, text.trimEnd());
  });
  const explained = explanations.filter(({ occursIn }) => lines.some(occursIn)).map(({ text }) => text);
  return `${[header, ...body, ...explained].join("\n")}\n`;
}

/** Renders the graph in the DOT language of Graphviz. */
export function renderDot({ tables: { nodes, edges } }: GraphView): string {
  const quoted = (text: string): string => `"${text.replaceAll(/["\\]/g, String.raw`\$&`)}"`;
  const nodeLines = Object.entries(nodes).map(
    ([key, node]) =>
      `  ${quoted(key)} [label=${quoted(`${nameOf(key, node)}${node.namespace === "" ? "" : `\n${node.namespace}`}`).replaceAll("\n", String.raw`\n`)}];`,
  );
  const edgeLines = Object.values(edges).map((edge) => {
    const parts = [
      edge.requestRate > 0 ? rateText(edge.requestRate) : bytesText(edge.byteRate),
      ...(edge.errorShare > 0 ? [`${shareText(edge.errorShare)} fail`] : []),
      ...(edge.p99Ms === undefined ? [] : [`p99 ${latencyText(edge.p99Ms)}`]),
      ...(edge.configuredWeight === undefined
        ? []
        : [`${shareText(edge.measuredShare ?? 0)} of ${edge.configuredWeight} %`]),
    ];
    return `  ${quoted(edge.from)} -> ${quoted(edge.to)} [label=${quoted(parts.join(", "))}];`;
  });
  return `digraph mesh {\n  rankdir=LR;\n${[...nodeLines, ...edgeLines].join("\n")}\n}\n`;
}
