import { systemClock } from "../base/index.ts";
import { runAgentCommand } from "../proxy/agent/index.ts";
import type { RoleContext } from "./role.ts";

/** `serin proxy wait` and `serin proxy request GET|POST <path>`: send requests to the proxy of this pod. */
export async function run({ args }: RoleContext): Promise<number> {
  return await runAgentCommand({ args, write: (text) => void process.stdout.write(text), clock: systemClock });
}
