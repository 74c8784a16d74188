import { shellWord } from "../../../base/index.ts";
import type { RolloutAction } from "../../rollout-action.ts";
import type { Rollout, RolloutKind } from "./rollout.ts";

/** The command line's verbs, where they differ from the page's. */
const canaryCommands: Partial<Record<RolloutAction, string>> = {
  approve: "promote",
  promote: "promote --full",
  rollback: "abort",
};

/** The command that gives the order to this rollout, such as `serin canary abort web -n shop`. */
export function rolloutCommand(
  kind: RolloutKind,
  { metadata: { name = "", namespace } }: Pick<Rollout, "metadata">,
  action: RolloutAction,
): string {
  const [verb = action, ...flags] = (kind === "Canary" ? (canaryCommands[action] ?? action) : action).split(" ");
  const words = [
    "serin",
    kind === "Canary" ? "canary" : "upgrade",
    verb,
    name,
    ...flags,
    ...(namespace === undefined ? [] : ["-n", namespace]),
  ];
  return words.join(" ");
}

/**
 * The command, limited to one step. Without the limit, a person who copies the command could approve the next step, if
 * somebody else has approved this one in the meantime. The step is quoted, because a wave's name may contain blanks.
 */
export function commandForStep(command: string, step: string): string {
  return `${command} --step ${shellWord(step)}`;
}
