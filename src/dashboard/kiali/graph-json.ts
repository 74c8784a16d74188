import { createHash } from "node:crypto";
import { mutualTlsShare, quantileMs, type TrafficEdge } from "../views/index.ts";

export const graphTypes = ["app", "service", "versionedApp", "workload"] as const;
export type GraphType = (typeof graphTypes)[number];

export interface GraphJsonOptions {
  /** The namespaces to show. Empty means all. */
  readonly namespaces: readonly string[];
  readonly graphType: GraphType;
  readonly durationSeconds: number;
  /** Whether each service gets a node between its clients and its workloads. */
  readonly injectServiceNodes: boolean;
  readonly nowMs: number;
}

type Rates = Record<string, string>;

interface NodeData {
  readonly id: string;
  readonly nodeType: "app" | "service" | "unknown" | "workload";
  readonly cluster: string;
  readonly namespace: string;
  readonly workload?: string;
  readonly app?: string;
  readonly version?: string;
  readonly service?: string;
  readonly destServices?: { cluster: string; namespace: string; name: string }[];
  traffic?: { protocol: string; rates: Rates }[];
  isRoot?: boolean;
  isIdle?: boolean;
  isOutside?: boolean;
}

interface GraphNode {
  readonly data: NodeData;
  readonly incoming: TrafficEdge[];
  readonly outgoing: TrafficEdge[];
}

interface PlacedEdge {
  readonly source: GraphNode;
  readonly target: GraphNode;
  readonly parts: TrafficEdge[];
  readonly protocol: string;
}

const cluster = "Kubernetes";
const shownQuantile = 0.95;

export function graphJson(edges: readonly TrafficEdge[], options: GraphJsonOptions): unknown {
  const wanted = new Set(options.namespaces);
  const isWanted = ({ source, destination, service }: TrafficEdge): boolean =>
    wanted.size === 0 || [source.namespace, destination.namespace, service.namespace].some((name) => wanted.has(name));
  const nodes = new Map<string, GraphNode>();
  const placed = new Map<string, PlacedEdge>();
  for (const edge of edges.filter(isWanted)) placeEdge(edge, options, nodes, placed);
  for (const node of nodes.values()) describeNode(node, wanted);
  return {
    timestamp: Math.floor(options.nowMs / 1000),
    duration: options.durationSeconds,
    graphType: options.graphType,
    elements: {
      nodes: [...nodes.values()].map(({ data }) => ({ data })),
      edges: [...placed.values()].map((edge) => ({ data: edgeData(edge) })),
    },
  };
}

function placeEdge(
  edge: TrafficEdge,
  { graphType, injectServiceNodes }: GraphJsonOptions,
  nodes: Map<string, GraphNode>,
  placed: Map<string, PlacedEdge>,
): void {
  const nodeOf = (data: Omit<NodeData, "id">): GraphNode => {
    const id = createHash("md5").update(JSON.stringify(data)).digest("hex");
    let node = nodes.get(id);
    if (node === undefined) nodes.set(id, (node = { data: { id, ...data }, incoming: [], outgoing: [] }));
    return node;
  };
  const source = nodeOf(endData(edge, "source", graphType));
  const service = nodeOf({
    nodeType: "service",
    cluster,
    namespace: edge.service.namespace,
    service: edge.service.name,
    app: edge.destination.app,
    destServices: [destService(edge)],
  });
  const destination = graphType === "service" ? service : nodeOf(endData(edge, "destination", graphType));
  const isNamed = edge.service.name !== "unknown";
  const steps =
    graphType === "service" || (injectServiceNodes && isNamed) ? [source, service, destination] : [source, destination];
  for (const [index, target] of steps.entries()) {
    const from = steps[index - 1];
    if (from === undefined || from === target) continue;
    const key = `${from.data.id} ${target.data.id} ${edge.protocol}`;
    let step = placed.get(key);
    if (step === undefined) placed.set(key, (step = { source: from, target, parts: [], protocol: edge.protocol }));
    step.parts.push(edge);
    from.outgoing.push(edge);
    target.incoming.push(edge);
  }
}

function destService({ service: { namespace, name } }: TrafficEdge): {
  cluster: string;
  namespace: string;
  name: string;
} {
  return { cluster, namespace, name };
}

function endData(edge: TrafficEdge, end: "source" | "destination", graphType: GraphType): Omit<NodeData, "id"> {
  const { namespace, workload, app, version } = edge[end];
  if (workload === "unknown")
    return {
      nodeType: "unknown",
      cluster: "unknown",
      namespace: "unknown",
      workload: "unknown",
      app: "unknown",
      version: "unknown",
    };
  if (graphType === "app") return { nodeType: "app", cluster, namespace, app };
  if (graphType === "versionedApp") return { nodeType: "app", cluster, namespace, workload, app, version };
  return { nodeType: "workload", cluster, namespace, workload, app, version };
}

function describeNode({ data, incoming, outgoing }: GraphNode, wanted: ReadonlySet<string>): void {
  const rates = [...protocolRates(incoming, "In"), ...protocolRates(outgoing, "Out")];
  const byProtocol = Map.groupBy(rates, ({ protocol }) => protocol);
  data.traffic = [...byProtocol].map(([protocol, parts]) => ({
    protocol,
    rates: Object.assign({}, ...parts.map(({ rates: part }) => part)) as Rates,
  }));
  if (incoming.length === 0) data.isRoot = true;
  if ([...incoming, ...outgoing].every(({ requestRate, byteRate }) => requestRate === 0 && byteRate === 0))
    data.isIdle = true;
  if (wanted.size > 0 && !wanted.has(data.namespace) && data.nodeType !== "unknown") data.isOutside = true;
}

function protocolRates(edges: readonly TrafficEdge[], direction: "In" | "Out"): { protocol: string; rates: Rates }[] {
  return [...Map.groupBy(edges, ({ protocol }) => protocol)].map(([protocol, parts]) => {
    if (protocol === "tcp")
      return { protocol, rates: { [`tcp${direction}`]: fixed(sum(parts, ({ byteRate }) => byteRate)) } };
    const rates: Rates = { [`${protocol}${direction}`]: fixed(sum(parts, ({ requestRate }) => requestRate)) };
    addErrors(rates, protocol, parts, direction);
    return { protocol, rates };
  });
}

function addErrors(rates: Rates, protocol: string, parts: readonly TrafficEdge[], direction: "In" | "Out" | ""): void {
  const failed = sum(parts, ({ failureRate }) => failureRate);
  const refused = sum(parts, ({ clientErrorRate }) => clientErrorRate);
  if (protocol === "grpc") {
    if (failed > 0) rates[`grpc${direction}Err`] = fixed(failed);
    return;
  }
  if (refused > 0) rates[`${protocol}${direction}4xx`] = fixed(refused);
  if (failed > 0) rates[`${protocol}${direction}5xx`] = fixed(failed);
}

function edgeData({ source, target, parts, protocol }: PlacedEdge): unknown {
  const id = createHash("md5").update(`${source.data.id} ${target.data.id} ${protocol}`).digest("hex");
  const secured = parts.filter((part) => mutualTlsShare(part) !== undefined);
  const weightOf = ({ requestRate, byteRate }: TrafficEdge): number => requestRate + byteRate;
  const whole = sum(secured, weightOf);
  const isMtls =
    whole === 0
      ? undefined
      : Math.round((sum(secured, (part) => (mutualTlsShare(part) ?? 0) * weightOf(part)) / whole) * 100);
  const slowest = Math.max(...parts.map(({ durations }) => quantileMs(durations, shownQuantile) ?? -1));
  return {
    id,
    source: source.data.id,
    target: target.data.id,
    ...(isMtls === undefined || isMtls === 0 ? {} : { isMTLS: String(isMtls) }),
    ...(slowest < 0 ? {} : { responseTime: slowest.toFixed(0) }),
    traffic: { protocol, rates: edgeRates(protocol, parts, source), responses: responsesOf(parts, protocol) },
  };
}

function edgeRates(protocol: string, parts: readonly TrafficEdge[], source: GraphNode): Rates {
  if (protocol === "tcp") return { tcp: fixed(sum(parts, ({ byteRate }) => byteRate)) };
  const rate = sum(parts, ({ requestRate }) => requestRate);
  const rates: Rates = { [protocol]: fixed(rate) };
  addErrors(rates, protocol, parts, "");
  const failed = sum(parts, ({ failureRate, clientErrorRate }) => failureRate + clientErrorRate);
  const all = sum(
    source.outgoing.filter((edge) => edge.protocol === protocol),
    ({ requestRate }) => requestRate,
  );
  if (failed > 0) rates[`${protocol}PercentErr`] = percent(failed / rate);
  if (all > 0) rates[`${protocol}PercentReq`] = percent(rate / all);
  return rates;
}

/** The shares of responses by status code, and for each code by response flags and by requested host. */
function responsesOf(parts: readonly TrafficEdge[], protocol: string): unknown {
  const all = sum(parts, ({ requestRate }) => requestRate);
  if (all === 0) return {};
  const codes = new Map<string, { readonly flags: Map<string, number>; readonly hosts: Map<string, number> }>();
  for (const { responses, service } of parts) {
    for (const [response, rate] of responses) {
      const [code = "-", flag = "-"] = response.includes(" grpc ")
        ? [response.split(" grpc ")[1]]
        : response.split(" ");
      const known = codes.get(code) ?? { flags: new Map<string, number>(), hosts: new Map<string, number>() };
      known.flags.set(flag, (known.flags.get(flag) ?? 0) + rate);
      known.hosts.set(service.host, (known.hosts.get(service.host) ?? 0) + rate);
      codes.set(code, known);
    }
  }
  const shares = (rates: ReadonlyMap<string, number>): Rates =>
    Object.fromEntries([...rates].map(([name, rate]) => [name, percent(rate / all)]));
  return Object.fromEntries(
    [...codes].map(([code, { flags, hosts }]) => [
      protocol === "tcp" ? "-" : code,
      { flags: shares(flags), hosts: shares(hosts) },
    ]),
  );
}

function sum<Part>(parts: readonly Part[], of: (part: Part) => number): number {
  return parts.reduce((total, part) => total + of(part), 0);
}

function fixed(value: number): string {
  return value.toFixed(2);
}

function percent(share: number): string {
  return (share * 100).toFixed(1);
}
