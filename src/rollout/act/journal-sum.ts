import { createHash } from "node:crypto";
import { canonicalJsonWithoutNulls, counted, firstNames } from "../../base/index.ts";
import { isEngine, whoWrote } from "../../api/serin/field-managers/index.ts";
import { entriesSumAnnotation, type JournalEntry, type RolloutJournal } from "../../api/serin/index.ts";
import { describeReference } from "../decide/index.ts";

const namesShown = 5;

/**
 * The number of entries and their digest, as a journal's annotation has it. Fields that are null do not count, because
 * the API server may drop them.
 */
export function sumOf(entries: readonly JournalEntry[]): string {
  const digest = createHash("sha256").update(canonicalJsonWithoutNulls(entries)).digest("hex");
  return `${entries.length} ${digest.slice(0, 16)}`;
}

/**
 * Who has changed the entries of a journal since the engine wrote them, and how. Undefined if nobody has. An engine of
 * an earlier release writes no sum, and leaves that of a later one, so its writes do not count. `known`: the entries as
 * this engine has read or written them last, if it has.
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
