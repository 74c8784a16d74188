import type { JSX } from "preact";
import type { RolloutHead, RolloutView } from "../../../api/dashboard/index.ts";
import { Age, Empty, Mark, Moment, Notice, Page, PhaseMark, Tabs, Until, YamlBlock } from "../components/index.ts";
import { formatDuration } from "../format.ts";
import { useLive, type Live } from "../live/index.ts";
import { place, setQuery } from "../router.ts";
import type { RouteParameters } from "../route-parameters.ts";
import { PersonTag } from "./person-tag.tsx";
import { RolloutActions } from "./rollout-actions.tsx";
import { Checks } from "./rollout-checks.tsx";
import { Decisions, Events } from "./rollout-history.tsx";
import { announcesMessage, rolloutName } from "./rollout-order.ts";
import { RolloutSeries } from "./rollout-series.tsx";
import { isUndoPhase, Steps } from "./rollout-steps.tsx";

export function RolloutPage({ kind, namespace, name }: Required<RouteParameters>): JSX.Element {
  // In a link, `-` may stand for no namespace.
  const inNamespace = namespace === "-" ? "" : namespace;
  const live = useLive("rollout", {
    kind: kind === "MeshUpgrade" ? "MeshUpgrade" : "Canary",
    namespace: inNamespace,
    name,
  });
  const head = live.head.value;
  return (
    <Page
      title={rolloutName({ namespace: inNamespace, name })}
      crumbs={[{ title: "Rollouts", path: ["rollouts"] }]}
      live={live}
      subtitle={head === undefined ? kind : <Summary head={head} kind={kind} />}
      tools={head === undefined ? undefined : <RolloutActions head={head} problem={live.problem.value} />}
    >
      {head === undefined ? undefined : <Content head={head} live={live} />}
    </Page>
  );
}

function Summary({ head, kind }: { readonly head: RolloutHead; readonly kind: string }): JSX.Element {
  const { row, run } = head;
  return (
    <span class="row">
      <PhaseMark phase={row.phase} />
      {row.waitsForPerson ? <PersonTag row={row} /> : undefined}
      <span>
        {kind} of {row.target}
      </span>
      {run === 0 ? undefined : <span>run {run}</span>}
      {row.startedAtMs === undefined ? undefined : (
        <span>
          {row.endedAtMs === undefined ? (
            <>
              began <Age atMs={row.startedAtMs} />
            </>
          ) : (
            `took ${formatDuration(row.endedAtMs - row.startedAtMs)}`
          )}
        </span>
      )}
    </span>
  );
}

function Content({ head, live }: { readonly head: RolloutHead; readonly live: Live<"rollout"> }): JSX.Element {
  const checks = live.table("checks").value;
  return (
    <>
      <Notices head={head} />
      <div class="rollout-columns">
        <Steps steps={live.table("steps").value} approvals={head.approvals} run={head.run} phase={head.row.phase} />
        <div class="stack rollout-now">
          <CurrentStep currentStep={head.currentStep} checks={checks} phase={head.row.phase} />
          {head.canaryBackend === "" && head.stableBackend === "" ? undefined : (
            <RolloutSeries head={head} checks={checks} />
          )}
        </div>
      </div>
      <History head={head} live={live} />
    </>
  );
}

/** Says why the rollout failed, or what it is doing, and whether it is being undone. */
function Notices({ head: { row, undo } }: { readonly head: RolloutHead }): JSX.Element {
  return (
    <>
      {row.cause === "" ? undefined : (
        <Notice tone="bad">
          <strong>{row.phase === "Stuck" ? "Stuck: " : "Rolled back: "}</strong>
          {row.cause}
        </Notice>
      )}
      {row.cause !== "" || row.message === "" ? undefined : (
        <Notice
          tone={row.waitsForPerson ? "warn" : row.phase === "Completed" ? "good" : "info"}
          live={announcesMessage(row)}
        >
          {row.message}
        </Notice>
      )}
      {undo === undefined ? undefined : row.phase === "RolledBack" ? (
        <Notice tone="info">
          Everything was put back at <Moment atMs={Date.parse(undo.startedAt)} />, in{" "}
          {undo.elapsedMs < 1000 ? "less than 1 s" : formatDuration(undo.elapsedMs)}.
        </Notice>
      ) : (
        <Notice tone="warn">
          Being undone since <Moment atMs={Date.parse(undo.startedAt)} />, for {formatDuration(undo.elapsedMs)}.
          {undo.waitingFor.length === 0 ? "" : ` Waits for ${undo.waitingFor.join("; ")}.`}
        </Notice>
      )}
    </>
  );
}

function CurrentStep({
  currentStep,
  checks,
  phase,
}: {
  readonly currentStep: RolloutHead["currentStep"];
  readonly checks: RolloutView["tables"]["checks"];
  readonly phase: string;
}): JSX.Element {
  const waitingFor = currentStep?.waitingFor ?? [];
  const isStopped = isUndoPhase(phase);
  return (
    <section class="card" aria-label={isStopped ? "The step at which it stopped" : "The step under way"}>
      <div class="card-head">
        <h2>{currentStep === undefined ? "No step is under way" : currentStep.title}</h2>
        {currentStep === undefined ? undefined : (
          <span class="muted small">
            {isStopped ? "the rollout stopped at this step" : <StepProgress step={currentStep} phase={phase} />}
          </span>
        )}
      </div>
      <WaitsFor names={waitingFor} />
      {waitingFor.length > 0 && Object.keys(checks).length === 0 ? undefined : (
        <Checks checks={checks} currentStep={currentStep?.id ?? ""} />
      )}
    </section>
  );
}

/** Shows how long the step has been settling or has been judged, and when its time ends. */
function StepProgress({
  step,
  phase,
}: {
  readonly step: NonNullable<RolloutHead["currentStep"]>;
  readonly phase: string;
}): JSX.Element {
  const until = step.waitsUntil === undefined ? undefined : <Until atMs={Date.parse(step.waitsUntil)} />;
  if (step.settledAt !== undefined)
    return (
      <>
        settled <Age atMs={Date.parse(step.settledAt)} />; its checks count since then
        {until === undefined || phase !== "Judging" ? undefined : <>; without a new sample it is Stuck at {until}</>}
        {until === undefined || phase !== "Soaking" ? undefined : <>; ends at {until}</>}
      </>
    );
  return (
    <>
      has been settling for <Age atMs={Date.parse(step.startedAt)} ago={false} />
      {until === undefined ? undefined : <>; fails at {until} unless it makes progress</>}
    </>
  );
}

function WaitsFor({ names }: { readonly names: readonly string[] }): JSX.Element | null {
  if (names.length === 0) return null;
  return (
    <ul class="waits card-body" aria-label="What it waits for">
      {names.map((name) => (
        <li key={name}>
          <Mark tone="warn">waits for</Mark> {name}
        </li>
      ))}
    </ul>
  );
}

function History({ head, live }: { readonly head: RolloutHead; readonly live: Live<"rollout"> }): JSX.Element {
  const tab = place.value.query["tab"] ?? "decisions";
  return (
    <section class="card card-body" aria-label="History and object">
      <Tabs
        label="History and object"
        chosen={tab}
        onChoose={(key) => setQuery({ tab: key })}
        tabs={[
          {
            key: "decisions",
            title: "Decisions",
            content: () => <Decisions decisions={live.table("decisions").value} head={head} />,
          },
          { key: "events", title: "Events", content: () => <Events events={live.table("events").value} /> },
          {
            key: "approvals",
            title: "Approvals",
            content: () => <Approvals approvals={head.approvals} steps={live.table("steps").value} />,
          },
          { key: "yaml", title: "YAML", content: () => <YamlBlock yaml={head.yaml} label="The object as YAML" /> },
        ]}
      />
    </section>
  );
}

function Approvals({
  approvals,
  steps,
}: {
  readonly approvals: RolloutHead["approvals"];
  readonly steps: RolloutView["tables"]["steps"];
}): JSX.Element {
  const titles = new Map(Object.values(steps).map(({ id, title }) => [id, title]));
  if (approvals.length === 0)
    return (
      <Empty title="No step has been approved yet">
        An approval lets a step that waits for one begin; who gave it and why is kept here.
      </Empty>
    );
  return (
    <ul class="history">
      {approvals.map(({ step, by, why, atMs }) => (
        <li key={`${step}${by}${atMs}`}>
          <span class="history-time">
            <Moment atMs={atMs} />
          </span>
          <Mark tone="good">{titles.get(step) ?? step}</Mark>
          <span>
            by <strong>{by}</strong>
            {why === "" ? "" : `: ${why}`}
          </span>
        </li>
      ))}
    </ul>
  );
}
