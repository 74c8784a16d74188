import type { JSX } from "preact";
import type { RolloutHead, RolloutStep } from "../../../api/dashboard/index.ts";
import { Empty, Mark, Moment } from "../components/index.ts";
import { formatDuration } from "../format.ts";
import { weightWords } from "./rollout-order.ts";

export function Steps({
  steps,
  approvals,
  run,
  phase,
}: {
  readonly steps: Readonly<Record<string, RolloutStep>>;
  readonly approvals: RolloutHead["approvals"];
  readonly run: number;
  readonly phase: string;
}): JSX.Element {
  const ordered = Object.entries(steps).sort(([a], [b]) => a.localeCompare(b, "en", { numeric: true }));
  const done = ordered.filter(([, { state }]) => state === "done").length;
  return (
    <section class="card" aria-label="Steps">
      <div class="card-head">
        <h2>Steps</h2>
        <span class="muted small">
          {done} of {ordered.length} done{run > 1 ? `, run ${run}` : ""}
        </span>
      </div>
      {ordered.length === 0 ? (
        <Empty title="Not planned yet">
          {phase === "Stuck"
            ? "The engine cannot plan the steps until what it reports above is repaired."
            : "The engine plans the steps once it has read the object."}
        </Empty>
      ) : (
        <ol class="steps">
          {ordered.map(([key, step]) => (
            <Step
              key={key}
              step={step}
              isStopped={step.state === "current" && isUndoPhase(phase)}
              approval={approvals.find((approval) => approval.step === step.id)}
            />
          ))}
        </ol>
      )}
    </section>
  );
}

/** Whether the rollout is being undone or was undone, so that it does not continue with its step. */
export function isUndoPhase(phase: string): boolean {
  return phase === "RollingBack" || phase === "RolledBack";
}

function Step({
  step,
  isStopped,
  approval,
}: {
  readonly step: RolloutStep;
  readonly isStopped: boolean;
  readonly approval: RolloutHead["approvals"][number] | undefined;
}): JSX.Element {
  const { title, state, weight, completed } = step;
  return (
    <li class="step" data-state={state} aria-current={state === "current" && !isStopped ? "step" : undefined}>
      <span class="step-node">
        {isStopped ? (
          <Mark tone="bad" quiet>
            stopped here
          </Mark>
        ) : (
          <Mark
            tone={state === "done" ? "good" : state === "current" ? "info" : "idle"}
            icon={state === "done" ? "good" : state === "current" ? "moving" : "idle"}
            quiet
          >
            {state}
          </Mark>
        )}
      </span>
      <div class="step-body">
        <div class="spread">
          <span class="step-title">{title}</span>
          {completed === undefined ? undefined : (
            <span class="muted small nowrap">
              {formatDuration(Date.parse(completed.endedAt) - Date.parse(completed.startedAt))}
            </span>
          )}
        </div>
        {weight === undefined ? undefined : (
          <div class="weight" role="img" aria-label={weightWords(state, weight)}>
            <span class="weight-track">
              <i style={{ width: `${weight}%` }} />
            </span>
            <span class="weight-text small">{weight} %</span>
          </div>
        )}
        {approval === undefined ? undefined : (
          <div class="small muted">
            approved by {approval.by}
            {approval.why === "" ? "" : `: ${approval.why}`}
          </div>
        )}
        {completed === undefined || completed.evidence.length === 0 ? undefined : (
          <details class="evidence">
            <summary>
              Evidence <span class="count">{completed.evidence.length}</span>
            </summary>
            <ul>
              {completed.evidence.map((text) => (
                <li key={text}>{text}</li>
              ))}
            </ul>
            <span class="muted small">
              ended <Moment atMs={Date.parse(completed.endedAt)} />
            </span>
          </details>
        )}
      </div>
    </li>
  );
}
