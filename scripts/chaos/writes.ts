// Writes objects, and checks that the API server still has those that it acknowledged.
import { configMapKind } from "../../src/api/kubernetes/index.ts";
import { inTime, untilDone, type Chaos } from "./chaos.ts";

const namespace = "default";
const label = "serin-chaos";
const everyMs = 200;
/** The time limit of one write. A later answer does not count as an acknowledgement. */
const limitMs = 5_000;
/** More than a run of a day writes. */
const maxWrites = 500_000;

export class AcknowledgedWrites {
  readonly #chaos: Chaos;
  readonly #acknowledged: string[] = [];

  constructor(chaos: Chaos) {
    this.#chaos = chaos;
  }

  get count(): number {
    return this.#acknowledged.length;
  }

  /** Writes until the signal aborts. Never throws. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#chaos;
    for (let number = 1; !signal.aborted && number <= maxWrites; number += 1) {
      const name = `write-${number}`;
      try {
        await inTime(name, limitMs, async () => await this.#write(name), signal);
        this.#acknowledged.push(name);
        await clock.sleep(everyMs, signal);
      } catch {
        // The write was refused or interrupted, or the run has ended, so it is not acknowledged.
        await clock.sleep(everyMs);
      }
    }
  }

  async #write(name: string): Promise<void> {
    await this.#chaos.proof.lab.api.client.create(configMapKind, {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name, namespace, labels: { [label]: "write" } },
      data: { name },
    });
  }

  /**
   * Returns the acknowledged writes that the API server no longer has. Repeats the question until it is answered or the
   * signal aborts.
   */
  async lost(signal: AbortSignal): Promise<readonly string[]> {
    const { proof, clock } = this.#chaos;
    const options = { namespace, labelSelector: `${label}=write` };
    const { items } = await untilDone(
      clock,
      signal,
      async () =>
        await inTime("the list", limitMs, async () => await proof.lab.api.client.list(configMapKind, options)),
    );
    return lostOf(
      this.#acknowledged,
      items.map(({ data }) => data?.["name"]),
    );
  }
}

/** The acknowledged writes that are missing. */
export function lostOf(acknowledged: readonly string[], there: readonly (string | undefined)[]): readonly string[] {
  const found = new Set(there);
  return acknowledged.filter((name) => !found.has(name));
}
