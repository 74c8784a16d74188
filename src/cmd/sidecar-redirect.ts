import { readFile } from "node:fs/promises";
import { systemClock } from "../base/index.ts";
import {
  adaptToUsers,
  applyRedirect,
  checkRedirect,
  describeRedirect,
  planRedirect,
  readRedirectCommand,
  removeRedirect,
} from "../cni/redirect/index.ts";
import type { RoleContext } from "./role.ts";

const validationTimeoutMs = 5_000;

/**
 * `serin proxy istio-iptables [flags]`: the program of a pod's init container, which redirects the pod's traffic. It
 * runs in the pod's network namespace, and ends when the rules are set.
 */
export async function run({ args, env, log }: RoleContext): Promise<number> {
  const resolvConf = await readFile("/etc/resolv.conf", "utf8").catch(() => "");
  const command = readRedirectCommand(args.slice(1), env, resolvConf);
  const uidMap = await readFile("/proc/self/uid_map", "utf8");
  const rules = command.clean ? [] : planRedirect(adaptToUsers(command.options, uidMap));
  if (command.dryRun) process.stdout.write(describeRedirect(rules));
  else if (command.clean) removeRedirect();
  else if (!command.skipApply) {
    applyRedirect(rules);
    log.info("the pod's traffic goes through its sidecar", { rules: rules.length, mode: command.options.mode });
  }
  if (command.validate && !command.dryRun && !command.clean)
    await checkRedirect(command.options, validationTimeoutMs, systemClock);
  return 0;
}
