import { dirname } from "node:path";
import { parseArgs } from "node:util";
import { systemClock } from "../base/index.ts";
import { writeOwnRelease } from "../cluster/images/index.ts";
import { Supervisor } from "../cluster/supervisor/index.ts";
import type { RoleContext } from "./role.ts";

/** `serin cluster-supervisor --state-dir DIR`: starts and restarts the lab's processes. The launcher starts it. */
export async function run({ args, env, log, shutdown, release }: RoleContext): Promise<number> {
  const { values } = parseArgs({ args: [...args], options: { "state-dir": { type: "string" } } });
  const stateDirectory = values["state-dir"] ?? "";
  const nodeModules = dirname(dirname(dirname(process.execPath)));
  const ownModules = nodeModules.startsWith(`${release.root}/`);
  writeOwnRelease(stateDirectory, {
    version: release.version,
    root: release.root,
    nodeModules: ownModules ? undefined : nodeModules,
  });
  const supervisor = new Supervisor({
    stateDirectory,
    program: process.execPath,
    programArgs: [...process.execArgv, process.argv[1] ?? ""],
    env,
    log,
    clock: systemClock,
  });
  await supervisor.run(shutdown.drain);
  // Ends at once, because all durable data is on disk. This is the first process of the lab's PID namespace, so the
  // kernel kills all others with it.
  process.exit(0);
}
