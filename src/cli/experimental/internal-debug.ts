import { jsonText, userError } from "../../base/index.ts";
import type { CliContext } from "../context.ts";
import type { TimeoutFlags } from "../deadline.ts";
import type { CommonFlags } from "../flags.ts";
import { noPilots, askEach, endWithFaults, reachPilots, tryPilot, type Pilot } from "../control-planes/pilots.ts";

export interface DebugFlags extends CommonFlags, TimeoutFlags {
  readonly revision?: string;
  readonly all?: boolean;
  readonly list?: boolean;
}

const debugPort = 8080;

/** Shows a debug page, such as `syncz` or `/debug/syncz`, of the first control plane or of all. */
export async function internalDebug(page: string | undefined, flags: DebugFlags, context: CliContext): Promise<void> {
  if (page === undefined && flags.list !== true)
    throw userError(
      "argument-missing",
      "debug type is required, you can specify --list flag to list supported debug types",
      { hint: `${context.programName} experimental internal-debug syncz` },
    );
  const { client, pilots } = await reachPilots(flags, context);
  if (pilots.length === 0) throw await noPilots(client, context.programName);
  const ask = async (pilot: Pilot): Promise<string> => {
    const text = await tryPilot(
      client,
      pilot,
      debugPort,
      `/debug/${flags.list === true ? "list" : (page ?? "").replace(/^\/?(debug\/)?/, "")}`,
    );
    if (text !== undefined) return text;
    throw userError("argument-invalid", `${pilot.pod} has no debug type "${page ?? "list"}"`, {
      hint: `list the debug types: ${context.programName} experimental internal-debug --list; name a proxy as in config_dump?proxyID=web-1.shop`,
    });
  };
  const asked = flags.all === true ? pilots : pilots.slice(0, 1);
  const { answers, faults } = await askEach(asked, ask, flags, context);
  for (const { answer } of answers) context.out(pretty(answer));
  endWithFaults(faults, context);
}

function pretty(text: string): string {
  try {
    return jsonText(JSON.parse(text));
  } catch {
    return `${text.trimEnd()}\n`;
  }
}
