import { readFile } from "node:fs/promises";
import type { Container } from "../../../api/kubernetes/index.ts";
import type { Clock } from "../../../base/index.ts";

const pollMs = 20;
/**
 * A program that declares a port and never opens it counts as ready after this time. It is longer than the start of a
 * program on a busy machine.
 */
const limitMs = 3_000;
const listening = "0A";

/** The TCP ports that a container declares. */
export function declaredPorts(container: Container): number[] {
  return (container.ports ?? [])
    .filter(({ protocol = "TCP" }) => protocol === "TCP")
    .map(({ containerPort }) => containerPort);
}

/**
 * Resolves when processes in the network namespace of `pid` listen on all of the ports, and after three seconds at the
 * latest. Otherwise a container without a readiness probe would count as ready before its program listens.
 */
export async function untilListening(
  pid: number,
  ports: readonly number[],
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  const deadlineMs = clock.steadyMs() + limitMs;
  while (!signal.aborted && clock.steadyMs() < deadlineMs) {
    const open = await listeningPorts(pid);
    if (ports.every((port) => open.has(port))) return;
    await clock.sleep(pollMs, signal).catch(() => undefined);
  }
}

async function listeningPorts(pid: number): Promise<Set<number>> {
  const ports = new Set<number>();
  for (const name of ["tcp", "tcp6"]) {
    const text = await readFile(`/proc/${pid}/net/${name}`, "utf8").catch(() => "");
    for (const line of text.split("\n").slice(1)) {
      const [, local = "", , state] = line.trim().split(/\s+/);
      if (state === listening) ports.add(Number.parseInt(local.slice(local.lastIndexOf(":") + 1), 16));
    }
  }
  return ports;
}
