import { parseArgs } from "node:util";
import { systemClock } from "../base/index.ts";
import { Launcher, watchOwner, type LauncherProgress } from "../cluster/launcher/index.ts";
import { readClusterRecord } from "../cluster/record/index.ts";
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
  const owner = readClusterRecord(stateDirectory)?.owner;
  using _watch = watchOwner(owner, systemClock, () => {
    const message = `the owner of the cluster, process ${owner?.pid}, ended before the cluster was ready`;
    report({ type: "failed", kind: "user", code: "lab-not-started", message, hint: "nothing was left behind" });
    abandon("its owner has ended");
  });
  // The creation writes the kubeconfig last, and then closes the channel.
  const onCreationEnd = (): void => {
    if (readClusterRecord(stateDirectory)?.kubeconfig === undefined) abandon("its creation has ended early");
  };
  // The creation may have ended before this process listened.
  if (process.connected) process.once("disconnect", onCreationEnd);
  else onCreationEnd();
  const launcher = new Launcher({
    stateDirectory,
    releaseRoot: release.root,
    entry: release.entry,
    env,
    log,
    clock: systemClock,
    report,
  });
  const code = await launcher.run(AbortSignal.any([shutdown.drain, abandoned.signal]));
  if (abandoned.signal.aborted) await forget(stateDirectory);
  // An open channel would keep this process alive.
  if (process.connected) process.disconnect();
  return code;
}

/** Removes the lab, whose processes have ended, with its files and its context. */
async function forget(stateDirectory: string): Promise<void> {
  // The record names the kubeconfig only once the lab was ready.
  const record = readClusterRecord(stateDirectory);
  if (record === undefined) return;
  const { forgetCluster } = await import("../cluster/lifecycle/index.ts");
  forgetCluster(stateDirectory, record);
}
