import { readdir, readFile } from "node:fs/promises";
import type { Container } from "../../../api/kubernetes/index.ts";
import type { Clock } from "../../../base/index.ts";

const pollMs = 20;
/**
 * How long to wait for a program to open its declared ports, in milliseconds. After this time, the program counts as
 * ready. The time in which it waited for a CPU is not included, because a start takes much longer on a busy machine.
 */
const limitMs = 3_000;
const listening = "0A";
/** The number of nanoseconds in a millisecond. The second field of `schedstat` is in nanoseconds. */
const nanosecondsPerMs = 1_000_000;

/** The TCP ports that a container declares. */
export function declaredPorts(container: Container): number[] {
  return (container.ports ?? [])
    .filter(({ protocol = "TCP" }) => protocol === "TCP")
    .map(({ containerPort }) => containerPort);
}

/**
 * Resolves when processes in the network namespace of `pid` listen on all of the ports, or when {@link limitMs} has
 * passed. Without this wait, a container without a readiness probe would count as ready before its program listens.
 */
export async function untilListening(
  pid: number,
  ports: readonly number[],
  clock: Clock,
  signal: AbortSignal,
  proc = "/proc",
): Promise<void> {
  const begunMs = clock.steadyMs();
  let uncountedMs = 0;
  while (!signal.aborted) {
    const open = await listeningPorts(pid, proc);
    if (ports.every((port) => open.has(port))) return;
    if (clock.steadyMs() - begunMs - uncountedMs >= limitMs) {
      uncountedMs = await longestProcessorWaitMs(pid, proc);
      if (clock.steadyMs() - begunMs - uncountedMs >= limitMs) return;
    }
    await clock.sleep(pollMs, signal).catch(() => undefined);
  }
}

async function listeningPorts(pid: number, proc: string): Promise<Set<number>> {
  const ports = new Set<number>();
  for (const name of ["tcp", "tcp6"]) {
    const text = await readFile(`${proc}/${pid}/net/${name}`, "utf8").catch(() => "");
    for (const line of text.split("\n").slice(1)) {
      const [, local = "", , state] = line.trim().split(/\s+/);
      if (state === listening) ports.add(Number.parseInt(local.slice(local.lastIndexOf(":") + 1), 16));
    }
  }
  return ports;
}

/**
 * How long the process and its children were ready to run but waited for a CPU, in milliseconds. It is the largest
 * value of any of their threads, or 0 if the kernel does not measure it.
 */
async function longestProcessorWaitMs(pid: number, proc: string): Promise<number> {
  const threads = await readdir(`${proc}/${pid}/task`).catch(() => []);
  const waits = threads.map(async (thread) => {
    const folder = `${proc}/${pid}/task/${thread}`;
    const [, waited = "0"] = (await readFile(`${folder}/schedstat`, "utf8").catch(() => "")).split(" ");
    const children = (await readFile(`${folder}/children`, "utf8").catch(() => "")).match(/\d+/g);
    const below = await Promise.all(
      (children ?? []).map(async (child) => await longestProcessorWaitMs(Number(child), proc)),
    );
    return Math.max(Number(waited) / nanosecondsPerMs, ...below);
  });
  return Math.max(0, ...(await Promise.all(waits)));
}
