import type { JSX } from "preact";
import type { ServiceHead, ServiceView } from "../../../api/dashboard/index.ts";
import { SeriesChart, type ChartSubject } from "../charts/index.ts";
import { DataTable, Empty, Mark, Tabs, type Column } from "../components/index.ts";
import { formatMs, formatRate, formatShare } from "../format.ts";
import { useLive, type Live } from "../live/index.ts";
import { linkTo, place, setQuery } from "../router.ts";
import type { RouteParameters } from "../route-parameters.ts";
import { peerColumns, workloadColumns } from "./inspect-columns.tsx";
import { WorkloadLink } from "./inspect-links.tsx";
import { Fact, Labels } from "./inspect-facts.tsx";
import { ObjectPage } from "./object-page.tsx";
import { configTab, eventsTab } from "./inspect-tables.tsx";

type ServiceTables = ServiceView["tables"];

const endpointColumns: readonly Column<ServiceTables["endpoints"][string]>[] = [
  {
    key: "address",
    title: "Address",
    cell: ({ address }) => <span class="mono">{address}</span>,
    sort: ({ address }) => address,
  },
  {
    key: "ready",
    title: "Ready",
    width: "110px",
    cell: ({ ready }) => (ready ? <Mark tone="good">ready</Mark> : <Mark tone="warn">not ready</Mark>),
    sort: ({ ready }) => Number(ready),
  },
  { key: "pod", title: "Pod", priority: 2, cell: ({ pod }) => pod, sort: ({ pod }) => pod },
  { key: "node", title: "Node", width: "160px", priority: 3, cell: ({ node }) => node, sort: ({ node }) => node },
];

export function ServicePage({ namespace, name }: Required<RouteParameters>): JSX.Element {
  const live = useLive("service", { namespace, name });
  const head = live.head.value;
  return (
    <ObjectPage
      namespace={namespace}
      name={name}
      list={{ title: "Services", path: ["services"] }}
      kind="Service"
      live={live}
      row={head?.row}
    >
      {head === undefined ? undefined : <Content head={head} live={live} />}
    </ObjectPage>
  );
}

function Content({ head, live }: { readonly head: ServiceHead; readonly live: Live<"service"> }): JSX.Element {
  const tab = place.value.query["tab"] ?? "overview";
  const configs = live.table("configs").value;
  return (
    <>
      <ServiceFacts row={head.row} />
      <Tabs
        label="Parts of the service"
        chosen={tab}
        onChoose={(key) => setQuery({ tab: key === "overview" ? "" : key }, "push")}
        tabs={[
          { key: "overview", title: "Overview", content: () => <Overview head={head} live={live} /> },
          { key: "traffic", title: "Callers", content: () => <Callers rows={live.table("inbound").value} /> },
          { key: "endpoints", title: "Endpoints", content: () => <Endpoints rows={live.table("endpoints").value} /> },
          configTab(
            configs,
            <>
              Kubernetes alone decides where its traffic goes. <a href={linkTo(["config", "new"])}>Write some</a>
            </>,
          ),
          eventsTab(() => live.table("events").value),
        ]}
      />
    </>
  );
}

function ServiceFacts({ row }: Pick<ServiceHead, "row">): JSX.Element {
  return (
    <dl class="facts">
      <Fact title="Requests">{row.requestRate > 0 ? formatRate(row.requestRate) : "none"}</Fact>
      <Fact title="Errors">{row.requestRate > 0 ? formatShare(row.errorShare) : "–"}</Fact>
      <Fact title="p99">{formatMs(row.p99Ms)}</Fact>
      <Fact title="Endpoints ready" note={row.endpoints === 0 ? "no endpoints" : undefined}>
        {row.endpointsReady} of {row.endpoints}
      </Fact>
      <Fact title="Address" note={row.ports.join(", ")}>
        {row.clusterIp === "" ? row.type : row.clusterIp}
      </Fact>
      <Fact title="Waypoint">
        {row.waypoint === "" ? (
          "none"
        ) : (
          <WorkloadLink
            namespace={row.waypoint.includes("/") ? (row.waypoint.split("/")[0] ?? row.namespace) : row.namespace}
            name={row.waypoint.split("/").at(-1) ?? row.waypoint}
          />
        )}
      </Fact>
    </dl>
  );
}

function Overview({ head, live }: { readonly head: ServiceHead; readonly live: Live<"service"> }): JSX.Element {
  const { row } = head;
  const subject: ChartSubject = { label: row.name, tone: "series-1", namespace: row.namespace, service: row.name };
  return (
    <>
      <section class="card card-body charts" aria-label="Metrics">
        <h2 class="visually-hidden">Metrics</h2>
        <SeriesChart measure="requestRate" subjects={[subject]} />
        <SeriesChart measure="errorShare" subjects={[subject]} />
        <SeriesChart measure="p99Ms" subjects={[subject]} />
      </section>
      <DataTable
        label="Workloads of the service"
        title="Workloads"
        id="w"
        noun={["workload", "workloads"]}
        rows={live.table("workloads").value}
        columns={workloadColumns}
        order="name"
        empty={
          <Empty title="No workload">
            The selector of the service matches no pods. Compare it with the labels of the pods below.
          </Empty>
        }
      />
      <section class="card">
        <div class="card-head">
          <h2>Details</h2>
        </div>
        <dl class="pairs card-body">
          <dt>Type</dt>
          <dd>{row.type}</dd>
          <dt>Selector</dt>
          <dd>
            <Labels labels={head.selector} none="none: its endpoints are managed by hand" />
          </dd>
          <dt>Labels</dt>
          <dd>
            <Labels labels={head.labels} />
          </dd>
        </dl>
      </section>
    </>
  );
}

function Callers({ rows }: { readonly rows: ServiceTables["inbound"] }): JSX.Element {
  return (
    <DataTable
      label="Callers"
      title="Callers"
      id="i"
      noun={["caller", "callers"]}
      rows={rows}
      columns={peerColumns}
      order="-rate"
      text={({ peerName, peerNamespace }) => `${peerName} ${peerNamespace}`}
      empty={<Empty title="No callers">The proxies reported no request to it in the last minute.</Empty>}
    />
  );
}

function Endpoints({ rows }: { readonly rows: ServiceTables["endpoints"] }): JSX.Element {
  return (
    <DataTable
      label="Endpoints"
      title="Endpoints"
      id="p"
      noun={["endpoint", "endpoints"]}
      rows={rows}
      columns={endpointColumns}
      order="ready"
      text={({ address, pod, node }) => `${address} ${pod} ${node}`}
      empty={<Empty title="No endpoints">No endpoint serves this service: its selector matches no ready pod.</Empty>}
    />
  );
}
