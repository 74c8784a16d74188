// Writes objects, and checks that the API server still has what it acknowledged.
import { configMapKind } from "../../src/api/kubernetes/index.ts";
import { isKubeCode } from "../../src/kube/index.ts";
import { inTime, untilDone, type Chaos } from "./chaos.ts";

const namespace = "default";
const label = "serin-chaos";
const everyMs = 200;
/** The time limit of one write. A write that is answered later does not count as acknowledged. */
const limitMs = 5_000;
/** The maximum number of writes. A run of a whole day makes fewer. */
const maxWrites = 500_000;
/**
 * The number of ConfigMaps that are written. One ConfigMap for each write would let the memory of all watchers grow.
 * With 200 of them, 40 seconds pass between two writes to the same one. That is enough time for a write without an
 * answer to be applied or lost.
 */
const writtenObjects = 200;

/** An object, and the number of a write to it. */
interface Written {
  readonly name: string;
  readonly number: number;
}

export class AcknowledgedWrites {
  readonly #chaos: Chaos;
  /** The number of the last acknowledged write, by the name of the object. */
  readonly #acknowledged = new Map<string, number>();
  #count = 0;

  constructor(chaos: Chaos) {
    this.#chaos = chaos;
  }

  get count(): number {
    return this.#count;
  }

  /** Writes until the signal aborts. Never throws. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#chaos;
    for (let number = 1; !signal.aborted && number <= maxWrites; number += 1) {
      const name = `write-${number % writtenObjects}`;
      try {
        await inTime(name, limitMs, async () => await this.#write({ name, number }), signal);
        this.#acknowledged.set(name, number);
        this.#count += 1;
        await clock.sleep(everyMs, signal);
      } catch {
        // The write failed, or the run has ended, so the write does not count as acknowledged.
        await clock.sleep(everyMs);
      }
    }
  }

  async #write({ name, number }: Written): Promise<void> {
    const { client } = this.#chaos.proof.lab.api;
    const data = { number: String(number) };
    if (this.#acknowledged.has(name)) {
      await client.patchMerge(configMapKind, name, namespace, { data });
      return;
    }
    try {
      await client.create(configMapKind, {
        apiVersion: "v1",
        kind: "ConfigMap",
        metadata: { name, namespace, labels: { [label]: "write" } },
        data,
      });
    } catch (error) {
      // An earlier creation got no answer, but it reached the server.
      if (!isKubeCode(error, "already-exists")) throw error;
      await client.patchMerge(configMapKind, name, namespace, { data });
    }
  }

  /**
   * Returns the acknowledged writes that the API server no longer has. Repeats its request until it gets an answer or
   * the signal aborts.
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
      items.map(({ metadata, data }) => ({ name: metadata.name ?? "", number: Number(data?.["number"] ?? 0) })),
    );
  }
}

/**
 * Returns the acknowledged writes that are missing. An object with a later number is correct: the API server applied a
 * later write, whose acknowledgement was lost.
 */
export function lostOf(acknowledged: ReadonlyMap<string, number>, there: readonly Written[]): readonly string[] {
  const found = new Map(there.map(({ name, number }) => [name, number]));
  return [...acknowledged].flatMap(([name, number]) =>
    (found.get(name) ?? 0) >= number
      ? []
      : `${name}: ${number} was acknowledged, ${found.get(name) ?? "nothing"} is there`,
  );
}
