import { readFile } from "node:fs/promises";
import { availableParallelism } from "node:os";

export interface MachineBounds {
  readonly cores: number;
  /** How many descriptors this process may have open at once. Infinity if unknown. */
  readonly maxDescriptors: number;
}

export interface WorkerCount {
  readonly count: number;
  /** Why the number is not the requested or recommended one. */
  readonly warning?: string;
}

/**
 * How many file descriptors each worker needs: for the connections of some hundred clients, and for those to upstreams.
 */
const descriptorsPerWorker = 1024;

export interface RequestedWorkers {
  readonly setting: string;
  readonly value: unknown;
  /** The container's CPU limit. Undefined or 0 means no limit. */
  readonly cpuLimit?: number | undefined;
}

/**
 * The number of serving threads: 1 if the value is unset or invalid, one for each core if it is 0, and otherwise the
 * requested one. It is at most the number of cores, and of workers for which there are descriptors. The container's CPU
 * limit only causes a warning.
 */
export function workerCount({ setting, value, cpuLimit }: RequestedWorkers, machine: MachineBounds): WorkerCount {
  if (value === undefined || value === null) return { count: 1 };
  const wantedCount = typeof value === "string" && /^\d+$/.test(value) ? Number(value) : value;
  const shown = JSON.stringify(value);
  if (typeof wantedCount !== "number" || !Number.isInteger(wantedCount) || wantedCount < 0)
    return {
      count: 1,
      warning: `${setting} must be a whole number, 0 for one worker per core, got ${shown}; using one worker`,
    };
  const wanted = wantedCount === 0 ? machine.cores : wantedCount;
  const byDescriptors = Math.max(1, Math.floor(machine.maxDescriptors / descriptorsPerWorker));
  if (byDescriptors < Math.min(wanted, machine.cores))
    return {
      count: byDescriptors,
      warning: `${setting} ${shown} needs ${descriptorsPerWorker} file descriptors per worker, and this process may open ${machine.maxDescriptors}; using ${byDescriptors}. Raise the limit of open files`,
    };
  if (wanted > machine.cores)
    return {
      count: machine.cores,
      warning: `${setting} ${shown} is more than this machine's ${machine.cores} core(s); using ${machine.cores}`,
    };
  if (wantedCount === 0 && cpuLimit !== undefined && cpuLimit > 0 && cpuLimit < machine.cores)
    return {
      count: wanted,
      warning: `${setting} 0 means one worker per core, here ${machine.cores}, but the container's CPU limit is ${cpuLimit}, so the kernel throttles them; set ${setting} to ${cpuLimit}`,
    };
  return { count: wanted };
}

/** Reads the soft limit of open files, which Node raises to the hard limit when it starts. */
export async function machineBounds(): Promise<MachineBounds> {
  const limits = await readFile("/proc/self/limits", "utf8").catch(() => "");
  const files = /^Max open files\s+(\d+)/m.exec(limits)?.[1];
  return { cores: availableParallelism(), maxDescriptors: files === undefined ? Infinity : Number(files) };
}
