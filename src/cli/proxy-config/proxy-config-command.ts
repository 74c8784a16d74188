import type { Command } from "commander";
import { userError } from "../../base/index.ts";
import type { CliContext } from "../context.ts";
import { portFlag } from "../flags.ts";
import { outputFormat, renderValue } from "../output.ts";
import { adminPortFlag, askAdmin, findProxyPod, parseAdminJson, type AdminFlags } from "../proxy-admin.ts";
import { endpointTable, filterEndpointClusters, type ClusterStatuses, type EndpointFilter } from "./endpoints.ts";
import { jsonNames } from "./json-names.ts";

interface DumpFlags extends AdminFlags {
  readonly output?: string;
  readonly file?: string;
}

/** `proxy-config …`: what a proxy's admin port tells, in istioctl's columns; Envoy answers in the same form. */
export function proxyConfigCommands(program: Command, context: CliContext): void {
  const parent = program.command("proxy-config").alias("pc").description("what the proxy of a pod is configured with: a sidecar's, a gateway's or a waypoint's; names are [<type>/]<name>[.<namespace>]");
  withEndpointFlags(dumpCommand(parent, "endpoint", ["endpoints", "ep"], "where its clusters send requests, and how healthy that is", "the answer of /clusters?format=json")).action(
    async (name: string | undefined, flags: DumpFlags & EndpointFilter) => await endpoints(name, flags, context),
  );
}

function dumpCommand(parent: Command, name: string, aliases: readonly string[], text: string, file: string): Command {
  return parent
    .command(`${name} [pod]`)
    .aliases([...aliases])
    .description(text)
    .option("-o, --output <format>", "json, yaml or short", "short")
    .option("-f, --file <file>", `${file}, saved, instead of a pod's; - is standard input`)
    .option(...adminPortFlag);
}

function withEndpointFlags(command: Command): Command {
  return command
    .option("--address <address>", "only endpoints at this address")
    .option("--port <port>", "only endpoints on this port", portFlag)
    .option("--cluster <name>", "only the endpoints of this cluster")
    .option("--status <status>", "only endpoints of this health: healthy, unhealthy, …");
}

/** An answer of the proxy of the pod, or the file that stands for it, with JSON's names. */
async function readAdmin(name: string | undefined, path: string, flags: DumpFlags, context: CliContext): Promise<unknown> {
  if ((name === undefined) === (flags.file === undefined)) {
    throw userError("pod-missing", name === undefined ? "which pod is meant is not said" : "a pod and --file exclude each other", { hint: "give a pod as <name>[.<namespace>] or deployment/<name>[.<namespace>], or a saved answer by --file" });
  }
  if (flags.file !== undefined) return jsonNames(parseAdminJson(await context.readFile(flags.file), flags.file));
  const pod = await findProxyPod(await context.connect(flags), name ?? "", flags, context);
  return jsonNames(parseAdminJson(await askAdmin(pod, "GET", path, flags, context), `the answer of ${pod.name}.${pod.namespace}`));
}

async function endpoints(name: string | undefined, flags: DumpFlags & EndpointFilter, context: CliContext): Promise<void> {
  const format = outputFormat(flags.output);
  const statuses = (await readAdmin(name, "/clusters?format=json", flags, context)) as ClusterStatuses;
  context.out(format === "table" ? endpointTable(statuses, flags) : await renderValue(filterEndpointClusters(statuses, flags), format));
}
