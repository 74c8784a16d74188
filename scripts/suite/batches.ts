// Which test files share a process, and in which order processes run.

/** Files that run in one process of Node, one after another. */
export interface Batch {
  readonly files: readonly string[];
  readonly expectedMs: number;
  /** Whether the files are loaded into one module graph; a batch of one file is not. */
  readonly shared: boolean;
}

/** Recorded durations, in milliseconds. */
export type Durations = Readonly<Record<string, number>>;

const maxFilesOfBatch = 24;
/** A batch is closed when it is expected to take this long. */
const batchMs = 12_000;

/**
 * What a test may leave behind in its process, or needs of it, so that another file must not share it: hooks of the whole run, the
 * environment, the working directory, signal handlers, the exit code, globals, mocks, loader hooks, the heap and its measures, and Node's flags.
 */
const claimsProcess: readonly RegExp[] = [
  /^(?:before|after|beforeEach|afterEach)\(/m,
  /\bprocess\.env(?:\.\w+|\[[^\]]+\])\s*(?:\?\?)?=[^=]|\bdelete process\.env\b|Object\.assign\(process\.env\b/,
  /\bprocess\.(?:chdir|exit|exitCode|umask|setuid|setgid|seteuid|setegid|on|once|emit|removeAllListeners|title)\b/,
  /\bmock\.|\bglobalThis\b|\bglobal\.\w+\s*=[^=]|\bregisterHooks\b|\bsyncBuiltinESMExports\b/,
  /\bmemoryUsage\b|\bheapUsed\b|\bgc\(|\bsetFlagsFromString\b|\bexecArgv\b|\bcpuUsage\b|\bresourceUsage\b/,
];

/** The tests of the scripts load and check much of the tree: each has a process. */
const ownFolders = ["scripts/"] as const;

export function needsOwnProcess(file: string, text: string): boolean {
  return ownFolders.some((folder) => file.startsWith(folder)) || claimsProcess.some((claim) => claim.test(text));
}

/** Neighbours share a process, as they load the same modules; the longest batch comes first. */
export function batchesOf(
  files: readonly string[],
  shares: (file: string) => boolean,
  durations: Durations,
  unknownMs: number,
): Batch[] {
  const expected = (file: string): number => durations[file] ?? unknownMs;
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
    if (open.length >= maxFilesOfBatch || openMs + expected(file) > batchMs) close();
    open.push(file);
    openMs += expected(file);
  }
  close();
  return batches.toSorted((a, b) => b.expectedMs - a.expectedMs);
}

/** Runs each batch in the lane that is free first; answers in the order of the batches. */
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
