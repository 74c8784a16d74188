import { messageOf, SerinError, type Environment } from "../../base/index.ts";
import { readControlPlaneSettings } from "./control-plane-options.ts";

export interface PilotFault {
  /** The environment variable, or the argument with its dashes. Empty if the message names neither. */
  readonly name: string;
  readonly message: string;
}

/**
 * All settings because of which a control plane would not start. Reading stops at the first fault, so this reads the
 * settings again without each faulty one, until no fault is left.
 */
export function pilotFaults(args: readonly string[], env: Environment): readonly PilotFault[] {
  const faults: PilotFault[] = [];
  let rest = { args, env };
  for (;;) {
    const message = faultOf(rest.args, rest.env);
    if (message === undefined) return faults;
    const name = namedIn(message, [...Object.keys(rest.env), ...rest.args.flatMap(flagOf)]);
    faults.push({ name, message });
    if (name === "") return faults;
    rest = { args: without(rest.args, name), env: { ...rest.env, [name]: undefined } };
  }
}

function faultOf(args: readonly string[], env: Environment): string | undefined {
  try {
    readControlPlaneSettings(args, env, "");
    return undefined;
  } catch (error) {
    if (!(error instanceof SerinError) || error.kind !== "user") throw error;
    return messageOf(error);
  }
}

function namedIn(message: string, names: readonly string[]): string {
  const words = new Set(message.split(/[^\w-]+/));
  return names
    .filter((name) => words.has(name))
    .reduce((longest, name) => (name.length > longest.length ? name : longest), "");
}

function flagOf(argument: string): readonly string[] {
  return argument.startsWith("--") ? [argument.split("=", 1)[0] ?? ""] : [];
}

function without(args: readonly string[], flag: string): readonly string[] {
  return args.filter(
    (argument, index) =>
      argument !== flag &&
      !argument.startsWith(`${flag}=`) &&
      !(args[index - 1] === flag && !argument.startsWith("--")),
  );
}
