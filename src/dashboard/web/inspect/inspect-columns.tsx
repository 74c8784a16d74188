import type { JSX } from "preact";
import type { ConfigRow, EventRow, Health, PeerRow, ServiceRow, WorkloadRow } from "../../../api/dashboard/index.ts";
import { Age, HealthMark, Mark, Tag, type Column } from "../components/index.ts";
import { edgeRate } from "../graph/display-graph.ts";
import { edgeLabel } from "../graph/edge-label.ts";
import { formatBytes, formatMs, formatRate, formatShare } from "../format.ts";
import { ConfigLink, ServiceLink, WorkloadLink } from "./inspect-links.tsx";

/** For sorting: the worst health is first. */
const severity: Readonly<Record<Health, number>> = { failing: 0, degraded: 1, unknown: 2, healthy: 3, idle: 4 };
const none = <span class="muted">–</span>;

interface Measured {
  readonly requestRate: number;
  readonly errorShare: number;
  readonly p99Ms?: number;
}

const measured: readonly Column<Measured>[] = [
  {
    key: "rate",
    title: "Requests",
    width: "92px",
    number: true,
    cell: ({ requestRate }) => (requestRate > 0 ? formatRate(requestRate) : <span class="muted">idle</span>),
    sort: ({ requestRate }) => requestRate,
  },
  {
    key: "errors",
    title: "Errors",
    width: "84px",
    number: true,
    cell: ({ requestRate, errorShare }) =>
      requestRate === 0 ? none : errorShare > 0 ? <span class="bad-text">{formatShare(errorShare)}</span> : "0 %",
    sort: ({ errorShare }) => errorShare,
  },
  {
    key: "p99",
    title: "p99",
    width: "84px",
    number: true,
    priority: 3,
    cell: ({ p99Ms }) => (p99Ms === undefined ? none : formatMs(p99Ms)),
    sort: ({ p99Ms }) => p99Ms,
  },
];

const health: Column<{ readonly health: Health; readonly reason: string }> = {
  key: "health",
  title: "Health",
  width: "104px",
  priority: 2,
  cell: ({ health: state, reason }) => <HealthMark health={state} reason={reason} />,
  sort: ({ health: state }) => severity[state],
};

interface Identified {
  readonly namespace: string;
  readonly name: string;
  readonly health: Health;
  readonly reason: string;
}

/** Name, namespace and health. A narrow page shows all of them in the first column. */
function identity(title: string, Link: typeof WorkloadLink | typeof ServiceLink): readonly Column<Identified>[] {
  return [
    {
      key: "name",
      title,
      cell: ({ namespace, name, health: state, reason }) => (
        <>
          <span class="narrow-only">
            <HealthMark health={state} reason={reason} quiet />{" "}
          </span>
          <Link namespace={namespace} name={name} />
          <OfNamespace name={namespace} />
        </>
      ),
      sort: ({ name }) => name,
    },
    {
      key: "namespace",
      title: "Namespace",
      width: "150px",
      priority: 2,
      cell: ({ namespace }) => namespace,
      sort: ({ namespace }) => namespace,
    },
    health,
  ];
}

export const workloadColumns: readonly Column<WorkloadRow>[] = [
  ...identity("Workload", WorkloadLink),
  {
    key: "pods",
    title: "Pods",
    width: "76px",
    number: true,
    cell: ({ podsReady, pods }) => <Ready ready={podsReady} all={pods} />,
    sort: ({ pods }) => pods,
  },
  ...measured,
  {
    key: "restarts",
    title: "Restarts",
    width: "100px",
    number: true,
    priority: 3,
    cell: ({ restarts }) => (restarts === 0 ? none : restarts.toLocaleString("en-US")),
    sort: ({ restarts }) => restarts,
  },
  {
    key: "mesh",
    title: "Mesh",
    width: "150px",
    priority: 3,
    cell: ({ dataPlane, revision }) =>
      dataPlane === "none" ? (
        <span class="muted">not in the mesh</span>
      ) : (
        <span class="ellipsis">
          {dataPlane}
          {revision === "" ? "" : ` · ${revision}`}
        </span>
      ),
    sort: ({ dataPlane, revision }) => `${dataPlane} ${revision}`,
  },
  { key: "kind", title: "Kind", width: "110px", priority: 3, cell: ({ kind }) => kind, sort: ({ kind }) => kind },
];

export const workloadText = ({
  namespace,
  name,
  app,
  version,
  kind,
  health: state,
  dataPlane,
  revision,
}: WorkloadRow): string => `${name} ${namespace} ${app} ${version} ${kind} ${state} ${dataPlane} ${revision}`;

export const serviceColumns: readonly Column<ServiceRow>[] = [
  ...identity("Service", ServiceLink),
  {
    key: "endpoints",
    title: "Endpoints",
    width: "108px",
    number: true,
    cell: ({ endpointsReady, endpoints }) => <Ready ready={endpointsReady} all={endpoints} />,
    sort: ({ endpoints }) => endpoints,
  },
  ...measured,
  {
    key: "ports",
    title: "Ports",
    width: "150px",
    priority: 3,
    cell: ({ ports }) => <span title={ports.join(", ")}>{ports.join(", ")}</span>,
    sort: ({ ports }) => ports.join(" "),
  },
  {
    key: "waypoint",
    title: "Waypoint",
    width: "170px",
    priority: 3,
    cell: ({ waypoint }) => (waypoint === "" ? none : <span title={waypoint}>{waypoint}</span>),
    sort: ({ waypoint }) => waypoint,
  },
  { key: "type", title: "Type", width: "104px", priority: 3, cell: ({ type }) => type, sort: ({ type }) => type },
];

export const serviceText = ({ namespace, name, type, clusterIp, ports, health: state, waypoint }: ServiceRow): string =>
  `${name} ${namespace} ${type} ${clusterIp} ${ports.join(" ")} ${state} ${waypoint}`;

export const configColumns: readonly Column<ConfigRow>[] = [
  {
    key: "name",
    title: "Name",
    cell: (row) => (
      <>
        <ConfigLink row={row} />
        <OfNamespace name={row.namespace} />
      </>
    ),
    sort: ({ name }) => name,
  },
  {
    key: "kind",
    title: "Kind",
    width: "168px",
    cell: ({ kind, apiVersion }) => <span title={apiVersion}>{kind}</span>,
    sort: ({ kind }) => kind,
  },
  {
    key: "namespace",
    title: "Namespace",
    width: "150px",
    priority: 2,
    cell: ({ namespace }) => (namespace === "" ? <span class="muted">whole cluster</span> : namespace),
    sort: ({ namespace }) => namespace,
  },
  {
    key: "messages",
    title: "Validation",
    width: "132px",
    cell: (row) => <Validation row={row} />,
    sort: ({ errors, warnings }) => -(errors * 1000 + warnings),
  },
  {
    key: "first",
    title: "First message",
    priority: 3,
    cell: ({ firstMessage }) => (firstMessage === "" ? none : <span title={firstMessage}>{firstMessage}</span>),
  },
  {
    key: "age",
    title: "Age",
    width: "110px",
    priority: 3,
    number: true,
    cell: ({ createdAtMs }) => <Age atMs={createdAtMs} ago={false} />,
    sort: ({ createdAtMs }) => (createdAtMs === undefined ? undefined : -createdAtMs),
  },
];

export const configText = ({ apiVersion, kind, namespace, name, firstMessage, errors, warnings }: ConfigRow): string =>
  `${name} ${namespace} ${kind} ${apiVersion} ${firstMessage} ${errors > 0 ? "error" : ""} ${warnings > 0 ? "warning" : ""}`;

/** The rate as the graph shows it: of requests, or for TCP of opened connections or bytes. */
const peerRate: Column<PeerRow> = {
  key: "rate",
  title: "Rate",
  width: "104px",
  number: true,
  cell: (row) => edgeLabel(row, "rate") || <span class="muted">idle</span>,
  sort: (row) => edgeRate(row),
};

export const peerColumns: readonly Column<PeerRow>[] = [
  {
    key: "peer",
    title: "Other end",
    cell: ({ peerNamespace, peerName, peer, health: state }) => (
      <>
        <span class="narrow-only">
          <HealthMark health={state} quiet />{" "}
        </span>
        {peerNamespace === "" ? (
          peerName || peer
        ) : peer.startsWith("service/") ? (
          <ServiceLink namespace={peerNamespace} name={peerName} />
        ) : (
          <WorkloadLink namespace={peerNamespace} name={peerName} />
        )}
        <OfNamespace name={peerNamespace} />
      </>
    ),
    sort: ({ peerName }) => peerName,
  },
  {
    key: "namespace",
    title: "Namespace",
    width: "140px",
    priority: 2,
    cell: ({ peerNamespace }) => peerNamespace || none,
    sort: ({ peerNamespace }) => peerNamespace,
  },
  {
    key: "protocol",
    title: "Protocol",
    width: "96px",
    priority: 2,
    cell: ({ protocol }) => <Tag>{protocol}</Tag>,
    sort: ({ protocol }) => protocol,
  },
  {
    key: "health",
    title: "Health",
    width: "104px",
    priority: 2,
    cell: ({ health: state }) => <HealthMark health={state} />,
    sort: ({ health: state }) => severity[state],
  },
  peerRate,
  ...measured.slice(1),
  {
    key: "bytes",
    title: "Bytes",
    width: "96px",
    number: true,
    priority: 3,
    cell: ({ byteRate }) => (byteRate === 0 ? none : `${formatBytes(byteRate)}/s`),
    sort: ({ byteRate }) => byteRate,
  },
  {
    key: "mtls",
    title: "mTLS",
    width: "90px",
    number: true,
    priority: 3,
    cell: ({ mutualTlsShare }) =>
      mutualTlsShare === undefined ? <span class="muted">not known</span> : formatShare(mutualTlsShare),
    sort: ({ mutualTlsShare }) => mutualTlsShare,
  },
];

export const eventColumns: readonly Column<EventRow>[] = [
  { key: "at", title: "When", width: "140px", cell: ({ atMs }) => <Age atMs={atMs} />, sort: ({ atMs }) => atMs },
  {
    key: "reason",
    title: "Reason",
    width: "150px",
    cell: ({ type, reason }) => <Mark tone={type === "Warning" ? "warn" : "info"}>{reason}</Mark>,
    sort: ({ reason }) => reason,
  },
  {
    key: "message",
    title: "What happened",
    cell: ({ message, count }) => (count > 1 ? `${message} (${count} times)` : message),
  },
  {
    key: "object",
    title: "Object",
    width: "220px",
    priority: 3,
    cell: ({ object }) => object,
    sort: ({ object }) => object,
  },
];

/** The namespace after the name, on phones, where there is no space for its column. */
function OfNamespace({ name }: { readonly name: string }): JSX.Element | null {
  return name === "" ? null : <span class="phone-only muted small"> {name}</span>;
}

function Ready({ ready, all }: { readonly ready: number; readonly all: number }): JSX.Element {
  if (all === 0) return none;
  return ready < all ? (
    <span class="warn-text">{`${ready.toLocaleString("en-US")}/${all.toLocaleString("en-US")}`}</span>
  ) : (
    <span>{`${ready.toLocaleString("en-US")}/${all.toLocaleString("en-US")}`}</span>
  );
}

export function Validation({
  row: { errors, warnings },
}: {
  readonly row: Pick<ConfigRow, "errors" | "warnings">;
}): JSX.Element {
  if (errors > 0) return <Mark tone="bad">{`${errors} ${errors === 1 ? "error" : "errors"}`}</Mark>;
  if (warnings > 0) return <Mark tone="warn">{`${warnings} ${warnings === 1 ? "warning" : "warnings"}`}</Mark>;
  return <Mark tone="good">valid</Mark>;
}
