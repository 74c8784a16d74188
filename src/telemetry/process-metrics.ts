import { getHeapStatistics } from "node:v8";
import type { MetricsRegistry } from "./metrics-registry.ts";

/**
 * Adds the process metrics of Prometheus' clients: memory, CPU seconds, start time. They are read at each rendering.
 */
export function addProcessMetrics(registry: MetricsRegistry, process: NodeJS.Process): void {
  const resident = registry.gauge("process_resident_memory_bytes", "Resident memory size in bytes.").labels();
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
    heap.set(getHeapStatistics().used_heap_size);
    cpu.add((usage.user + usage.system) / 1e6 - cpu.value);
    started.set(startSeconds);
  });
}

/** The resident memory, or undefined if the process has no descriptor left for the kernel's file. */
function residentBytes(process: NodeJS.Process): number | undefined {
  try {
    return process.memoryUsage.rss();
  } catch {
    return undefined;
  }
}
