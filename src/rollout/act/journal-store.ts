import { BoundedCache, jsonEqualWithoutNulls, userError, type Clock } from "../../base/index.ts";
import { fieldManager, isEngine, whoWrote } from "../../api/serin/field-managers/index.ts";
import {
  entriesSumAnnotation,
  journalFormatVersion,
  journalOwnerAnnotation,
  rolloutCommand,
  rolloutGroup,
  rolloutJournalKind,
  rolloutVersion,
  type DecisionRecord,
  type JournalEntry,
  type RolloutJournal,
} from "../../api/serin/index.ts";
import type { KubeClient } from "../../kube/index.ts";
import { fieldEntries, type FieldEntry, type FieldOfObject } from "../decide/index.ts";
import { changedJournal, changeOfEntries, sumOf, undoSumOf } from "./journal-sum.ts";
import { covers } from "./object-access.ts";
import type { OtherRollout } from "./undo-context.ts";
import { boundedDecisions, clipped, maxDecisionBytes, sizeOf } from "./bounded-decisions.ts";
import { faultOfEntries } from "./fault-of-entries.ts";
import { entryKey, withEntries, withLater, withoutRun, withPrior, withStored, withUid } from "./journal-entries.ts";

/**
 * How long the engine uses a journal before it reads it again. Only the leading engine writes journals, so a kept one
 * is outdated only if a person changed or removed it.
 */
const keptMs = 2000;
const maxKept = 256;
/** The number of journals in one response. Each may be as large as the API server allows. */
const pageSize = 5;

/**
 * The maximum size of a journal's entries. Together with the journal's decisions they stay below the largest object
 * that an API server stores (1.5 MiB by etcd's default).
 */
const maxEntryBytes = 900 * 1024;
const maxJournalBytes = maxEntryBytes + maxDecisionBytes;

/**
 * How long the engine uses its finding which other rollout wrote a field. A stuck undo needs it every second, and the
 * journals of a cluster may be large.
 */
const otherKeptMs = 30_000;
const maxOthers = 64;

export interface StoredJournal {
  readonly entries: readonly JournalEntry[];
  readonly decisions: readonly DecisionRecord[];
  /** See {@link journalOwnerAnnotation}. */
  readonly uid?: string;
  readonly missing?: true;
  /** See {@link undoSumOf}. */
  readonly undoSum?: string;
  /**
   * The user who last wrote the entries. Absent if the engine wrote them last, or if a person has accepted the change.
   */
  readonly writer?: string;
}

interface Kept {
  /** The journal's last content, even if somebody has deleted the journal since. */
  readonly known: RolloutJournal | undefined;
  /** The content before the last write, if that write was not the engine's. See {@link JournalStore.refuse}. */
  readonly former?: RolloutJournal;
  readonly exists: boolean;
  /** When the engine read or wrote it. Undefined if it must read it again. */
  readonly atMs: number | undefined;
}

interface KeptOther {
  readonly found: unknown;
  readonly other: string | undefined;
  readonly atMs: number;
}

/**
 * Reads and writes the journals of rollouts. A journal is a separate object, so that it outlives the engine, the
 * rollout's status and the rollout.
 */
export class JournalStore {
  readonly #client: KubeClient;
  readonly #clock: Clock;
  readonly #kept = new BoundedCache<string, Kept>(maxKept);
  readonly #others = new BoundedCache<string, KeptOther>(maxOthers);

  constructor(client: KubeClient, clock: Clock) {
    this.#client = client;
    this.#clock = clock;
  }

  /**
   * Throws a user error if a newer engine wrote the journal, if its entries are invalid, or if somebody has changed
   * them.
   */
  async read(name: string): Promise<StoredJournal> {
    const journal = await this.#load(name);
    const { entries = [], decisions = [] } = journal ?? {};
    const uid = journal?.metadata.annotations?.[journalOwnerAnnotation];
    const writer = journal === undefined ? undefined : strangerOf(journal);
    return {
      entries,
      decisions,
      undoSum: undoSumOf(entries),
      ...(writer === undefined ? {} : { writer }),
      ...(uid === undefined ? {} : { uid }),
      ...(journal === undefined ? { missing: true } : {}),
    };
  }

  /**
   * Forgets the content that was read last, because it is not this rollout's. {@link writeAgain} then uses the content
   * before it.
   */
  refuse(name: string): void {
    const kept = this.#kept.get(name);
    if (kept !== undefined) this.#kept.set(name, { known: kept.former, exists: kept.exists, atMs: undefined });
  }

  /**
   * Writes a journal again that somebody has deleted, if this engine knows its content. `uid` is that of the rollout.
   * If the journal's owner is another rollout of the same name, nothing is written.
   */
  async writeAgain(name: string, uid: string | undefined): Promise<void> {
    const known = this.#kept.get(name)?.known;
    const annotations = known?.metadata.annotations;
    if (known === undefined || uid === undefined || annotations?.[journalOwnerAnnotation] !== uid) return;
    const record = {
      at: new Date(this.#clock.nowMs()).toISOString(),
      run: known.decisions?.at(-1)?.run ?? 0,
      decision: "JournalWritten",
      message: "somebody deleted the journal, and the engine has written it again from its memory",
    };
    const { decisions = [], entries } = known;
    await this.#store(name, { metadata: { name, annotations }, decisions }, entries, [record]);
  }

  /**
   * Stores decisions, and entries before the writes that they describe. An existing entry keeps its prior value, which
   * undo must restore, and gets the new written value of an edited plan. `uid` is that of the rollout. It becomes the
   * journal's owner unless the journal already has entries.
   */
  async append(
    name: string,
    added: readonly JournalEntry[],
    decisions: readonly DecisionRecord[],
    uid?: string,
  ): Promise<void> {
    if (added.length === 0 && decisions.length === 0) return;
    // Somebody may have deleted the journal since the round read it.
    if ((await this.#load(name)) === undefined) await this.writeAgain(name, uid);
    const journal = await this.#load(name);
    const before = journal?.entries ?? [];
    const entries = withEntries(before, added);
    const isChanged = entries.some((entry, index) => entry !== before[index]);
    if (!isChanged && decisions.length === 0) return;
    if (isChanged && sizeOf(entries) > maxEntryBytes) {
      throw userError(
        "journal-full",
        `the journal ${name} would have ${entries.length} entries of more than ${maxEntryBytes / 1024} KiB, and the engine writes only what it can journal`,
        {
          hint: "undo it or let it end, and move the rest with another rollout: fewer namespaces, or a smaller scope",
        },
      );
    }
    await this.#store(name, withOwner(name, journal, uid), entries, decisions);
  }

  /**
   * Stores a value that undo is about to overwrite, so that undo can write it back at its end. Old decisions are
   * dropped if the journal has no space for the value. Throws a user error if the journal is too large even without
   * them.
   */
  async keepLater(name: string, entry: JournalEntry, later: unknown): Promise<void> {
    const journal = await this.#load(name);
    if (journal === undefined) return;
    const entries = withLater(journal.entries, entry, later);
    const tooMany = sizeOf(entries) - maxJournalBytes;
    if (tooMany > 0)
      throw userError(
        "journal-full",
        `the value that somebody wrote meanwhile does not fit in the journal ${name}, which must keep it until the undo has ended: it is ${kibibytes(tooMany)} KiB too large; write one of at most ${kibibytes(sizeOf(later) - tooMany)} KiB, and write the large one after the undo`,
      );
    await this.#store(name, journal, entries, []);
  }

  async keepStored(
    name: string,
    field: FieldOfObject,
    lists: { readonly written: unknown; readonly stored: unknown },
  ): Promise<void> {
    const journal = await this.#load(name);
    if (journal === undefined) return;
    const entries = withStored(journal.entries, field, lists);
    // A list that does not fit is not stored. The only consequence: undo reports an edit by another writer as a
    // conflict.
    if (entries !== journal.entries && sizeOf(entries) <= maxEntryBytes) await this.#store(name, journal, entries, []);
  }

  /** Replaces the prior value of a field in all of the field's entries that have the same prior value as this entry. */
  async replacePrior(name: string, entry: JournalEntry, prior: unknown): Promise<void> {
    const journal = await this.#load(name);
    if (journal !== undefined) await this.#store(name, journal, withPrior(journal.entries, entry, prior), []);
  }

  /** Stores that undo has given new pods to a recreated object, which has this uid. */
  async keepRemade(name: string, entry: JournalEntry, uid: string): Promise<void> {
    const journal = await this.#load(name);
    if (journal !== undefined) await this.#store(name, journal, withUid(journal.entries, entry, uid), []);
  }

  /**
   * Another rollout that wrote the field's present value. All rollouts write as the same field manager, so only their
   * journals show which of them wrote. `entry` is this rollout's first entry of the field. A journal has no times, so
   * the entry's prior value tells which rollouts wrote the field before this one.
   */
  async otherRollout(name: string, entry: FieldEntry, found: unknown): Promise<OtherRollout | undefined> {
    const key = `${name} ${entryKey(entry)}`;
    const kept = this.#others.get(key);
    const before = kept !== undefined && jsonEqualWithoutNulls(kept.found, found) ? kept : undefined;
    const nowMs = this.#clock.steadyMs();
    if (before === undefined || nowMs - before.atMs >= otherKeptMs) {
      const other = await this.#findOther(name, entry, found, before?.other);
      this.#others.set(key, { found, other, atMs: nowMs });
      return other === undefined ? undefined : rolloutOf(other);
    }
    return before.other === undefined ? undefined : rolloutOf(before.other);
  }

  /**
   * The name of the other rollout's journal. Reads all journals only if `before`, the result of the last call, no
   * longer has the value.
   */
  async #findOther(
    name: string,
    entry: FieldEntry,
    found: unknown,
    before: string | undefined,
  ): Promise<string | undefined> {
    // A person may have written a journal without entries.
    const hasWritten = ({
      metadata,
      entries = [],
    }: Pick<RolloutJournal, "metadata"> & Partial<RolloutJournal>): boolean => {
      const last = fieldEntries(entries, entry).at(-1);
      if (metadata.name === name || last === undefined || !covers(found, last.written)) return false;
      // If this rollout found the other rollout's value when it began, the other one wrote earlier.
      return !covers(entry.prior, last.written);
    };
    const known = before === undefined ? undefined : await this.#client.get(rolloutJournalKind, before);
    if (known !== undefined && hasWritten(known)) return before;
    const { items } = await this.#client.list(rolloutJournalKind, { pageSize });
    return items.find(hasWritten)?.metadata.name;
  }

  /** Removes entries that were undone, or whose changes stay for good. */
  async strike(name: string, isStruck: (entry: JournalEntry) => boolean): Promise<void> {
    await this.#shorten(name, (entries) => entries.filter((entry) => !isStruck(entry)));
  }

  /** Keeps the changes of a run for good. See {@link withoutRun}. */
  async forgetRun(name: string): Promise<void> {
    await this.#shorten(name, withoutRun);
  }

  async #shorten(name: string, shorten: (entries: readonly JournalEntry[]) => readonly JournalEntry[]): Promise<void> {
    const journal = await this.#load(name);
    const entries = journal?.entries ?? [];
    const left = shorten(entries);
    if (left.length !== entries.length && journal !== undefined) await this.#store(name, journal, left, []);
  }

  async #load(name: string): Promise<RolloutJournal | undefined> {
    const kept = this.#kept.get(name);
    if (kept?.atMs !== undefined && this.#clock.steadyMs() - kept.atMs < keptMs)
      return kept.exists ? kept.known : undefined;
    const journal = await this.#client.get(rolloutJournalKind, name);
    if (journal !== undefined && journal.formatVersion > journalFormatVersion) {
      throw userError(
        "journal-newer",
        `the journal ${name} has format ${journal.formatVersion}, and this engine reads format ${journalFormatVersion}`,
        {
          hint: "run the release of the engine that began this rollout, or a later one",
        },
      );
    }
    const fault = journal === undefined ? undefined : faultOfEntries(journal.entries);
    if (fault !== undefined)
      throw userError("journal-broken", `RolloutJournal ${name}: ${fault}`, {
        hint: "restore the RolloutJournal from a backup, or correct the field",
      });
    if (journal !== undefined && journal.metadata.resourceVersion !== kept?.known?.metadata.resourceVersion) {
      const change = changeOfEntries(journal, kept?.known?.entries);
      if (change !== undefined) throw changedJournal(name, change);
    }
    this.#keep(name, journal);
    return journal;
  }

  #keep(name: string, journal: RolloutJournal | undefined): void {
    const kept = this.#kept.get(name);
    const known = journal ?? kept?.known;
    const isNew = journal !== undefined && journal.metadata.resourceVersion !== kept?.known?.metadata.resourceVersion;
    const former = isNew ? (strangerOf(journal) === undefined ? undefined : kept?.known) : kept?.former;
    this.#kept.set(name, {
      known,
      ...(former === undefined ? {} : { former }),
      exists: journal !== undefined,
      atMs: this.#clock.steadyMs(),
    });
  }

  async #store(
    name: string,
    before: Pick<RolloutJournal, "metadata" | "decisions">,
    entries: readonly JournalEntry[],
    added: readonly DecisionRecord[],
  ): Promise<void> {
    const decisions = boundedDecisions(
      [...(before.decisions ?? []), ...added.map(clipped)],
      Math.min(maxDecisionBytes, maxJournalBytes - sizeOf(entries)),
    );
    const metadata = {
      ...before.metadata,
      annotations: { ...before.metadata.annotations, [entriesSumAnnotation]: sumOf(entries) },
    };
    const body = {
      metadata,
      apiVersion: `${rolloutGroup}/${rolloutVersion}`,
      kind: "RolloutJournal",
      formatVersion: journalFormatVersion,
      entries,
      decisions,
    };
    // If the write fails, it may still have been stored, so the engine must read the journal again.
    const kept = this.#kept.get(name);
    if (kept !== undefined) this.#kept.set(name, { ...kept, atMs: undefined });
    const written =
      before.metadata.resourceVersion === undefined
        ? await this.#client.create(rolloutJournalKind, body, { fieldManager })
        : await this.#client.update(rolloutJournalKind, { ...before, ...body }, { fieldManager });
    this.#keep(name, written);
  }
}

/**
 * The user who wrote the entries last, if that was not the engine. A journal without the sum was accepted by a person.
 */
function strangerOf(journal: RolloutJournal): string | undefined {
  if (journal.metadata.annotations?.[entriesSumAnnotation] === undefined) return undefined;
  const who = whoWrote(journal, "/entries");
  return isEngine(who) ? undefined : (who ?? "somebody");
}

/** The journal, or a new one, with the rollout as its owner. A journal with entries keeps its owner. */
function withOwner(
  name: string,
  journal: RolloutJournal | undefined,
  uid: string | undefined,
): Pick<RolloutJournal, "metadata" | "decisions"> {
  const metadata = journal?.metadata ?? { name };
  if (uid === undefined || (journal?.entries.length ?? 0) > 0) return { ...journal, metadata };
  return {
    ...journal,
    metadata: { ...metadata, annotations: { ...metadata.annotations, [journalOwnerAnnotation]: uid } },
  };
}

/** The rollout of a journal's name, such as `canary.shop.web` or `meshupgrade.next`. */
function rolloutOf(name: string): OtherRollout {
  const [kind, ...rest] = name.split(".");
  const isCanary = kind === "canary";
  const [namespace = "", ...names] = isCanary ? rest : ["", ...rest];
  const metadata = { name: names.join("."), ...(isCanary ? { namespace } : {}) };
  return {
    name: isCanary ? `Canary ${namespace}/${metadata.name}` : `MeshUpgrade ${metadata.name}`,
    undo: rolloutCommand(isCanary ? "Canary" : "MeshUpgrade", { metadata }, "rollback"),
  };
}

function kibibytes(bytes: number): number {
  return Math.ceil(bytes / 1024);
}
