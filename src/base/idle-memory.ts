import { performance } from "node:perf_hooks";
import { getHeapStatistics, setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

type Collect = (options: {
  readonly type: "major";
  readonly execution: "sync";
  readonly flavor: "last-resort";
}) => void;

const lookMs = 3000;
/**
 * The share of time up to which a process counts as idle. An idle process can afford a pause of some tens of
 * milliseconds.
 */
const idleShare = 0.03;
/** The share of time up to which a process can afford that pause, if people use it and not programs. */
export const unhurriedShare = 0.5;
/** How much the heap must have grown since the last collection for another one to be worth its pause. */
const worthBytes = 6 * 1024 * 1024;

/**
 * Releases the memory that a start or a burst of work has left behind, until it is disposed of. V8 collects garbage
 * when a process allocates memory, but not while it is idle. The collection waits until the process has been busy for
 * at most `busiestShare` of the last seconds. Does not keep the process alive.
 *
 * After such a collection, V8's memory reducer would collect the heap twice more 8 s later, and find nothing, so
 * bin/serin starts processes with `--no-memory-reducer`. The reducer must not be held off at run time: a flag holds for
 * all threads, and V8 aborts the process (SIGTRAP) if `--memory-reducer-gc-count` is lowered while the reducer of any
 * thread is under way.
 */
export function giveBackIdleMemory(busiestShare = idleShare): Disposable {
  let collect: Collect | undefined;
  let heapBytes = 0;
  let seen = performance.eventLoopUtilization();
  const timer = setInterval(() => {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, seen);
    seen = now;
    if (utilization > busiestShare || heapTotalBytes() < heapBytes + worthBytes) return;
    collect ??= exposedCollector();
    collect({ type: "major", execution: "sync", flavor: "last-resort" });
    heapBytes = heapTotalBytes();
    // Do not count the collection itself as work.
    seen = performance.eventLoopUtilization();
  }, lookMs);
  timer.unref();
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

/** `process.memoryUsage` would open a file, and so throw an error in a process that has no descriptors left. */
function heapTotalBytes(): number {
  return getHeapStatistics().total_heap_size;
}

/** Makes V8's collector callable. Resets the flag at once, because V8 caches compiled code together with its flags. */
function exposedCollector(): Collect {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as Collect;
  setFlagsFromString("--no-expose-gc");
  return collect;
}
