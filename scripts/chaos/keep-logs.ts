import { cpSync, existsSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";

/**
 * Copies the log of the lab's own processes, and the logs of all pods in one folder for each node. Deleting the lab
 * removes these logs, and a failure cannot be explained without them.
 */
export function keepLogs(stateDirectory: string, target: string): void {
  mkdirSync(target, { recursive: true });
  const launcher = join(stateDirectory, "launcher.log");
  if (existsSync(launcher)) cpSync(launcher, join(target, "launcher.log"));
  const nodes = join(stateDirectory, "nodes");
  for (const node of existsSync(nodes) ? readdirSync(nodes) : []) {
    const pods = join(nodes, node, "var/log/pods");
    if (existsSync(pods)) cpSync(pods, join(target, node), { recursive: true });
  }
}
