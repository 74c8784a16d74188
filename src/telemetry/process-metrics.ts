import { readdirSync, readFileSync } from "node:fs";
import { getHeapStatistics } from "node:v8";
import type { MetricsRegistry } from "./metrics-registry.ts";

/**
 * Adds the process metrics of Prometheus' clients: memory, descriptors, CPU seconds and start time. They are read at
 * each rendering.
 */
export function addProcessMetrics(registry: MetricsRegistry, process: NodeJS.Process): void {
  const resident = registry.gauge("process_resident_memory_bytes", "Resident memory size in bytes.").labels();
  const virtual = registry.gauge("process_virtual_memory_bytes", "Virtual memory size in bytes.").labels();
  const files = registry.gauge("process_open_fds", "Number of open file descriptors.").labels();
  const heap = registry.gauge("process_heap_bytes", "Used JavaScript heap in bytes.").labels();
  const cpu = registry.counter("process_cpu_seconds_total", "User and system CPU time spent in seconds.").labels();
  const started = registry
    .gauge("process_start_time_seconds", "Start time of the process since the epoch in seconds.")
    .labels();
  const startSeconds = Date.now() / 1000 - process.uptime();
  registry.onCollect(() => {
    const rss = residentBytes(process);
    const usage = process.cpuUsage();
    if (rss !== undefined) resident.set(rss);
    const [space, open] = [virtualBytes(), openFiles()];
    if (space !== undefined) virtual.set(space);
    if (open !== undefined) files.set(open);
    heap.set(getHeapStatistics().used_heap_size);
    cpu.add((usage.user + usage.system) / 1e6 - cpu.value);
    started.set(startSeconds);
  });
}

/**
 * Returns the resident memory in bytes, or undefined if it cannot be read, for example because no descriptor is left.
 */
function residentBytes(process: NodeJS.Process): number | undefined {
  try {
    return process.memoryUsage.rss();
  } catch {
    return undefined;
  }
}

function virtualBytes(): number | undefined {
  try {
    const kilobytes = /^VmSize:\s+(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
    return kilobytes === undefined ? undefined : Number(kilobytes) * 1024;
  } catch {
    return undefined;
  }
}

/**
 * Returns the number of open descriptors, or undefined if it cannot be read, for example because no descriptor is left.
 */
function openFiles(): number | undefined {
  try {
    // The directory itself is open while it is read.
    return readdirSync("/proc/self/fd").length - 1;
  } catch {
    return undefined;
  }
}
