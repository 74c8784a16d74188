import { createHash } from "node:crypto";
import { canonicalJsonWithoutNulls, counted, firstNames, userError } from "../../base/index.ts";
import { isEngine, whoWrote } from "../../api/serin/field-managers/index.ts";
import {
  entriesSumAnnotation,
  type DecisionRecord,
  type JournalEntry,
  type RolloutJournal,
  type RolloutStatus,
} from "../../api/serin/index.ts";
import { describeReference, storedKey } from "../decide/index.ts";

const namesShown = 5;

/**
 * The number of entries and their digest, for the journal's annotation. The digest leaves out fields that are null,
 * because the API server may drop them.
 */
export function sumOf(entries: readonly JournalEntry[]): string {
  const digest = createHash("sha256").update(canonicalJsonWithoutNulls(entries)).digest("hex");
  return `${entries.length} ${digest.slice(0, 16)}`;
}

/**
 * Who has changed the entries of a journal since the engine wrote them, and how. Undefined if nobody has, or if a
 * person has accepted the change by removing the sum. An engine of an earlier release writes entries without updating
 * the sum, so its writes are not reported. `known`: the entries as this engine read or wrote them last, if it did.
 */
export function changeOfEntries(
  journal: RolloutJournal,
  known: readonly JournalEntry[] | undefined,
): string | undefined {
  // A person may have written a journal without entries.
  const entries = (journal.entries as readonly JournalEntry[] | undefined) ?? [];
  const sum = journal.metadata.annotations?.[entriesSumAnnotation];
  if (sum === undefined || sum === sumOf(entries)) return undefined;
  const who = whoWrote(journal, "/entries");
  if (isEngine(who)) return undefined;
  const [count = ""] = sum.split(" ");
  const has = `it has ${counted(entries.length, "entry", "entries")}, and the engine wrote ${count}`;
  const which = known === undefined || sumOf(known) !== sum ? [] : differences(known, entries);
  return `${who ?? "somebody"} has changed its entries: ${which.length === 0 ? has : firstNames(which, namesShown)}`;
}

const undoSums = new WeakMap<readonly JournalEntry[], string>();

/**
 * The number and the digest of the values that an undo of the entries would restore: the first prior value of each
 * field, and the objects. Both stay the same while later steps write the same fields again.
 */
export function undoSumOf(entries: readonly JournalEntry[]): string {
  const known = undoSums.get(entries);
  if (known !== undefined) return known;
  const first = new Map<string, unknown>();
  for (const entry of entries) {
    const { type, object } = entry;
    const key = `${type} ${storedKey(object)}${type === "field" ? ` ${entry.pointer}` : ""}`;
    if (first.has(key)) continue;
    if (type === "field") first.set(key, [entry.prior, entry.later]);
    else first.set(key, type === "deleted" ? entry.body : true);
  }
  const digest = createHash("sha256")
    .update(canonicalJsonWithoutNulls([...first]))
    .digest("hex");
  const sum = `${first.size} ${digest.slice(0, 16)}`;
  undoSums.set(entries, sum);
  return sum;
}

/**
 * The user who has replaced the journal by another version of it, for example one from an older backup. The entries of
 * that version would restore other values, or fewer, than the rollout has changed. Returns undefined if nobody has. A
 * journal with more fields and objects than the status says is no replacement: a backup of a cluster reads rollouts
 * before journals, so its statuses are older. `last`: the sum from the rollout's status.
 */
export function replacementOfEntries(
  { undoSum, writer }: { readonly undoSum?: string; readonly writer?: string },
  last: string | undefined,
): string | undefined {
  if (writer === undefined || undoSum === undefined || last === undefined || last === undoSum) return undefined;
  const [has, had] = [undoSum, last].map((sum) => Number.parseInt(sum, 10)) as [number, number];
  if (!(has <= had)) return undefined;
  const values = has === had ? "with other values from before" : `and the rollout had changed ${had}`;
  return `${writer} has put back another state of it, which has changed its entries: they are of ${counted(has, "field or object", "fields and objects")}, ${values}`;
}

/**
 * The user who has put back the journal of an earlier run, for example from an older backup. Such entries say nothing
 * about what this run has changed, and the changes of the earlier run must stay. Returns undefined if nobody has.
 * Before the first entry of this run, the status has no sum to compare with. But a run stores decisions before entries,
 * so the last decision names the run of the entries. A run that has not started is not examined, because it forgets the
 * entries of the run before anyway.
 */
export function earlierRunOfEntries(
  {
    entries,
    decisions,
    writer,
  }: {
    readonly entries: readonly JournalEntry[];
    readonly decisions: readonly Pick<DecisionRecord, "run">[];
    readonly writer?: string;
  },
  { run = 0, startedAt }: Pick<RolloutStatus, "run" | "startedAt">,
): string | undefined {
  const last = decisions.at(-1)?.run;
  if (writer === undefined || startedAt === undefined || last === undefined || last >= run) return undefined;
  const count = entries.filter(({ setup }) => setup !== true).length;
  if (count === 0) return undefined;
  return `${writer} has put back the state that it had in run ${last}, with ${counted(count, "entry", "entries")} of that run, and the rollout is in run ${run}`;
}

export function changedJournal(name: string, change: string): Error {
  return userError("journal-changed", `RolloutJournal ${name}: ${change}`, {
    hint: `restore the RolloutJournal from a backup, or let the change count: kubectl annotate rolloutjournal ${name} ${entriesSumAnnotation}-`,
  });
}

/**
 * The error about a journal that somebody has replaced by one of an earlier run. `change` says who has, and how.
 * `hasEntries`: whether the present run has entries of its own. If it has none, it can go on with an empty journal.
 */
export function journalOfEarlierRun(
  name: string,
  change: string,
  { hasEntries }: { readonly hasEntries: boolean },
): Error {
  return userError("journal-changed", `RolloutJournal ${name}: ${change}`, {
    hint: hasEntries
      ? "restore the RolloutJournal of this run from a backup"
      : `this run has not changed anything yet, so delete the RolloutJournal: kubectl delete rolloutjournal ${name}`,
  });
}

function differences(before: readonly JournalEntry[], now: readonly JournalEntry[]): string[] {
  const texts = (entries: readonly JournalEntry[]): ReadonlyMap<string, string> =>
    new Map(entries.map((entry) => [nameOf(entry), canonicalJsonWithoutNulls(entry)]));
  const [had, has] = [texts(before), texts(now)];
  return [...new Set([...had.keys(), ...has.keys()])].flatMap((name) => {
    if (had.get(name) === has.get(name)) return [];
    return [`${name} was ${!has.has(name) ? "removed" : had.has(name) ? "changed" : "added"}`];
  });
}

function nameOf(entry: JournalEntry): string {
  const what = entry.type === "field" ? entry.pointer : `(${entry.type})`;
  return `${describeReference(entry.object)} ${what} of step ${entry.step}`;
}
