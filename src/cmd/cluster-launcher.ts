import { parseArgs } from "node:util";
import { aborted, systemClock } from "../base/index.ts";
import { Launcher, watchOwner, type LauncherProgress } from "../cluster/launcher/index.ts";
import { isClusterRunning, readClusterRecord } from "../cluster/record/index.ts";
import type { RoleContext } from "./role.ts";

/**
 * `serin cluster-launcher --state-dir DIR`: keeps a lab running. `serin cluster create` starts it. Deletes the lab when
 * its owner ends, if it has one, and when its creation is killed.
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
    // Without the callback, a creation that was killed a moment ago would end this process by an error.
    if (process.connected) process.send?.(progress, undefined, undefined, () => undefined);
  };
  // The creation writes the kubeconfig last, and then closes the channel.
  const onCreationEnd = (): void => {
    if (readClusterRecord(stateDirectory)?.kubeconfig === undefined) abandon("its creation has ended early");
  };
  // The creation may have ended before this process listened.
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

/** Waits until the creation has written the state directory. A launcher without a channel finds it written. */
async function untilPrepared(ending: AbortSignal): Promise<void> {
  if (!process.connected) return;
  // The only message is a CreationMessage.
  const prepared = new Promise<void>((resolve) => process.once("message", () => resolve()));
  await Promise.race([prepared, aborted(ending)]);
}

/** Removes the lab, whose processes have ended, with its files and its context. */
async function forget(stateDirectory: string): Promise<void> {
  // The record names the kubeconfig only once the lab was ready.
  const record = readClusterRecord(stateDirectory);
  // Meanwhile another creation may have taken the directory.
  if (record === undefined || (record.launcher?.pid !== process.pid && isClusterRunning(record))) return;
  const { forgetCluster } = await import("../cluster/lifecycle/index.ts");
  forgetCluster(stateDirectory, record);
}
