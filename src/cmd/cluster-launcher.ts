import { parseArgs } from "node:util";
import { aborted, systemClock } from "../base/index.ts";
import { Launcher, watchOwner, type LauncherProgress } from "../cluster/launcher/index.ts";
import { isClusterRunning, readClusterRecord } from "../cluster/record/index.ts";
import type { RoleContext } from "./role.ts";

/**
 * `serin cluster-launcher --state-dir DIR`: keeps a lab running. `serin cluster create` starts it. If that command is
 * killed before the lab is ready, the launcher deletes the lab. If the lab belongs to a process, the launcher deletes
 * the lab when that process ends.
 */
export async function run({ args, env, log, shutdown, release }: RoleContext): Promise<number> {
  const { values } = parseArgs({ args: [...args], options: { "state-dir": { type: "string" } } });
  const { "state-dir": stateDirectory = "" } = values;
  const abandoned = new AbortController();
  const abandon = (why: string): void => {
    if (abandoned.signal.aborted) return;
    log.info("deleting the lab", { why });
    abandoned.abort();
  };
  const report = (progress: LauncherProgress): void => {
    // If the creating command has just been killed, the error goes to this callback. Otherwise it would end this
    // process.
    if (process.connected) process.send?.(progress, undefined, undefined, () => undefined);
  };
  // The creating command writes the kubeconfig last, and then closes the channel. If the channel closes without it, the
  // command has failed.
  const onCreationEnd = (): void => {
    if (readClusterRecord(stateDirectory)?.kubeconfig === undefined) abandon("its creation has ended early");
  };
  // The creating command may have ended before this process listened.
  if (process.connected) process.once("disconnect", onCreationEnd);
  else onCreationEnd();
  const ending = AbortSignal.any([shutdown.drain, abandoned.signal]);
  await untilPrepared(ending);
  const owner = readClusterRecord(stateDirectory)?.owner;
  using _watch = watchOwner(owner, systemClock, () => {
    const message = `the owner of the cluster, process ${owner?.pid}, ended before the cluster was ready`;
    report({ type: "failed", kind: "user", code: "lab-not-started", message, hint: "nothing was left behind" });
    abandon("its owner has ended");
  });
  const launcher = new Launcher({
    stateDirectory,
    releaseRoot: release.root,
    entry: release.entry,
    env,
    log,
    clock: systemClock,
    report,
  });
  try {
    return ending.aborted ? 0 : await launcher.run(ending);
  } finally {
    if (abandoned.signal.aborted) await forget(stateDirectory);
    // An open channel would keep this process alive.
    if (process.connected) process.disconnect();
  }
}

/**
 * Waits until the creating command has written the state directory. Without a channel, the directory was written
 * before.
 */
async function untilPrepared(ending: AbortSignal): Promise<void> {
  if (!process.connected) return;
  const prepared = new Promise<void>((resolve) => process.once("message", () => resolve()));
  await Promise.race([prepared, aborted(ending)]);
}

/** Removes the files and the kubeconfig context of a lab whose processes have ended. */
async function forget(stateDirectory: string): Promise<void> {
  // The record contains the kubeconfig only if the lab was ready.
  const record = readClusterRecord(stateDirectory);
  // After this lab's end, another `serin cluster create` may have taken the directory.
  if (record === undefined || (record.launcher?.pid !== process.pid && isClusterRunning(record))) return;
  const { forgetCluster } = await import("../cluster/lifecycle/index.ts");
  forgetCluster(stateDirectory, record);
}
