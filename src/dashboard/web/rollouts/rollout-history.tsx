import type { JSX } from "preact";
import type { RolloutHead, RolloutRow, RolloutView } from "../../../api/dashboard/index.ts";
import { CommandLine, Empty, Mark, Moment, type IconName, type Tone } from "../components/index.ts";
import { countOf } from "../format.ts";

const decisionMarks: Readonly<Record<string, { readonly tone: Tone; readonly icon: IconName }>> = {
  StepStarted: { tone: "info", icon: "moving" },
  StepDone: { tone: "good", icon: "good" },
  Approved: { tone: "good", icon: "user" },
  Paused: { tone: "warn", icon: "paused" },
  Resumed: { tone: "info", icon: "moving" },
  RollingBack: { tone: "warn", icon: "undone" },
  Undone: { tone: "warn", icon: "undone" },
  RolledBack: { tone: "bad", icon: "undone" },
  Completed: { tone: "good", icon: "good" },
  Stuck: { tone: "bad", icon: "bad" },
  Waiting: { tone: "warn", icon: "paused" },
  Held: { tone: "warn", icon: "paused" },
};

export function Decisions({
  decisions,
  head: { row, olderDecisions },
}: {
  readonly decisions: RolloutView["tables"]["decisions"];
  readonly head: RolloutHead;
}): JSX.Element {
  const ordered = Object.entries(decisions).sort(
    ([keyA, a], [keyB, b]) => b.at.localeCompare(a.at) || keyB.localeCompare(keyA),
  );
  if (ordered.length === 0)
    return <Empty title="No decision has been made yet">The engine records each decision with its evidence.</Empty>;
  return (
    <ol class="history">
      {ordered.map(([key, { at, run, decision, step, message, by, evidence }]) => (
        <li key={key}>
          <span class="history-time">
            <Moment atMs={Date.parse(at)} />
          </span>
          <Mark {...(decisionMarks[decision] ?? { tone: "idle", icon: "info" })}>{decision}</Mark>
          <div>
            {message} {by === undefined ? undefined : <span class="muted">by {by}</span>}{" "}
            <span class="muted small">
              {step === undefined ? "" : `${step}, `}run {run}
            </span>
            {evidence === undefined || evidence.length === 0 ? undefined : (
              <ul class="small muted">
                {evidence.map((text) => (
                  <li key={text}>{text}</li>
                ))}
              </ul>
            )}
          </div>
        </li>
      ))}
      {olderDecisions === 0 ? undefined : (
        <li>
          <div>
            <span class="muted">and {countOf(olderDecisions, "older decision")}, which this command prints</span>
            <CommandLine command={historyCommand(row)} />
          </div>
        </li>
      )}
    </ol>
  );
}

function historyCommand({ kind, namespace, name }: RolloutRow): string {
  return kind === "MeshUpgrade" ? `serin upgrade history ${name}` : `serin canary history ${name} -n ${namespace}`;
}

export function Events({ events }: { readonly events: RolloutView["tables"]["events"] }): JSX.Element {
  const ordered = Object.entries(events).sort(([, a], [, b]) => b.atMs - a.atMs);
  if (ordered.length === 0) return <Empty title="No events">Kubernetes keeps events for an hour.</Empty>;
  return (
    <ol class="history">
      {ordered.map(([key, { atMs, type, reason, message, count, object }]) => (
        <li key={key}>
          <span class="history-time">
            <Moment atMs={atMs} />
          </span>
          <Mark tone={type === "Warning" ? "warn" : "info"}>{reason}</Mark>
          <div>
            {message}{" "}
            <span class="muted small">
              {count > 1 ? `${count} times, ` : ""}
              {object}
            </span>
          </div>
        </li>
      ))}
    </ol>
  );
}
