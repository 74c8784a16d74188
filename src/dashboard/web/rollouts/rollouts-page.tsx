import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import type { FreezeRow, RolloutRow } from "../../../api/dashboard/index.ts";
import { chosenRows } from "../chosen-rows.ts";
import { Age, CommandLine, DataTable, Empty, Mark, Moment, Page, PhaseMark, type Column } from "../components/index.ts";
import { formatDuration } from "../format.ts";
import { useLive } from "../live/index.ts";
import { chosenNamespaces, linkTo, place, setQuery } from "../router.ts";
import { PersonTag } from "./person-tag.tsx";
import { hasEnded, progressShare, rolloutName, rolloutPath, rolloutRank } from "./rollout-order.ts";

const filters = [
  { key: "", title: "All", holds: () => true },
  { key: "waiting", title: "Need a person", holds: ({ waitsForPerson }: RolloutRow) => waitsForPerson },
  { key: "running", title: "Under way", holds: (row: RolloutRow) => !hasEnded(row) },
  { key: "ended", title: "Ended", holds: hasEnded },
] as const;

export function RolloutsPage(): JSX.Element {
  const live = useLive("rollouts", {});
  const all = chosenRows(live.table("rollouts").value, chosenNamespaces.value, ({ namespace }) => [namespace]);
  const only = place.value.query["only"] ?? "";
  const rows = useMemo(
    () =>
      Object.fromEntries(
        Object.entries(all).filter(([, row]) => filters.find(({ key }) => key === only)?.holds(row) ?? true),
      ),
    [all, only],
  );
  const freezes = Object.values(live.table("freezes").value).sort(
    (a, b) => Number(b.active) - Number(a.active) || a.name.localeCompare(b.name),
  );
  return (
    <Page title="Rollouts" live={live} subtitle="Canaries and mesh upgrades, with their progress">
      {freezes.length === 0 ? undefined : <Freezes freezes={freezes} />}
      <DataTable
        label="Rollouts"
        title="Rollouts"
        noun={["rollout", "rollouts"]}
        rows={rows}
        columns={columns}
        order="state"
        wrap
        text={({ kind, namespace, name, phase, target, message, cause }) =>
          `${kind} ${namespace}/${name} ${phase} ${target} ${message} ${cause}`
        }
        tools={
          <div class="segmented" role="group" aria-label="Which rollouts">
            {filters.map(({ key, title, holds }) => (
              <button key={key} type="button" aria-pressed={only === key} onClick={() => setQuery({ only: key })}>
                {title} <span class="count">{Object.values(all).filter(holds).length}</span>
              </button>
            ))}
          </div>
        }
        empty={
          <Empty title={only === "" ? "No rollout yet" : "No rollout is in this state"} icon="rollouts">
            {only === "" ? (
              <>
                A Canary moves the traffic of an app to a new version step by step. A MeshUpgrade moves the mesh to
                another revision. Create a Canary:
                <CommandLine command="serin canary create -f canary.yaml --watch" />
              </>
            ) : undefined}
          </Empty>
        }
      />
    </Page>
  );
}

function Freezes({ freezes }: { readonly freezes: readonly FreezeRow[] }): JSX.Element {
  return (
    <section class="card freezes" aria-label="Freezes">
      <h2>Freezes</h2>
      <ul>
        {freezes.map(({ name, reason, active, endsAtMs, nextAtMs }) => (
          <li key={name}>
            <strong>{name}</strong>
            <Mark tone={active ? "warn" : "idle"} icon={active ? "paused" : "idle"}>
              {active ? "blocks rollouts now" : "not in force"}
            </Mark>
            <span class="muted nowrap">
              {active && endsAtMs !== undefined ? (
                <>
                  until <Moment atMs={endsAtMs} />
                </>
              ) : undefined}
              {!active && nextAtMs !== undefined ? (
                <>
                  next <Moment atMs={nextAtMs} />
                </>
              ) : undefined}
            </span>
            {reason === "" ? undefined : <span class="muted">{reason}</span>}
          </li>
        ))}
      </ul>
    </section>
  );
}

function ProgressBar({ progress, title }: { readonly progress: string; readonly title: string }): JSX.Element {
  const share = progressShare(progress);
  return (
    <span class="progress" title={title}>
      <span class="progress-track" aria-hidden="true">
        <i style={{ width: `${(share ?? 0) * 100}%` }} />
      </span>
      <span class="progress-text">{progress}</span>
    </span>
  );
}

function Message({ row: { message, cause } }: { readonly row: RolloutRow }): JSX.Element {
  return (
    <div class="two-lines" title={cause === "" ? message : cause}>
      {cause === "" ? message : <span class="bad-text">{cause}</span>}
    </div>
  );
}

const columns: readonly Column<RolloutRow>[] = [
  {
    key: "name",
    title: "Rollout",
    sort: rolloutName,
    cell: (row) => (
      <>
        <a href={linkTo(rolloutPath(row))}>{rolloutName(row)}</a>
        <div class="muted small rollout-target">
          {row.kind} of {row.target}
        </div>
        <div class="small rollout-message">
          <Message row={row} />
        </div>
      </>
    ),
  },
  {
    key: "state",
    title: "State",
    width: "9.5rem",
    sort: rolloutRank,
    cell: (row) => (
      <>
        <PhaseMark phase={row.phase} />
        {row.waitsForPerson ? (
          <>
            {" "}
            <PersonTag row={row} />
          </>
        ) : undefined}
      </>
    ),
  },
  {
    key: "progress",
    title: "Progress",
    width: "8.5rem",
    sort: ({ progress }) => progressShare(progress),
    cell: ({ progress, step }) => <ProgressBar progress={progress} title={step} />,
  },
  {
    key: "weight",
    title: "Weight",
    width: "5.5rem",
    number: true,
    priority: 2,
    sort: ({ weight }) => weight,
    cell: ({ weight }) => (weight === undefined ? <span class="muted">–</span> : `${weight} %`),
  },
  {
    key: "message",
    title: "What it does",
    width: "36%",
    priority: 2,
    cell: (row) => <Message row={row} />,
  },
  {
    key: "time",
    title: "Time",
    width: "8rem",
    number: true,
    priority: 3,
    sort: ({ startedAtMs }) => startedAtMs,
    cell: ({ startedAtMs, endedAtMs }) =>
      endedAtMs === undefined || startedAtMs === undefined ? (
        <Age atMs={startedAtMs} ago={false} />
      ) : (
        <span title="from start to end">took {formatDuration(endedAtMs - startedAtMs)}</span>
      ),
  },
];
