import { userError } from "../../base/index.ts";
import { journalFormatVersion, rolloutGroup, rolloutJournalKind, rolloutVersion, type JournalEntry, type RolloutJournal } from "../../api/serin/index.ts";
import type { KubeClient } from "../../kube/index.ts";
import { referenceKey } from "../decide/index.ts";
import { fieldManager } from "./object-access.ts";

/** The journal of one rollout: an object of its own, so that it outlives the engine and the rollout's status. */
export class JournalStore {
  readonly #client: KubeClient;

  constructor(client: KubeClient) {
    this.#client = client;
  }

  /** Throws a user error when the journal was written by an engine that knows more than this one. */
  async read(name: string): Promise<readonly JournalEntry[]> {
    return (await this.#load(name))?.entries ?? [];
  }

  /** Stores the entries before anything that they speak of is written. What is there already stays: the first prior value counts. */
  async append(name: string, added: readonly JournalEntry[]): Promise<void> {
    const journal = await this.#load(name);
    const known = new Set(journal?.entries.map(entryKey));
    const entries = [...(journal?.entries ?? []), ...added.filter((entry) => !known.has(entryKey(entry)))];
    await this.#store(name, journal, entries);
  }

  async replace(name: string, entries: readonly JournalEntry[]): Promise<void> {
    await this.#store(name, await this.#load(name), entries);
  }

  async delete(name: string): Promise<void> {
    await this.#client.delete(rolloutJournalKind, name);
  }

  async #load(name: string): Promise<RolloutJournal | undefined> {
    const journal = await this.#client.get(rolloutJournalKind, name);
    if (journal !== undefined && journal.formatVersion > journalFormatVersion) {
      throw userError("journal-newer", `the journal ${name} has format ${journal.formatVersion}, this engine knows ${journalFormatVersion}`, {
        hint: "run the release of the engine that began this rollout, or a later one",
      });
    }
    return journal;
  }

  async #store(name: string, before: RolloutJournal | undefined, entries: readonly JournalEntry[]): Promise<void> {
    const body = { apiVersion: `${rolloutGroup}/${rolloutVersion}`, kind: "RolloutJournal", formatVersion: journalFormatVersion, entries };
    if (before === undefined) await this.#client.create(rolloutJournalKind, { ...body, metadata: { name } }, { fieldManager });
    else await this.#client.update(rolloutJournalKind, { ...before, ...body }, { fieldManager });
  }
}

/** One entry a step and field: doing a step again after a crash adds nothing. */
function entryKey(entry: JournalEntry): string {
  return `${entry.step} ${entry.type} ${referenceKey(entry.object)} ${entry.type === "field" ? entry.pointer : ""}`;
}
