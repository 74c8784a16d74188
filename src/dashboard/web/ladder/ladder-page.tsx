import type { JSX } from "preact";
import type { LadderRung } from "../../../api/dashboard/index.ts";
import { chosenRows } from "../chosen-rows.ts";
import { Empty, Icon, Mark, Page } from "../components/index.ts";
import { countOf } from "../format.ts";
import { useLive } from "../live/index.ts";
import { chosenNamespaces, linkTo, place, setQuery } from "../router.ts";
import { LadderGrid } from "./ladder-grid.tsx";
import { ProxyStates } from "./proxy-states.tsx";
import { rungState, type RungState } from "./rung-state.ts";

const shownStates: Readonly<Record<string, readonly RungState[]>> = {
  all: ["blocked", "waiting", "moving", "behind", "there", "outside"],
  moving: ["blocked", "waiting", "moving", "behind"],
  blocked: ["blocked"],
};
const filters = [
  { key: "all", title: "All" },
  { key: "moving", title: "Moving" },
  { key: "blocked", title: "Blocked" },
] as const;

export function LadderPage(): JSX.Element {
  const live = useLive("ladder", {});
  const revisions = live.table("revisions").value;
  const namespaces = chosenNamespaces.value;
  const all = chosenRows(live.table("rungs").value, namespaces, namespacesOf);
  const only = place.value.query["only"] ?? "all";
  const states = shownStates[only] ?? [];
  const rungs = Object.fromEntries(Object.entries(all).filter(([, rung]) => states.includes(rungState(rung))));
  return (
    <Page
      title="Revisions"
      live={live}
      subtitle="The current and the target revision of each part of the mesh, and what blocks a move"
    >
      <Progress upgrade={live.head.value?.upgrade ?? ""} rungs={Object.values(all)} />
      <section class="card" aria-label="Parts of the mesh by revision">
        <div class="card-head">
          <h2>Parts of the mesh</h2>
          <div class="card-tools">
            <div class="segmented" role="group" aria-label="Which parts">
              {filters.map(({ key, title }) => {
                const count = Object.values(all).filter((rung) => shownStates[key]?.includes(rungState(rung))).length;
                return (
                  <button
                    key={key}
                    type="button"
                    aria-pressed={only === key}
                    onClick={() => setQuery({ only: key === "all" ? "" : key })}
                  >
                    {title} <span class="count">{count}</span>
                  </button>
                );
              })}
            </div>
          </div>
        </div>
        {Object.keys(rungs).length === 0 ? (
          <Empty
            title={
              only === "all"
                ? "No part of the mesh was found"
                : only === "blocked"
                  ? "Nothing is blocked"
                  : "Nothing is moving"
            }
            icon={only === "all" ? "idle" : "good"}
          >
            {only === "all"
              ? "The cluster has no control plane and no namespace in the mesh, or the selected namespaces have none. To install a mesh: serin install"
              : "All parts of the mesh are at their target revision."}
          </Empty>
        ) : (
          <LadderGrid revisions={revisions} rungs={rungs} />
        )}
      </section>
      <ProxyStates proxies={chosenRows(live.table("proxies").value, namespaces, ({ namespace }) => [namespace])} />
    </Page>
  );
}

function namespacesOf({ kind, namespace, name }: LadderRung): readonly string[] {
  return kind === "namespace" ? [name] : [namespace];
}

/** In the order of the bar. */
const states: readonly RungState[] = ["there", "moving", "waiting", "behind", "blocked"];

function Progress({
  upgrade,
  rungs,
}: {
  readonly upgrade: string;
  readonly rungs: readonly LadderRung[];
}): JSX.Element | null {
  const count = (state: RungState): number => rungs.filter((rung) => rungState(rung) === state).length;
  const [there, moving, waiting, behind, blocked] = [
    count("there"),
    count("moving"),
    count("waiting"),
    count("behind"),
    count("blocked"),
  ];
  const total = there + moving + waiting + behind + blocked;
  if (total === 0) return null;
  const name = upgrade.split(" ").at(-1) ?? "";
  return (
    <section class="card ladder-progress" aria-label="Progress of the upgrade">
      <div class="row">
        {name === "" ? (
          <strong>No upgrade is under way</strong>
        ) : (
          <a href={linkTo(["rollouts", "MeshUpgrade", name])}>
            <strong>MeshUpgrade {name}</strong>
          </a>
        )}
        <Mark tone="good">{`${there} of ${countOf(total, "part")} at ${total === 1 ? "its" : "their"} target`}</Mark>
        {moving === 0 ? undefined : <Mark tone="info" icon="moving">{`${moving} moving`}</Mark>}
        {waiting === 0 ? undefined : (
          <Mark tone="warn" icon="paused">
            {waiting === 1 ? "1 waits for a person" : `${waiting} wait for a person`}
          </Mark>
        )}
        {behind === 0 ? undefined : <Mark tone="warn">{`${behind} behind`}</Mark>}
        {blocked === 0 ? undefined : <Mark tone="bad">{`${blocked} blocked`}</Mark>}
      </div>
      <div class="ladder-bar" aria-hidden="true">
        {states.map((state) =>
          count(state) === 0 ? undefined : (
            <i key={state} style={{ width: `${(count(state) / total) * 100}%` }} data-state={state} />
          ),
        )}
      </div>
      {name === "" ? undefined : (
        <a class="small nowrap" href={linkTo(["rollouts", "MeshUpgrade", name])}>
          Steps and evidence <Icon name="arrow" size={11} />
        </a>
      )}
    </section>
  );
}
