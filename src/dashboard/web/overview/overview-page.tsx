import type { JSX } from "preact";
import type { AttentionRow, NamespaceRow, OverviewHead } from "../../../api/dashboard/index.ts";
import {
  DataTable,
  Empty,
  HealthMark,
  Icon,
  Lazy,
  Mark,
  Page,
  Tag,
  type Column,
  type Tone,
} from "../components/index.ts";
import { countOf, formatMs, formatRate, formatShare } from "../format.ts";
import { useLive } from "../live/index.ts";
import { chosenNamespaces, linkTo } from "../router.ts";
import { chosenRows } from "../chosen-rows.ts";
import { allClear } from "./all-clear.ts";
import { healthRank } from "./health-rank.ts";

export function OverviewPage(): JSX.Element {
  const live = useLive("overview", {});
  const head = live.head.value;
  const attention = Object.entries(live.table("attention").value).sort(([a], [b]) => a.localeCompare(b));
  return (
    <Page title="Overview" live={live} subtitle={head === undefined ? undefined : `Cluster ${head.cluster}`}>
      {head === undefined ? undefined : <Figures head={head} />}
      <div class="overview-columns">
        <Attention rows={attention} head={head} />
        <section class="card overview-charts" aria-label="The whole mesh over 15 minutes">
          <Lazy load={async () => (await import("./mesh-charts.tsx")).MeshCharts} height={190} given={{}} />
        </section>
      </div>
      <DataTable
        label="Namespaces"
        title="Namespaces"
        noun={["namespace", "namespaces"]}
        rows={chosenRows(live.table("namespaces").value, chosenNamespaces.value, ({ name }) => [name])}
        columns={columns}
        order="health"
        text={({ name, revision, dataPlane, health }) => `${name} ${revision} ${dataPlane} ${health}`}
        empty={
          <Empty title="No namespace to show">
            You may see no namespace, or none of the namespaces that you selected above exists.
          </Empty>
        }
      />
    </Page>
  );
}

function Figures({ head }: { readonly head: OverviewHead }): JSX.Element {
  const { synced, stale, rejected, missing, unknown, incomplete } = head.proxies;
  const all = synced + stale + rejected + missing;
  return (
    <dl class="facts">
      <div>
        <dt>Requests</dt>
        <dd>{formatRate(head.requestRate)}</dd>
      </div>
      <div>
        <dt>Errors</dt>
        <dd class={head.errorShare >= 0.01 ? "bad-text" : undefined}>{formatShare(head.errorShare)}</dd>
      </div>
      <div>
        <dt>p99</dt>
        <dd>{formatMs(head.p99Ms)}</dd>
      </div>
      <div>
        <dt>Proxies in sync</dt>
        <dd>
          <a href={linkTo(["ladder"])}>
            {unknown === undefined ? `${synced.toLocaleString("en-US")} of ${all.toLocaleString("en-US")}` : "unknown"}
          </a>
          <small>
            {unknown ?? (
              <>
                {incomplete === undefined ? undefined : `without all proxies of ${incomplete} `}
                {rejected > 0 ? <Mark tone="bad">{`${rejected} rejected`}</Mark> : undefined}{" "}
                {stale > 0 ? <Mark tone="warn">{`${stale} stale`}</Mark> : undefined}{" "}
                {missing > 0 ? <Mark tone="warn">{`${missing} missing`}</Mark> : undefined}
              </>
            )}
          </small>
        </dd>
      </div>
      <div>
        <dt>Workloads</dt>
        <dd>
          <a href={linkTo(["workloads"])}>{head.workloads.toLocaleString("en-US")}</a>
        </dd>
      </div>
      <div>
        <dt>Rollouts under way</dt>
        <dd>
          <a href={linkTo(["rollouts"])}>{head.rolloutsUnderWay}</a>
        </dd>
      </div>
    </dl>
  );
}

const levels: Readonly<Record<AttentionRow["level"], Tone>> = { error: "bad", warning: "warn", info: "info" };

function Attention({
  rows,
  head,
}: {
  readonly rows: readonly (readonly [string, AttentionRow])[];
  readonly head: OverviewHead | undefined;
}): JSX.Element {
  const clear = allClear(head?.sources ?? [], head?.proxies);
  return (
    <section class="card" aria-label="What needs attention">
      <div class="card-head">
        <h2>Needs attention</h2>
        {rows.length === 0 ? undefined : <span class="count">{rows.length}</span>}
      </div>
      {rows.length === 0 ? (
        <Empty title={clear.title} icon={clear.icon}>
          {clear.text}
        </Empty>
      ) : (
        <ul class="attention">
          {rows.map(([key, { level, text, page }]) => (
            <li key={key}>
              <a href={page} class="attention-row" data-tone={levels[level]}>
                <Mark tone={levels[level]} quiet>
                  {level}
                </Mark>
                <span>{text}</span>
                <Icon name="arrow" size={12} />
              </a>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

/** Stands in place of a number if no proxy counts the traffic. */
const notCounted = (
  <span class="muted" title="not in the mesh, so no proxy counts its requests">
    –
  </span>
);
const isCounted = (dataPlane: NamespaceRow["dataPlane"], requestRate: number): boolean =>
  dataPlane !== "none" || requestRate > 0;

const columns: readonly Column<NamespaceRow>[] = [
  {
    key: "name",
    title: "Namespace",
    sort: ({ name }) => name,
    cell: ({ name }) => <a href={linkTo(["workloads"], { ns: name })}>{name}</a>,
  },
  {
    key: "health",
    title: "Health",
    width: "8rem",
    sort: ({ health }) => healthRank[health],
    cell: ({ health, reason }) => <HealthMark health={health} reason={reason} />,
  },
  {
    key: "plane",
    title: "Data plane",
    width: "6.5rem",
    priority: 3,
    sort: ({ dataPlane }) => dataPlane,
    cell: ({ dataPlane }) => (dataPlane === "none" ? <span class="muted">no mesh</span> : dataPlane),
  },
  {
    key: "revision",
    title: "Revision",
    width: "7rem",
    priority: 2,
    sort: ({ revision }) => revision,
    cell: ({ revision }) => (revision === "" ? <span class="muted">–</span> : <Tag>{revision}</Tag>),
  },
  {
    key: "workloads",
    title: "Workloads",
    width: "6.5rem",
    number: true,
    priority: 3,
    sort: ({ workloads }) => workloads,
    cell: ({ workloads }) => workloads.toLocaleString("en-US"),
  },
  {
    key: "rate",
    title: "Requests",
    width: "6.5rem",
    number: true,
    sort: ({ requestRate }) => requestRate,
    cell: ({ dataPlane, requestRate }) => (isCounted(dataPlane, requestRate) ? formatRate(requestRate) : notCounted),
  },
  {
    key: "errors",
    title: "Errors",
    width: "5.5rem",
    number: true,
    sort: ({ errorShare }) => errorShare,
    cell: ({ dataPlane, requestRate, errorShare }) =>
      isCounted(dataPlane, requestRate) ? (
        <span class={errorShare >= 0.01 ? "bad-text" : undefined}>{formatShare(errorShare)}</span>
      ) : (
        notCounted
      ),
  },
  {
    key: "p99",
    title: "p99",
    width: "6rem",
    number: true,
    priority: 2,
    sort: ({ p99Ms }) => p99Ms,
    cell: ({ p99Ms }) => formatMs(p99Ms),
  },
  {
    key: "mtls",
    title: "mTLS",
    width: "5.5rem",
    number: true,
    priority: 2,
    sort: ({ mutualTlsShare }) => mutualTlsShare,
    cell: ({ mutualTlsShare }) => formatShare(mutualTlsShare),
  },
  {
    key: "config",
    title: "Config",
    width: "7.5rem",
    priority: 3,
    sort: ({ configErrors, configWarnings }) => configErrors * 10_000 + configWarnings,
    cell: ({ name, configErrors, configWarnings }) => (
      <a href={linkTo(["config"], { ns: name })}>
        {configErrors === 0 && configWarnings === 0 ? <Mark tone="good">fine</Mark> : undefined}
        {configErrors === 0 ? undefined : (
          <Mark tone="bad" title={countOf(configErrors, "error")}>
            {configErrors}
            <span class="visually-hidden"> {configErrors === 1 ? "error" : "errors"}</span>
          </Mark>
        )}{" "}
        {configWarnings === 0 ? undefined : (
          <Mark tone="warn" title={countOf(configWarnings, "warning")}>
            {configWarnings}
            <span class="visually-hidden"> {configWarnings === 1 ? "warning" : "warnings"}</span>
          </Mark>
        )}
      </a>
    ),
  },
];
