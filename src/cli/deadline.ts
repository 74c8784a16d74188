import type { Command } from "commander";
import { transientError } from "../base/index.ts";
import type { CliContext } from "./context.ts";
import { durationOption } from "./flags.ts";

export interface TimeoutFlags {
  readonly timeout: number;
}

export function timeoutFlag(command: Command): Command {
  return command.addOption(durationOption("--timeout <duration>", "how long control planes may take to answer", "30s"));
}

/** Returns the result of the work. Fails if the time in the flag passes first. */
export async function withinTimeout<Result>(
  work: Promise<Result>,
  { timeout }: TimeoutFlags,
  { clock }: Pick<CliContext, "clock">,
): Promise<Result> {
  const { promise, reject } = Promise.withResolvers<never>();
  using _timer = clock.after(timeout, () =>
    reject(
      transientError("timeout", `no control plane answered within ${timeout / 1000} s`, {
        hint: "raise --timeout; kubectl -n istio-system get pods -l app=istiod shows whether istiod runs",
      }),
    ),
  );
  return await Promise.race([work, promise]);
}
