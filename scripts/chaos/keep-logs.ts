// Keeps the logs of a lab that is about to be deleted, because only they explain a failure afterwards.
import { cpSync, existsSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";

/** Copies the log of the lab's own processes, and those of all pods in a folder for each node. */
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
