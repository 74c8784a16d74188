// Decides which test files share a process, and in which order the processes run.

/** Files that run in one Node process, one after another. */
export interface Batch {
  readonly files: readonly string[];
  readonly expectedMs: number;
  /** Whether the files share one module graph. A batch of one file does not. */
  readonly shared: boolean;
}

/** The recorded duration of each test file, in milliseconds. */
export type Durations = Readonly<Record<string, number>>;

const maxFilesOfBatch = 160;
/** The expected duration at which a batch is full. */
const batchMs = 45_000;
/**
 * The minimum number of batches for each lane, if there are enough files. With fewer, one lane would run a long batch
 * at the end while the others have nothing to do.
 */
const batchesOfLane = 2;
/** The minimum expected duration of a batch. In a shorter batch, most of the time would go into loading modules. */
const leastBatchMs = 5_000;

/**
 * Patterns of tests that change their whole process or measure its memory, so that no other file may share the process:
 * hooks around every test, the environment, the working directory, signal handlers, the exit code, globals, mocks,
 * loader hooks, the heap, and Node's flags. A test that measures the processor time of a call can share a process,
 * because files run one after another. A test with mocks of its own context can share one too, because these mocks end
 * with the test.
 */
const claimsProcess: readonly RegExp[] = [
  /^(?:beforeEach|afterEach)\(/m,
  /\bprocess\.env(?:\.\w+|\[[^\]]+\])\s*(?:\?\?)?=[^=]|\bdelete process\.env\b|Object\.assign\(process\.env\b/,
  /\bprocess\.(?:chdir|exit|exitCode|umask|setuid|setgid|seteuid|setegid|on|once|emit|removeAllListeners|title)\b/,
  /(?<!\.)\bmock\.|(?<!typeof )\bglobalThis\b|^\s*global\.\w+\s*=[^=]|\bregisterHooks\b|\bsyncBuiltinESMExports\b/m,
  /\bmemoryUsage\b|\bheapUsed\b|\bgc\(|\bsetFlagsFromString\b|\bexecArgv\b/,
];

/** Tests that hold much of the tree in memory. Each has its own process. */
const checksTree = /^scripts\/(?:rules\/tidy\.test\.ts|fuzz\/.*)$/;

export function needsOwnProcess(file: string, text: string): boolean {
  return checksTree.test(file) || claimsProcess.some((claim) => claim.test(text));
}

export interface BatchRules {
  /** Whether a file may share a process with others. */
  readonly shares: (file: string) => boolean;
  readonly durations: Durations;
  /** The expected duration of a file without a record. */
  readonly unknownMs: number;
  readonly lanes: number;
}

/**
 * Groups files into batches that share a process each. Neighbouring files, mostly those of one folder, share a process,
 * because they load the same modules. The longest batch comes first.
 */
export function batchesOf(files: readonly string[], { shares, durations, unknownMs, lanes }: BatchRules): Batch[] {
  const expected = (file: string): number => durations[file] ?? unknownMs;
  const sharedMs = files.filter(shares).reduce((sum, file) => sum + expected(file), 0);
  const fullMs = Math.min(batchMs, Math.max(leastBatchMs, sharedMs / (lanes * batchesOfLane)));
  const batches: Batch[] = [];
  let open: string[] = [];
  let openMs = 0;
  const close = (): void => {
    if (open.length > 0) batches.push({ files: open, expectedMs: openMs, shared: open.length > 1 });
    open = [];
    openMs = 0;
  };
  for (const file of files.toSorted()) {
    if (!shares(file)) {
      batches.push({ files: [file], expectedMs: expected(file), shared: false });
      continue;
    }
    if (open.length >= maxFilesOfBatch || openMs + expected(file) > fullMs) close();
    open.push(file);
    openMs += expected(file);
  }
  close();
  return batches.toSorted((a, b) => b.expectedMs - a.expectedMs);
}

/** Runs each batch in the first free lane. Returns the results in the order of the batches. */
export async function runInLanes<Result>(
  batches: readonly Batch[],
  lanes: number,
  run: (batch: Batch) => Promise<Result>,
): Promise<Result[]> {
  const results = new Map<number, Result>();
  const queue = batches.entries();
  const lane = async (): Promise<void> => {
    for (const [index, batch] of queue) results.set(index, await run(batch));
  };
  await Promise.all(Array.from({ length: Math.max(1, Math.min(lanes, batches.length)) }, lane));
  return batches.map((_batch, index) => results.get(index) as Result);
}

export interface Turns {
  /** Batches that need the machine for themselves. Only batches of a lower priority may run beside them. */
  readonly alone: readonly Batch[];
  /** Batches that may run beside all others, with the processor time that these leave unused. */
  readonly patient: readonly Batch[];
  /** Batches that leave most of the processor unused. They begin before `others`, so that other work can use it. */
  readonly idle: readonly Batch[];
  readonly others: readonly Batch[];
  /**
   * The number of batches for which the machine has room in addition to the lanes. If it is 0, additional batches run
   * only while `alone` runs.
   */
  readonly roomBesideLanes: number;
  /** Resolves when everything that runs beside these batches has ended. Absent if nothing runs beside them. */
  readonly besideEnded?: Promise<void>;
  /** Called once, when a lane first has nothing left to do. */
  readonly onFreeLane?: () => void;
}

/**
 * The maximum number of additional lanes. The usual lanes seldom keep the cores busy, but more labs at a time than this
 * slow each other down.
 */
const maxExtraLanes = 2;

/**
 * Runs the batches of `alone` one after another, and then all others in lanes. Beside those of `alone`, patient batches
 * run, one at a time. `yields` means that the batch runs at the lowest priority. A lane without other work also takes
 * patient batches. When no patient batch is left and `besideEnded` has resolved, more lanes begin.
 */
export async function runInTurns<Result>(
  { alone, patient, idle, others, roomBesideLanes, besideEnded, onFreeLane }: Turns,
  lanes: number,
  run: (batch: Batch, yields: boolean) => Promise<Result>,
): Promise<Result[]> {
  const waiting = [...patient];
  let isTurnOfPatient = alone.length > 0 && lanes > 1;
  const runBeside = async (): Promise<Result[]> => {
    const results: Result[] = [];
    for (;;) {
      const next = isTurnOfPatient ? waiting.shift() : undefined;
      if (next === undefined) return results;
      results.push(await run(next, true));
    }
  };
  const beside = runBeside();
  const first = await runInLanes(alone, 1, async (batch) => await run(batch, false));
  isTurnOfPatient &&= roomBesideLanes > 0;
  const mixed = isTurnOfPatient ? [] : waiting.splice(0);
  const queue = [idle, [...mixed, ...others]].flatMap((some) => some.toSorted((a, b) => b.expectedMs - a.expectedMs));
  const nextOfLane = (): Batch | undefined => queue.shift() ?? waiting.shift();
  const lane = async (): Promise<Result[]> => {
    const results: Result[] = [];
    for (let next = nextOfLane(); next !== undefined; next = nextOfLane()) results.push(await run(next, false));
    onFreeLane?.();
    return results;
  };
  const usual = Promise.all(Array.from({ length: Math.max(1, lanes) }, lane));
  const extraLanes = async (): Promise<Result[]> => {
    if (!isTurnOfPatient || besideEnded === undefined) return [];
    await beside;
    await Promise.race([besideEnded, usual]);
    return (await Promise.all(Array.from({ length: Math.min(maxExtraLanes, roomBesideLanes) }, lane))).flat();
  };
  const [ofExtraLanes, ofLanes] = await Promise.all([extraLanes(), usual]);
  return [...first, ...(await beside), ...ofLanes.flat(), ...ofExtraLanes];
}
