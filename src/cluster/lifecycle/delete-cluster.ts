import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Environment } from "../../base/index.ts";
import {
  clusterDirectory,
  isClusterRunning,
  isHostProcessAlive,
  listClusterNames,
  readClusterRecord,
  requireCluster,
  type ClusterRecord,
  type HostProcess,
} from "../record/index.ts";
import { removeFromKubeconfig } from "./kubeconfig-file.ts";

const stopTimeoutMs = 5_000;
const pollMs = 10;

/** The name of the context, which is the same as kind's: `kind-<name>`. */
export function contextNameOf(clusterName: string): string {
  return `kind-${clusterName}`;
}

/**
 * Ends a cluster, and removes its kubeconfig entries and its files. Throws a user error if the cluster does not exist.
 */
export async function deleteCluster(name: string, env: Environment): Promise<void> {
  const { directory, record } = requireCluster(env, name);
  await stopLauncher(record.launcher);
  // Wait until the PID namespace has ended, a moment after the launcher.
  const deadline = Date.now() + stopTimeoutMs;
  while (isHostProcessAlive(record.labInit) && Date.now() < deadline) await sleep(pollMs);
  forgetCluster(directory, record);
}

/** Removes a cluster's entries in the kubeconfig, and its files. Its processes must have ended. */
export function forgetCluster(directory: string, { name, kubeconfig }: ClusterRecord): void {
  if (kubeconfig !== undefined) removeFromKubeconfig(kubeconfig.path, contextNameOf(name), kubeconfig.previousContext);
  rmSync(directory, { recursive: true, force: true, maxRetries: 3 });
}

/** Ends the launcher by SIGTERM, or else by SIGKILL. The lab ends with its launcher. */
export async function stopLauncher(launcher: HostProcess | undefined): Promise<void> {
  if (launcher === undefined) return;
  for (const signal of ["SIGTERM", "SIGKILL"] as const) {
    if (!isHostProcessAlive(launcher)) return;
    try {
      process.kill(launcher.pid, signal);
    } catch (error) {
      // The launcher has ended since the check.
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
    }
    const deadline = Date.now() + stopTimeoutMs;
    while (isHostProcessAlive(launcher) && Date.now() < deadline) await sleep(pollMs);
  }
}

export interface ListedCluster {
  readonly name: string;
  readonly running: boolean;
  readonly nodes: number;
  readonly server: string;
  readonly directory: string;
}

export function listClusters(env: Environment): ListedCluster[] {
  return listClusterNames(env).flatMap((name) => {
    const directory = clusterDirectory(env, name);
    const record = readClusterRecord(directory);
    if (record === undefined) return [];
    const server = `https://${record.apiServer.address}:${record.apiServer.port}`;
    return [{ name, running: isClusterRunning(record), nodes: record.nodes.length, server, directory }];
  });
}

/** The kubeconfig of one cluster, as `kind get kubeconfig` prints it. */
export function clusterKubeconfig(name: string, env: Environment): string {
  return readFileSync(join(requireCluster(env, name).directory, "kubeconfig"), "utf8");
}
