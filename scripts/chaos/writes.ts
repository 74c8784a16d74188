// Writes that the API server has acknowledged, and whether it still has them.
import { configMapKind } from "../../src/api/kubernetes/index.ts";
import { inTime, untilDone, type Chaos } from "./chaos.ts";

const namespace = "default";
const label = "serin-chaos";
const everyMs = 200;
/** Of one write. What is answered later is not acknowledged. */
const limitMs = 5_000;
/** More than a run of a day makes. */
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
        // Refused, cut off, or the run's end: not acknowledged.
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

  /** The names of those that the API server no longer has. Asks until it answers or the signal aborts. */
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

/** Those that were acknowledged and are not there. */
export function lostOf(acknowledged: readonly string[], there: readonly (string | undefined)[]): readonly string[] {
  const found = new Set(there);
  return acknowledged.filter((name) => !found.has(name));
}
