import type { JSX } from "preact";
import type { PodRow, WorkloadHead } from "../../../api/dashboard/index.ts";
import { SeriesChart, type ChartSubject } from "../charts/index.ts";
import { Age, DataTable, Empty, Mark, Notice, ProxyMark, Tabs, type Column } from "../components/index.ts";
import { countOf, formatMs, formatRate, formatShare } from "../format.ts";
import { useLive, type Live } from "../live/index.ts";
import { linkTo, place, setQuery } from "../router.ts";
import type { RouteParameters } from "../route-parameters.ts";
import { peerColumns, serviceColumns } from "./inspect-columns.tsx";
import { Fact, Labels } from "./inspect-facts.tsx";
import { ObjectPage } from "./object-page.tsx";
import { configTab, eventsTab } from "./inspect-tables.tsx";
import { LogsPanel } from "./logs-panel.tsx";
import { ProxyPanel } from "./proxy-panel.tsx";

const goodStates: ReadonlySet<string> = new Set(["Running", "Succeeded", "Completed"]);

/** A ztunnel's name. All ztunnels have the same namespace, which the title shows. */
const withoutNamespace = (ztunnel: string): string => ztunnel.slice(ztunnel.indexOf("/") + 1);

const podColumns: readonly Column<PodRow>[] = [
  { key: "name", title: "Pod", cell: ({ name }) => <span title={name}>{name}</span>, sort: ({ name }) => name },
  {
    key: "state",
    title: "State",
    width: "140px",
    cell: ({ state }) => (
      <Mark tone={goodStates.has(state) ? "good" : /Pending|Creating|Terminating|Init/.test(state) ? "warn" : "bad"}>
        {state}
      </Mark>
    ),
    sort: ({ state }) => (goodStates.has(state) ? `~${state}` : state),
  },
  { key: "ready", title: "Ready", width: "76px", number: true, cell: ({ ready }) => ready, sort: ({ ready }) => ready },
  {
    key: "restarts",
    title: "Restarts",
    width: "88px",
    number: true,
    priority: 2,
    cell: ({ restarts }) => (restarts === 0 ? <span class="muted">0</span> : <span class="warn-text">{restarts}</span>),
    sort: ({ restarts }) => restarts,
  },
  {
    key: "age",
    title: "Age",
    width: "96px",
    number: true,
    priority: 2,
    cell: ({ startedAtMs }) => <Age atMs={startedAtMs} ago={false} />,
    sort: ({ startedAtMs }) => (startedAtMs === undefined ? undefined : -startedAtMs),
  },
  {
    key: "revision",
    title: "Revision",
    width: "100px",
    priority: 2,
    cell: ({ revision }) => revision || <span class="muted">–</span>,
    sort: ({ revision }) => revision,
  },
  {
    key: "ztunnel",
    title: "ztunnel",
    width: "140px",
    priority: 3,
    cell: ({ ztunnel }) => <span title={ztunnel}>{withoutNamespace(ztunnel) || <span class="muted">–</span>}</span>,
    sort: ({ ztunnel }) => ztunnel,
  },
  {
    key: "node",
    title: "Node",
    width: "140px",
    priority: 3,
    cell: ({ node }) => <span title={node}>{node}</span>,
    sort: ({ node }) => node,
  },
  {
    key: "ip",
    title: "Address",
    width: "112px",
    priority: 3,
    cell: ({ ip }) => <span class="mono">{ip}</span>,
    sort: ({ ip }) => ip,
  },
  {
    key: "logs",
    title: "Logs",
    width: "60px",
    cell: ({ name }) => (
      <a href={linkTo(place.peek().path, { tab: "logs", pod: name })} aria-label={`Logs of ${name}`}>
        Logs
      </a>
    ),
  },
];

export function WorkloadPage({ namespace, name }: Required<RouteParameters>): JSX.Element {
  const live = useLive("workload", { namespace, name });
  const head = live.head.value;
  return (
    <ObjectPage
      namespace={namespace}
      name={name}
      list={{ title: "Workloads", path: ["workloads"] }}
      kind={head?.row.kind ?? "Workload"}
      live={live}
      row={head?.row}
    >
      {head === undefined ? undefined : <Content head={head} live={live} />}
    </ObjectPage>
  );
}

function Content({ head, live }: { readonly head: WorkloadHead; readonly live: Live<"workload"> }): JSX.Element {
  const { row } = head;
  const tab = place.value.query["tab"] ?? "overview";
  const configs = live.table("configs").value;
  const pods = live.table("pods").value;
  return (
    <>
      <dl class="facts">
        <Fact title="Requests">{row.requestRate > 0 ? formatRate(row.requestRate) : "none"}</Fact>
        <Fact title="Errors">{row.requestRate > 0 ? formatShare(row.errorShare) : "–"}</Fact>
        <Fact title="p99">{formatMs(row.p99Ms)}</Fact>
        <Fact title="Pods ready" note={row.restarts === 0 ? undefined : countOf(row.restarts, "restart")}>
          {row.podsReady.toLocaleString("en-US")} of {row.pods.toLocaleString("en-US")}
        </Fact>
        <Fact title="Mesh" note={row.revision === "" ? undefined : `revision ${row.revision}`}>
          {row.dataPlane === "none" ? "not in the mesh" : row.dataPlane}
        </Fact>
        {row.version === "" ? (
          <Fact title="App">{row.app === "" ? "–" : row.app}</Fact>
        ) : (
          <Fact title="Version" note={row.app === "" ? undefined : `of ${row.app}`}>
            {row.version}
          </Fact>
        )}
      </dl>
      <Tabs
        label="Parts of the workload"
        chosen={tab}
        onChoose={(key) => setQuery({ tab: key === "overview" ? "" : key }, "push")}
        tabs={[
          { key: "overview", title: "Overview", content: () => <Overview head={head} live={live} /> },
          { key: "traffic", title: "Traffic", content: () => <Traffic live={live} /> },
          { key: "metrics", title: "Metrics", content: () => <Metrics head={head} /> },
          { key: "logs", title: "Logs", content: () => <LogsPanel namespace={row.namespace} pods={pods} /> },
          {
            key: "proxy",
            title: "Proxy",
            content: () => (
              <ProxyPanel
                namespace={row.namespace}
                dataPlane={row.dataPlane}
                pods={pods}
                proxies={live.table("proxies").value}
              />
            ),
          },
          configTab(configs, "No object of the mesh's kinds selects it or routes to it."),
          eventsTab(() => live.table("events").value),
        ]}
      />
    </>
  );
}

function subjectOf({ row }: WorkloadHead): ChartSubject {
  return { label: row.name, tone: "series-1", namespace: row.namespace, workload: row.name };
}

function Overview({ head, live }: { readonly head: WorkloadHead; readonly live: Live<"workload"> }): JSX.Element {
  const pods = live.table("pods").value;
  const listed = Object.keys(pods).length;
  const subject = subjectOf(head);
  return (
    <>
      <section class="card card-body charts" aria-label="Metrics">
        <h2 class="visually-hidden">Metrics</h2>
        <SeriesChart measure="requestRate" subjects={[subject]} height={110} />
        <SeriesChart measure="errorShare" subjects={[subject]} height={110} />
        <SeriesChart measure="p99Ms" subjects={[subject]} height={110} />
      </section>
      {head.podCount > listed ? (
        <Notice tone="info">
          {listed.toLocaleString("en-US")} of {head.podCount.toLocaleString("en-US")} pods are listed, those that are
          not ready first. All of them: <code>kubectl get pods -n {head.row.namespace}</code>
        </Notice>
      ) : undefined}
      <DataTable
        label="Pods"
        title="Pods"
        id="p"
        noun={["pod", "pods"]}
        rows={pods}
        columns={podColumns}
        order="state"
        text={({ name, node, ip, state, revision, ztunnel }) => `${name} ${node} ${ip} ${state} ${revision} ${ztunnel}`}
        empty={
          <Empty title="No pods">
            The workload is scaled to 0, or its controller could not create pods. See the events of the workload.
          </Empty>
        }
      />
      <DataTable
        label="Services that select it"
        title="Services"
        id="s"
        noun={["service", "services"]}
        rows={live.table("services").value}
        columns={serviceColumns}
        order="name"
        empty={<Empty title="No service selects it">No Service selects the pods of this workload.</Empty>}
      />
      <section class="card">
        <div class="card-head">
          <h2>Details</h2>
        </div>
        <dl class="pairs card-body">
          <dt>Created</dt>
          <dd>
            <Age atMs={head.createdAtMs} />
          </dd>
          <dt>Service account</dt>
          <dd class="mono">{head.serviceAccount || "default"}</dd>
          <dt>{head.images.length === 1 ? "Image" : "Images"}</dt>
          <dd class="mono">
            {head.images.length === 0 ? "–" : head.images.map((image) => <div key={image}>{image}</div>)}
          </dd>
          <dt>Labels</dt>
          <dd>
            <Labels labels={head.labels} />
          </dd>
        </dl>
      </section>
      <Proxies live={live} />
    </>
  );
}

function Proxies({ live }: { readonly live: Live<"workload"> }): JSX.Element | null {
  const proxies = Object.values(live.table("proxies").value);
  const unwell = proxies.filter(({ state }) => state !== "synced");
  if (unwell.length === 0) return null;
  return (
    <section class="card">
      <div class="card-head">
        <h2>Proxies that are not in sync</h2>
      </div>
      <ul class="card-body stack">
        {unwell.map(({ pod, state, reason }) => (
          <li key={pod}>
            <ProxyMark state={state} reason={reason} /> <span class="mono">{pod}</span> {reason}
          </li>
        ))}
      </ul>
    </section>
  );
}

function Traffic({ live }: { readonly live: Live<"workload"> }): JSX.Element {
  const text = ({
    peerName,
    peerNamespace,
    protocol,
  }: {
    readonly peerName: string;
    readonly peerNamespace: string;
    readonly protocol: string;
  }): string => `${peerName} ${peerNamespace} ${protocol}`;
  return (
    <>
      <DataTable
        label="Callers"
        title="Inbound"
        id="i"
        noun={["caller", "callers"]}
        rows={live.table("inbound").value}
        columns={peerColumns}
        order="-rate"
        text={text}
        empty={<Empty title="No callers">The proxies reported no request to it in the last minute.</Empty>}
      />
      <DataTable
        label="Called services and workloads"
        title="Outbound"
        id="o"
        noun={["destination", "destinations"]}
        rows={live.table("outbound").value}
        columns={peerColumns}
        order="-rate"
        text={text}
        empty={<Empty title="No outgoing calls">The proxies reported no request from it in the last minute.</Empty>}
      />
    </>
  );
}

function Metrics({ head }: { readonly head: WorkloadHead }): JSX.Element {
  const minutes = Number(place.value.query["minutes"] ?? "") || 15;
  const subject = subjectOf(head);
  const windowMs = minutes * 60_000;
  return (
    <section class="card" aria-label="Metrics">
      <div class="card-head">
        <h2>Metrics</h2>
        <div class="card-tools">
          <div class="segmented" role="group" aria-label="Over">
            {[5, 15, 60, 120].map((choice) => (
              <button
                key={choice}
                type="button"
                aria-pressed={minutes === choice}
                onClick={() => setQuery({ minutes: choice === 15 ? "" : String(choice) })}
              >
                {choice < 60 ? `${choice} min` : `${choice / 60} h`}
              </button>
            ))}
          </div>
        </div>
      </div>
      <div class="card-body charts">
        {(
          ["requestRate", "errorShare", "p50Ms", "p90Ms", "p99Ms", "byteRate", "cpuSeconds", "memoryBytes"] as const
        ).map((measure) => (
          <SeriesChart key={measure} measure={measure} subjects={[subject]} windowMs={windowMs} />
        ))}
      </div>
    </section>
  );
}
