import { parseArgs } from "node:util";
import { systemClock } from "../base/index.ts";
import { Launcher } from "../cluster/launcher/index.ts";
import type { RoleContext } from "./role.ts";

/** `serin cluster-launcher --state-dir DIR`: keeps a lab running. `serin cluster create` starts it. */
export async function run({ args, env, log, shutdown, release }: RoleContext): Promise<number> {
  const { values } = parseArgs({ args: [...args], options: { "state-dir": { type: "string" } } });
  const launcher = new Launcher({
    stateDirectory: values["state-dir"] ?? "",
    releaseRoot: release.root,
    entry: release.entry,
    env,
    log,
    clock: systemClock,
    report: (progress) => {
      if (process.connected) process.send?.(progress);
    },
  });
  return await launcher.run(shutdown.drain);
}
