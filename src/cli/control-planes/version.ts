import type { Command } from "commander";
import { describeError } from "../../base/index.ts";
import type { CliContext } from "../context.ts";
import { timeoutFlag, type TimeoutFlags } from "../deadline.ts";
import { revisionFlag, type CommonFlags } from "../flags.ts";
import { outputFormat, renderValue } from "../terminal/output.ts";

interface VersionFlags extends CommonFlags, TimeoutFlags {
  readonly output?: string;
  readonly remote?: boolean;
  readonly short?: boolean;
  readonly revision?: string;
}

export function versionCommand(program: Command, context: CliContext): void {
  timeoutFlag(revisionFlag(program.command("version")))
    .description("show the versions of the command line, the control planes and the data planes")
    .option("--remote", "read the versions from the cluster (default), and fail if the cluster does not answer")
    .option("--no-remote", "show only the version of the command line")
    .option("-s, --short", "show only version numbers (default)")
    .option("--no-short", "show each proxy on its own line")
    .option("-o, --output <format>", "json or yaml")
    .action(
      async (flags: VersionFlags, command: Command) =>
        await version(flags, command.getOptionValueSource("remote") === "cli", context),
    );
}

interface Versions {
  readonly meshVersion: readonly {
    readonly Component: string;
    readonly revision: string;
    readonly Info: { readonly version: string };
  }[];
  /** Why no control plane reported its version. Absent if one did, or if the mesh is not installed. */
  readonly absence?: string;
  readonly dataPlaneVersion: readonly { readonly ID: string; readonly IstioVersion: string }[];
}

async function version(flags: VersionFlags, isRemoteExplicit: boolean, context: CliContext): Promise<void> {
  const format = outputFormat(flags.output, ["json", "yaml"]);
  const planes = flags.remote === false ? undefined : await remoteVersions(flags, isRemoteExplicit, context);
  if (format !== "table") {
    const { absence: _, ...versions } = planes ?? {};
    context.out(await renderValue({ clientVersion: { version: context.version }, ...versions }, format));
    return;
  }
  context.out(`client version: ${context.version}\n`);
  if (planes === undefined) return;
  const { meshVersion, dataPlaneVersion } = planes;
  if (meshVersion.length === 0) context.err(`${planes.absence ?? "Istio is not present in the cluster"}\n`);
  const isOne =
    new Set(meshVersion.map(({ Info }) => Info.version)).size === 1 &&
    new Set(meshVersion.map(({ revision }) => revision)).size === 1;
  for (const { revision, Info } of isOne ? meshVersion.slice(0, 1) : meshVersion)
    context.out(
      `control plane version: ${Info.version}${isOne && revision === "default" ? "" : ` (revision ${revision})`}\n`,
    );
  if (flags.short === false)
    for (const { ID, IstioVersion } of dataPlaneVersion) context.out(`data plane version: ${IstioVersion} (${ID})\n`);
  else context.out(`data plane version: ${counted(dataPlaneVersion)}\n`);
}

function counted(proxies: Versions["dataPlaneVersion"]): string {
  const counts = new Map<string, number>();
  for (const { IstioVersion } of proxies) counts.set(IstioVersion, (counts.get(IstioVersion) ?? 0) + 1);
  const texts = [...counts]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([number, count]) => `${number} (${count} proxies)`);
  return texts.length === 0 ? "none" : texts.join(", ");
}

/**
 * The versions in the cluster. If they cannot be read, returns undefined, or throws if `--remote` or `--revision` is
 * given.
 */
async function remoteVersions(
  flags: VersionFlags,
  isRemoteExplicit: boolean,
  context: CliContext,
): Promise<Versions | undefined> {
  try {
    return await askVersions(flags, context);
  } catch (error) {
    if (isRemoteExplicit || flags.revision !== undefined) throw error;
    // Without a kubeconfig there is no cluster to query.
    if (!(error instanceof Error && "code" in error && error.code === "kubeconfig-missing"))
      context.err(`! the versions in the cluster are unknown: ${describeError(error).split("\n")[0] ?? ""}\n`);
    return undefined;
  }
}

async function askVersions(flags: VersionFlags, context: CliContext): Promise<Versions> {
  const { askEach, askPilot, listProxies, reachPilots, withoutPilots } = await import("./pilots.ts");
  const { client, pilots } = await reachPilots(flags, context);
  if (pilots.length === 0) {
    const { reason, remedy, isInstalled } = await withoutPilots(client, context.programName);
    return { meshVersion: [], dataPlaneVersion: [], ...(isInstalled ? { absence: `${reason}; ${remedy}` } : {}) };
  }
  const { answers, faults } = await askEach(
    pilots,
    async (pilot) => ({
      number: (await askPilot(client, pilot, 15_014, "/version")).trim(),
      proxies: await listProxies(client, pilot),
    }),
    flags,
    context,
  );
  for (const fault of faults) context.err(`! ${describeError(fault).split("\n")[0] ?? ""}\n`);
  return {
    meshVersion: answers.map(({ pilot, answer }) => ({
      Component: "pilot",
      revision: pilot.revision,
      Info: { version: answer.number },
    })),
    dataPlaneVersion: answers.flatMap(({ answer }) =>
      answer.proxies.map(({ id, version: number }) => ({ ID: id, IstioVersion: number })),
    ),
  };
}
