import type { KindDefinition } from "../../api/index.ts";
import { rolloutJournalKind, type DecisionRecord } from "../../api/serin/index.ts";
import { userError } from "../../base/index.ts";
import type { CliContext } from "../context.ts";
import type { Rollout, RolloutFlags } from "./rollout-objects.ts";

export interface HistoryFlags extends RolloutFlags {
  readonly json?: boolean;
  readonly run?: number;
}

/** Shows all decisions of a rollout with their evidence, even after its deletion, because the journal stays. */
export async function showHistory<Value extends Rollout>(
  kind: KindDefinition<Value>,
  name: string,
  flags: HistoryFlags,
  context: CliContext,
): Promise<void> {
  const client = await context.connect(flags);
  const { items } = await client.list(rolloutJournalKind);
  const prefix = kind.kind.toLowerCase();
  const wanted = (journal: string): boolean => {
    const [journalKind, ...rest] = journal.split(".");
    if (journalKind !== prefix) return false;
    if (!kind.namespaced) return rest.join(".") === name;
    return rest.slice(1).join(".") === name && (flags.namespace === undefined || rest[0] === flags.namespace);
  };
  const found = items.filter(({ metadata }) => wanted(metadata.name ?? ""));
  const [journal] = found;
  if (found.length > 1)
    throw userError(
      "ambiguous",
      `${found.length} namespaces have had a ${kind.kind} "${name}": ${found.map(({ metadata }) => metadata.name?.split(".")[1] ?? "").join(", ")}`,
      { hint: "choose one with -n" },
    );
  if (journal === undefined)
    throw userError("not-found", `there is no history of a ${kind.kind} "${name}"`, {
      hint: "kubectl get rolloutjournals",
    });
  const decisions = (journal.decisions ?? []).filter(({ run }) => flags.run === undefined || run === flags.run);
  context.out(flags.json === true ? `${JSON.stringify({ rollout: name, decisions })}\n` : renderHistory(decisions));
}

/** One paragraph for each decision, oldest first. Runs are separated. */
export function renderHistory(decisions: readonly DecisionRecord[]): string {
  const lines: string[] = [];
  let run = 0;
  for (const { at, run: ofRun, decision, step, message, by, evidence = [] } of decisions) {
    if (ofRun !== run) lines.push(...(lines.length === 0 ? [] : [""]), `run ${ofRun}`);
    run = ofRun;
    const who = by === undefined || by === "" ? "" : ` by ${by}`;
    lines.push(
      `  ${at.replace(/\.\d+Z$/, "Z")}  ${decision}${who}${step === undefined ? "" : `  [${step}]`}  ${message}`,
    );
    for (const line of evidence) lines.push(`      ${line}`);
  }
  return lines.length === 0 ? "nothing has been decided yet\n" : `${lines.join("\n")}\n`;
}
