import type { Command } from "commander";
import type { CliContext } from "../context.ts";
import { timeoutFlag } from "../deadline.ts";
import { durationOption, revisionFlag, type CommonFlags } from "../flags.ts";
import { adminPortFlag } from "../proxies/proxy-admin.ts";
import { statusCommands } from "../proxies/status.ts";
import { versionCommand } from "../control-planes/version.ts";
import { waypointCommands } from "../proxies/waypoint.ts";
import type { AuthzFlags } from "./authz-check.ts";
import type { CheckInjectFlags } from "./check-inject.ts";
import type { DescribeFlags } from "./describe.ts";
import type { StatsFlags } from "./envoy-stats.ts";
import type { DebugFlags } from "./internal-debug.ts";
import type { MetricsFlags } from "./metrics.ts";
import type { PrecheckFlags } from "./precheck.ts";
import type { RevisionFlags } from "./revisions.ts";

/** `experimental …`, `x …`: verbs that istioctl may still change. A verb loads its code only when it runs. */
export function experimentalCommands(program: Command, context: CliContext): void {
  const parent = program
    .command("experimental")
    .aliases(["x", "exp"])
    .description("run verbs that istioctl may still change");
  checkCommands(parent, context);
  describeCommands(parent, context);
  askingCommands(parent, context);
  waypointCommands(parent, context);
  // istioctl still accepts these verbs here, where its older releases had them.
  versionCommand(parent, context);
  statusCommands(parent, context);
}

function checkCommands(parent: Command, context: CliContext): void {
  revisionFlag(parent.command("precheck"))
    .description(
      "check whether a mesh can be installed or upgraded in the cluster: its version, your rights, the Gateway API, and stored objects that the control plane refuses or corrects",
    )
    .option("--skip-controlplane", "run only the checks of --from-version")
    .option("--output-threshold <level>", "show messages of this level or above: Info, Warning, Error", "Warning")
    .option("-o, --output <format>", "log, json or yaml", "log")
    .option("-f, --from-version <version>", "also check changes since this version of Istio")
    .action(async (flags: PrecheckFlags) => await (await import("./precheck.ts")).precheck(flags, context));
  parent
    .command("check-inject [pod]")
    .description("show whether a webhook would inject a pod, or a pod with given labels, and why")
    .option("-l, --labels <labels>", "the labels of a planned pod: app=web,version=v1")
    .action(
      async (name: string | undefined, flags: CheckInjectFlags) =>
        await (await import("./check-inject.ts")).checkInject(name, flags, context),
    );
  parent
    .command("authz")
    .description("check authorization policies")
    .command("check [pod]")
    .description("show the policies that a pod's proxy enforces now")
    .option("-f, --file <file>", "read a saved response of /config_dump instead of a pod's")
    .option(...adminPortFlag)
    .action(
      async (name: string | undefined, flags: AuthzFlags) =>
        await (await import("./authz-check.ts")).checkAuthorization(name, flags, context),
    );
}

function describeCommands(parent: Command, context: CliContext): void {
  const describe = parent
    .command("describe")
    .alias("des")
    .description("describe how the mesh treats a pod or a service");
  const describeFlags = (command: Command): Command =>
    command.option("--ignoreUnmeshed", "do not warn of pods that are not in the mesh").option(...adminPortFlag);
  describeFlags(
    describe.command("pod <pod>").alias("po").description("describe the services, routes, rules and policies of a pod"),
  ).action(
    async (name: string, flags: DescribeFlags) =>
      await (await import("./describe.ts")).describePod(name, flags, context),
  );
  describeFlags(
    describe
      .command("service <service>")
      .aliases(["svc"])
      .description("describe the ports, routes, rules and gateways of a service"),
  ).action(
    async (name: string, flags: DescribeFlags) =>
      await (await import("./describe.ts")).describeService(name, flags, context),
  );
  const injector = parent.command("injector").description("list sidecar injectors");
  injector
    .command("list")
    .description("list the revision and the image that inject each namespace")
    .action(async (flags: CommonFlags) => await (await import("./injector-list.ts")).listInjectors(flags, context));
  const revision = parent
    .command("revision")
    .aliases(["revisions", "rev"])
    .description("list or describe the revisions of this cluster");
  const outputFlag = (command: Command): Command =>
    command.option("-o, --output <format>", "json, yaml or table", "table");
  outputFlag(
    revision
      .command("list")
      .description("list the revisions with their tags and the namespaces and pods that use them"),
  ).action(async (flags: RevisionFlags) => await (await import("./revisions.ts")).listRevisions(flags, context));
  outputFlag(revision.command("describe <revision>").description("describe one revision, by its name or a tag")).action(
    async (name: string, flags: RevisionFlags) =>
      await (await import("./revisions.ts")).describeRevision(name, flags, context),
  );
}

function askingCommands(parent: Command, context: CliContext): void {
  parent
    .command("envoy-stats [pod]")
    .alias("es")
    .description("show the counters of a pod's proxy")
    .option("-o, --output <format>", "short, json, yaml, prom, or prom-merged (with the application's)", "short")
    .option("-t, --type <type>", "server or clusters", "server")
    .option("-l, --selector <labels>", "select all pods with these labels")
    .option(...adminPortFlag)
    .action(
      async (name: string | undefined, flags: StatsFlags) =>
        await (await import("./envoy-stats.ts")).envoyStats(name, flags, context),
    );
  parent
    .command("metrics [workloads...]")
    .alias("m")
    .description("show the server-side requests, errors and latencies of workloads (name or name.namespace)")
    .addOption(durationOption("-d, --duration <duration>", "the time over which rates are averaged", "1m"))
    .action(
      async (workloads: readonly string[], flags: MetricsFlags) =>
        await (await import("./metrics.ts")).workloadMetrics(workloads, flags, context),
    );
  timeoutFlag(revisionFlag(parent.command("internal-debug [type]")))
    .alias("iv")
    .description("show the response of a debug page (/debug/) of a control plane")
    .option("--all", "read each control plane, not only the first")
    .option("-L, --list", "list the debug pages")
    .action(
      async (page: string | undefined, flags: DebugFlags) =>
        await (await import("./internal-debug.ts")).internalDebug(page, flags, context),
    );
}
