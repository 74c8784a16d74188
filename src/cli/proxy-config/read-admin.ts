import { userError } from "../../base/index.ts";
import { ConfigDump, jsonNames, parseClusterStatuses, type ClusterStatuses } from "../../proxy-dump/index.ts";
import type { CliContext } from "../context.ts";
import { outputFormat } from "../terminal/output.ts";
import { askAdmin, findProxyPod, parseAdminJson, type AdminFlags } from "../proxies/proxy-admin.ts";

export interface DumpFlags extends AdminFlags {
  readonly output?: string;
  readonly file?: string;
}

/** Reads a page of the pod's admin port, or the file that `--file` names instead. */
export async function readAdminText(
  name: string | undefined,
  path: string,
  flags: DumpFlags,
  context: CliContext,
): Promise<string> {
  if ((name === undefined) === (flags.file === undefined)) {
    throw userError(
      "argument-missing",
      name === undefined ? "neither a pod nor --file is given" : "a pod cannot be combined with --file",
      {
        hint: "expected a pod <name>[.<namespace>] or deployment/<name>[.<namespace>], or a saved answer with --file",
      },
    );
  }
  // Check the format first, so that a wrong one is reported even if the cluster cannot be reached.
  outputFormat(flags.output);
  if (flags.file !== undefined) return await context.readFile(flags.file);
  const pod = await findProxyPod(await context.connect(flags), name ?? "", flags, context);
  return await askAdmin(pod, "GET", path, flags, context);
}

export async function readAdmin(
  name: string | undefined,
  path: string,
  flags: DumpFlags,
  context: CliContext,
): Promise<unknown> {
  return jsonNames(parseAdminJson(await readAdminText(name, path, flags, context), whereOf(name, flags)));
}

export async function readDump(
  name: string | undefined,
  query: string,
  flags: DumpFlags,
  context: CliContext,
): Promise<ConfigDump> {
  return new ConfigDump(await readAdmin(name, `/config_dump${query}`, flags, context), whereOf(name, flags));
}

export async function readClusterStatuses(
  name: string | undefined,
  flags: DumpFlags,
  context: CliContext,
): Promise<ClusterStatuses> {
  const where = whereOf(name, flags);
  return parseClusterStatuses(await readAdmin(name, "/clusters?format=json", flags, context), where);
}

function whereOf(name: string | undefined, { file }: DumpFlags): string {
  return file ?? `the answer of ${name ?? "the proxy"}`;
}
