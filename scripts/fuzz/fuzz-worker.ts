// Fuzzes one target in its own thread, so that a target that never ends can be terminated.
import { setImmediate as eventLoopTurn } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { parentPort, workerData } from "node:worker_threads";
import { seededRandom } from "../../src/base/random.ts";
import { Coverage } from "./coverage.ts";
import { dictionaryOf, Mutator } from "./mutate.ts";
import { defaultMaxBytes, loadTarget, readCorpus, type FuzzTarget } from "./target.ts";

export interface FuzzOrder {
  readonly name: string;
  readonly seed: number;
  readonly durationMs: number;
  /**
   * Two 32-bit numbers, which are the count of executions and the length of the running input, and then that input's
   * bytes.
   */
  readonly beat: SharedArrayBuffer;
}

export interface Finding {
  readonly kind: "crash" | "hang";
  readonly message: string;
  /** The input's bytes as hexadecimal digits. */
  readonly input: string;
}

export interface FuzzReport {
  readonly executions: number;
  readonly reached: number;
  readonly blocks: number;
  readonly findings: readonly Finding[];
  /** The heap's growth after the first third of the run, measured after garbage collection. */
  readonly grownBytes: number;
  /** A small set of inputs that together reach the whole coverage. */
  readonly corpus: readonly string[];
}

/** If an input takes more processor time of the thread than this, it is reported as a hang. */
const hangMs = 1000;
const maxFindings = 20;
const maxCorpus = 4000;
const maxKept = 80;
const maxKeptBytes = 1024;
const shrinkTries = 500;
const entryBytes = 400;
/** The number of executions in one turn of the event loop. Node frees some garbage only between turns. */
const executionsPerTurn = 256;

const order = workerData as FuzzOrder;
const executions = new Int32Array(order.beat, 0, 2);
const shownInput = new Uint8Array(order.beat, 8);

interface Entry {
  readonly input: Buffer;
  readonly features: Uint32Array;
}

class Fuzzer {
  readonly #target: FuzzTarget;
  readonly #coverage: Coverage;
  readonly #mutator: Mutator;
  readonly #entries: Entry[] = [];
  readonly #inputs: Buffer[] = [];
  readonly #findings = new Map<string, Finding>();
  /** The estimated bytes of heap that the entries take. */
  #heldBytes = 0;

  constructor(target: FuzzTarget, coverage: Coverage, mutator: Mutator) {
    this.#target = target;
    this.#coverage = coverage;
    this.#mutator = mutator;
  }

  async run(first: readonly Buffer[], durationMs: number): Promise<FuzzReport> {
    const start = performance.now();
    const middle = start + durationMs / 3;
    let heapBytes = 0;
    for (const input of first) await this.#try(input);
    for (let now = start; now < start + durationMs; now = performance.now()) {
      if (heapBytes === 0 && now > middle) heapBytes = (await usedBytes()) - this.#heldBytes;
      if ((executions[0] ?? 0) % executionsPerTurn === 0) await eventLoopTurn();
      const base = this.#inputs[this.#pick()] ?? Buffer.alloc(0);
      await this.#try(this.#mutator.mutate(base, this.#inputs));
    }
    const grownBytes = (await usedBytes()) - this.#heldBytes - heapBytes;
    return {
      executions: executions[0] ?? 0,
      reached: this.#coverage.reached,
      blocks: this.#coverage.blocks,
      findings: [...this.#findings.values()],
      grownBytes,
      corpus: this.#kept().map((input) => input.toString("latin1")),
    };
  }

  /**
   * Picks an input to change. A third of the picks are among the 20 newest inputs, which lead to new coverage more
   * often.
   */
  #pick(): number {
    const { length } = this.#inputs;
    return this.#mutator.below(3) > 0 ? this.#mutator.below(length) : Math.max(0, length - 1 - this.#mutator.below(20));
  }

  async #try(input: Buffer): Promise<void> {
    const finding = await this.#execute(input);
    if (finding !== undefined) return this.#found(finding, input);
    if (this.#coverage.takeNew() === 0 || this.#entries.length >= maxCorpus) return;
    const features = this.#coverage.features();
    this.#entries.push({ input, features });
    this.#inputs.push(input);
    this.#heldBytes += input.length + features.byteLength + entryBytes;
  }

  /** Runs the target on the input. Returns what went wrong, or undefined if the input passed. */
  async #execute(input: Buffer): Promise<Omit<Finding, "input"> | undefined> {
    shownInput.set(input);
    executions[1] = input.length;
    Atomics.add(executions, 0, 1);
    this.#coverage.begin();
    const begin = performance.now();
    try {
      const running = this.#target.run(input);
      if (running !== undefined) await running;
      if (escaped !== undefined) throw escaped;
    } catch (error) {
      escaped = undefined;
      return { kind: "crash", message: describe(error) };
    }
    if (performance.now() - begin < hangMs) return undefined;
    // Measure the thread's processor time, because wall time includes the time of other programs on a busy machine.
    const { user, system } = process.threadCpuUsage();
    await this.#target.run(input);
    const after = process.threadCpuUsage();
    const tookMs = (after.user + after.system - user - system) / 1000;
    return tookMs < hangMs ? undefined : { kind: "hang", message: `took ${Math.round(tookMs)} ms` };
  }

  async #found({ kind, message }: Omit<Finding, "input">, input: Buffer): Promise<void> {
    const key = kind === "hang" ? "hang" : keyOf(message);
    if (this.#findings.has(key) || this.#findings.size >= maxFindings) return;
    let smallest = input;
    const tries = kind === "crash" ? shrinkTries : 0;
    for (let left = tries; left > 0; left -= 1) {
      const from = this.#mutator.below(smallest.length);
      const length = 1 + this.#mutator.below(Math.max(1, smallest.length >> this.#mutator.below(8)));
      const shorter = Buffer.concat([smallest.subarray(0, from), smallest.subarray(from + length)]);
      const again = await this.#execute(shorter);
      if (again !== undefined && keyOf(again.message) === key) smallest = shorter;
    }
    this.#findings.set(key, { kind, message, input: smallest.toString("hex") });
  }

  #kept(): Buffer[] {
    const left = new Set(this.#entries.flatMap(({ features }) => [...features]));
    const kept: Buffer[] = [];
    const entries = this.#entries
      .filter(({ input }) => input.length <= maxKeptBytes)
      .toSorted((a, b) => a.input.length - b.input.length);
    while (left.size > 0 && kept.length < maxKept) {
      let best: Entry | undefined;
      let bestShare = 0;
      for (const entry of entries) {
        const share = entry.features.reduce((sum, feature) => sum + (left.has(feature) ? 1 : 0), 0);
        if (share / (entry.input.length + 32) <= bestShare) continue;
        best = entry;
        bestShare = share / (entry.input.length + 32);
      }
      if (best === undefined) break;
      kept.push(best.input);
      for (const feature of best.features) left.delete(feature);
    }
    return kept;
  }
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return (error.stack ?? error.message).split("\n").slice(0, 6).join("\n");
}

/** Returns the key of a finding. All findings of one place in the code have the same key. */
function keyOf(message: string): string {
  const [first = "", ...stack] = message.split("\n");
  const place = stack.find((line) => line.includes("at ") && !line.includes("/fuzz/target.ts")) ?? first;
  return `${first.split(":")[0] ?? ""} ${first.startsWith("Error: broken rule") ? first : place.trim()}`;
}

/**
 * An exception that no caller could catch: in an event handler, or from a promise that nothing awaits. It would end a
 * real process.
 */
let escaped: unknown;
process.on("uncaughtException", (error) => (escaped = error));
process.on("unhandledRejection", (error) => (escaped = error));

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

async function usedBytes(): Promise<number> {
  for (let count = 0; count < 2; count += 1) {
    collectGarbage();
    await eventLoopTurn();
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

const coverage = new Coverage();
coverage.install();
const target = await loadTarget(order.name);
const maxBytes = target.maxBytes ?? defaultMaxBytes;
const words = dictionaryOf([...coverage.words, ...(target.words ?? [])], coverage.numbers);
const seeds = [...target.seeds.map((seed) => Buffer.from(seed as string)), ...readCorpus(order.name)];
const fuzzer = new Fuzzer(target, coverage, new Mutator(seededRandom(order.seed), words, maxBytes));
parentPort?.postMessage(
  await fuzzer.run(
    seeds.map((seed) => seed.subarray(0, maxBytes)),
    order.durationMs,
  ),
);
