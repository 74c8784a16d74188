// One end of the probe matrix: `serin probe server` echoes, `serin probe client` connects and reports on its standard output.
import { envInteger, envRequired, envString, systemClock, userError } from "../base/index.ts";
import { parseProbeTargets, runProbeClient, runProbeServer } from "../rollout/probe/index.ts";
import type { RoleContext } from "./role.ts";

const defaultPort = 9191;

export async function run({ args, env, shutdown }: RoleContext): Promise<number> {
  const [mode] = args;
  if (mode === "server") {
    await runProbeServer(envInteger(env, "PROBE_PORT", defaultPort), shutdown.drain);
    return 0;
  }
  if (mode !== "client") throw userError("probe-mode", `"${mode ?? ""}" is not a mode of the probe`, { hint: "serin probe server, or serin probe client" });
  const targets = parseProbeTargets(envRequired(env, "PROBE_TARGETS", "revision=host:port,…"));
  const report = (line: string): void => void process.stdout.write(`${line}\n`);
  await runProbeClient({ revision: envString(env, "PROBE_REVISION", ""), targets, clock: systemClock, report }, shutdown.drain);
  return 0;
}
