/** What bounds how many threads serve. */
export interface MachineBounds {
  readonly cores: number;
  /** Descriptors that this process may have open at once; Infinity when that is not known. */
  readonly maxDescriptors: number;
}

export interface WorkerCount {
  readonly count: number;
  /** Why it is not what was asked for, or not what is advised. */
  readonly warning?: string;
}

/** A worker with fewer cannot hold the connections of some hundred clients with those of their requests. */
const descriptorsPerWorker = 1024;

/**
 * How many threads serve, of what `concurrency` says: unset one, 0 one a core, else so many. What cannot be meant
 * counts as unset, and none gets more than there are cores, or descriptors for.
 */
export function workerCount(concurrency: unknown, machine: MachineBounds, cpuLimit: number | undefined): WorkerCount {
  if (concurrency === undefined || concurrency === null) return { count: 1 };
  const asked = typeof concurrency === "string" && /^\d+$/.test(concurrency) ? Number(concurrency) : concurrency;
  const shown = JSON.stringify(concurrency);
  if (typeof asked !== "number" || !Number.isInteger(asked) || asked < 0)
    return {
      count: 1,
      warning: `concurrency must be a whole number, 0 for one worker a core, got ${shown}: one worker serves`,
    };
  const wanted = asked === 0 ? machine.cores : asked;
  const byDescriptors = Math.max(1, Math.floor(machine.maxDescriptors / descriptorsPerWorker));
  if (byDescriptors < Math.min(wanted, machine.cores))
    return {
      count: byDescriptors,
      warning: `concurrency ${shown} needs ${descriptorsPerWorker} descriptors a worker, and this process may open ${machine.maxDescriptors}: ${byDescriptors} serve; raise the limit of open files`,
    };
  if (wanted > machine.cores)
    return {
      count: machine.cores,
      warning: `concurrency ${shown} is more than this machine's ${machine.cores} core(s): ${machine.cores} serve`,
    };
  if (asked === 0 && cpuLimit !== undefined && cpuLimit > 0 && cpuLimit < machine.cores)
    return {
      count: wanted,
      warning: `concurrency 0 means one worker a core, which are ${machine.cores}, and the container's CPU limit is ${cpuLimit}: the kernel will hold them back; set concurrency to ${cpuLimit}`,
    };
  return { count: wanted };
}
