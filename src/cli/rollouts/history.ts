import type { KindDefinition } from "../../api/index.ts";
import {
  changesLeft,
  messageWithoutEvidence,
  rolloutJournalKind,
  storedJournal,
  type DecisionRecord,
} from "../../api/serin/index.ts";
import { jsonText, userError } from "../../base/index.ts";
import type { CliContext } from "../context.ts";
import { renderValue } from "../terminal/output.ts";
import type { Rollout, RolloutFlags } from "./rollout-objects.ts";

export interface HistoryFlags extends RolloutFlags {
  readonly output?: string;
  readonly json?: boolean;
  readonly run?: number;
}

export function runFlag(value: string): number {
  if (!/^\d+$/.test(value))
    throw userError("argument-invalid", `expected the number of a run, such as 1, got "${value}"`);
  return Number(value);
}

/**
 * Shows all decisions about a rollout with their evidence. The journal outlives the rollout, so this works after its
 * deletion.
 */
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
  const journal = found[0] === undefined ? undefined : storedJournal(found[0]);
  if (found.length > 1)
    throw userError(
      "ambiguous",
      `a ${kind.kind} "${name}" has a history in ${found.length} namespaces: ${found.map(({ metadata }) => metadata.name?.split(".")[1] ?? "").join(", ")}`,
      { hint: "choose one with -n" },
    );
  if (journal === undefined)
    throw userError("not-found", `there is no history of a ${kind.kind} "${name}"`, {
      hint: "kubectl get rolloutjournals",
    });
  const all = journal.decisions ?? [];
  const runs = [...new Set(all.map(({ run }) => run))];
  if (flags.run !== undefined && !runs.includes(flags.run))
    throw userError("not-found", `the history of ${kind.kind} "${name}" has no run ${flags.run}`, {
      hint: runs.length === 0 ? "no decision has been made yet" : `it has the runs ${runs.join(", ")}`,
    });
  const decisions = all.filter(({ run }) => flags.run === undefined || run === flags.run);
  if (flags.output === "yaml") context.out(await renderValue({ rollout: name, decisions }, "yaml"));
  else if (flags.json === true || flags.output === "json") context.out(jsonText({ rollout: name, decisions }));
  else {
    context.out(renderHistory(decisions));
    const namespace = kind.namespaced ? journal.metadata.name?.split(".")[1] : undefined;
    const left = (await client.get(kind, name, namespace)) === undefined ? changesLeft(journal) : undefined;
    if (left !== undefined) context.out(`\n${left}\n`);
  }
}

/** One paragraph for each decision, the oldest first. A line separates runs. */
export function renderHistory(decisions: readonly DecisionRecord[]): string {
  const lines: string[] = [];
  let run = 0;
  for (const record of decisions) {
    const { at, run: ofRun, decision, step, by, evidence = [] } = record;
    if (ofRun !== run) lines.push(...(lines.length === 0 ? [] : [""]), `run ${ofRun}`);
    run = ofRun;
    const who = by === undefined || by === "" ? "" : ` by ${by}`;
    lines.push(
      `  ${at.replace(/\.\d+Z$/, "Z")}  ${decision}${who}${step === undefined ? "" : `  [${step}]`}  ${messageWithoutEvidence(record)}`,
    );
    for (const line of evidence) lines.push(`      ${line}`);
  }
  return lines.length === 0 ? "no decision has been made yet\n" : `${lines.join("\n")}\n`;
}
