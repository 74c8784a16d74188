import { Command } from "commander";
import { chartCommands } from "./charts/charts-command.ts";
import { completionCommands } from "./completion.ts";
import type { CliContext } from "./context.ts";
import { installCommands } from "./install.ts";
import { manifestCommands } from "./manifest.ts";
import { operatorCommands } from "./operator.ts";
import { profileCommands } from "./profile.ts";
import { rolloutCommands } from "./rollouts.ts";
import { statusCommands } from "./status.ts";
import { tagCommands } from "./tag.ts";
import { uninstallCommand } from "./uninstall.ts";
import { ztunnelConfigCommands } from "./ztunnel-config.ts";

/** The verbs that every release has; `cmd` adds those of parts that the command line does not know. */
export function createProgram(context: CliContext): Command {
  const program = new Command("serin");
  program
    .description("A service mesh that speaks Istio, in which anything is changed by canary, with no failed request, and can be undone.")
    .configureOutput({ writeOut: context.out, writeErr: context.err })
    .showSuggestionAfterError()
    .exitOverride();
  installCommands(program, context);
  uninstallCommand(program, context);
  manifestCommands(program, context);
  profileCommands(program, context);
  tagCommands(program, context);
  operatorCommands(program, context);
  chartCommands(program, context);
  statusCommands(program, context);
  ztunnelConfigCommands(program, context);
  rolloutCommands(program, context);
  completionCommands(program, context);
  return program;
}
