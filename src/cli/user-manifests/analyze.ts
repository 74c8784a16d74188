import type { Command } from "commander";
import { counted, nearestName, userError } from "../../base/index.ts";
import { readMeshConfig } from "../../api/mesh-config-text/index.ts";
import type { MeshConfig } from "../../api/istio/index.ts";
import {
  analyze,
  analyzers,
  formatMessage,
  isMessageCode,
  levels,
  messageTypes,
  plainMessage,
  reaches,
  type Level,
  type Message,
  type Resource,
  type Suppression,
} from "../../analyze/index.ts";
import { CommandEnd } from "../command-end.ts";
import type { CliContext } from "../context.ts";
import { collect, durationOption, istioNamespaceOf, type CommonFlags } from "../flags.ts";
import { faultText, readManifests, type ReadManifests } from "./manifest-files.ts";

interface AnalyzeFlags extends CommonFlags {
  readonly useKube: boolean;
  readonly allNamespaces?: boolean;
  readonly failureThreshold: Level;
  readonly outputThreshold: Level;
  readonly output: "log" | "json" | "yaml";
  readonly suppress: readonly string[];
  readonly analyzer: readonly string[];
  readonly listAnalyzers?: boolean;
  readonly listMessages?: boolean;
  readonly revision: string;
  readonly timeout: number;
  readonly ignoreUnknown?: boolean;
  readonly meshConfigFile?: string;
  readonly remoteContexts: readonly string[];
  readonly verbose?: boolean;
  readonly color?: boolean;
}

/** istioctl's exit code if findings reach the failure threshold. */
const foundExitCode = 79;
/** istioctl's exit code if a file could not be parsed. */
const unparsedExitCode = 65;
/** The exit code if a part of the cluster could not be read. */
const incompleteExitCode = 1;
const formats = ["log", "json", "yaml"] as const;

export function analyzeCommand(program: Command, context: CliContext): void {
  program
    .command("analyze [files...]")
    .description("find problems in the cluster, in files, or in the cluster together with files")
    .option("-k, --use-kube", "analyse the cluster; --use-kube=false analyses only the files", true)
    .option("--no-use-kube", "analyse only the files")
    .option("-A, --all-namespaces", "analyse all namespaces")
    .option(
      "--failure-threshold <level>",
      `exit with ${foundExitCode} for messages of this level or above: ${levels.join(", ")}`,
      level,
      "Error",
    )
    .option("--output-threshold <level>", `show messages of this level or above: ${levels.join(", ")}`, level, "Info")
    .option("-o, --output <format>", `one of ${formats.join(", ")}`, format, "log")
    .option(
      "-S, --suppress <code=resource>",
      'leave out messages, such as "IST0102=Namespace default" or "IST0103=Pod *.test"; may be repeated',
      collect,
      [],
    )
    .option("--analyzer <name>", "run only this analyzer; may be repeated", collect, [])
    .option("-L, --list-analyzers", "list the analyzers")
    .option("--list-messages", "list the messages with their codes and levels")
    .option("-r, --revision <revision>", "analyse only the objects that this revision reads", "default")
    .addOption(durationOption("--timeout <duration>", "how long to wait for the cluster's objects", "30s"))
    .option("--ignore-unknown", "do not fail if a document is not a Kubernetes object")
    .option("--meshConfigFile <file>", "use the mesh config of this file instead of the cluster's")
    .option("-R, --recursive", "has no effect; the command always reads directories recursively")
    .option(
      "--remote-contexts <name>",
      "has no effect; the command reads only one cluster: run it once for each --context",
      collect,
      [],
    )
    .option("-v, --verbose", "print the analyzers that ran")
    .option("--color", "print colours, also without a terminal")
    .option("--no-color", "print no colours")
    .action(async (files: readonly string[], flags: AnalyzeFlags) => await run(files, flags, context));
}

function level(text: string): Level {
  const found = levels.find((known) => known.toLowerCase() === text.toLowerCase());
  if (found === undefined)
    throw userError("argument-invalid", `a level must be one of ${levels.join(", ")}, got "${text}"`);
  return found;
}

function format(text: string): AnalyzeFlags["output"] {
  const found = formats.find((known) => known === text.toLowerCase());
  if (found === undefined)
    throw userError("argument-invalid", `an output format must be one of ${formats.join(", ")}, got "${text}"`);
  return found;
}

async function run(paths: readonly string[], flags: AnalyzeFlags, context: CliContext): Promise<void> {
  if (flags.listAnalyzers === true)
    return context.out(
      analyzers
        .map(({ name, description }) => `* ${name}:\n    ${description}\n`)
        .toSorted()
        .join(""),
    );
  if (flags.listMessages === true)
    return context.out(
      Object.values(messageTypes)
        .map(({ code, level: own, name, description }) => `${code} ${own.padEnd(7)} ${name}: ${description}\n`)
        .join(""),
    );
  if (!flags.useKube && paths.length === 0)
    throw userError("argument-missing", "there is nothing to analyse: neither files nor the cluster", {
      hint: "pass files, or leave out --use-kube=false to analyse the cluster",
    });
  checkAnalyzers(flags.analyzer);
  if (flags.remoteContexts.length > 0)
    context.err(
      "! --remote-contexts has no effect; to analyse other clusters, run the command once for each --context\n",
    );
  const suppressions = suppressionsOf(flags.suppress, context);
  const files = await readManifests(paths, "pipes", context);
  for (const fault of files.faults)
    context.err(`Error(s) adding files: errors parsing content "${fault.file}": ${faultText(fault)}\n`);
  const target = await targetOf(files, flags, context);
  const where = flags.allNamespaces === true ? "all namespaces" : `namespace: ${target.defaultNamespace}`;
  const messages = analyze(target.resources, {
    ...target,
    suppressions,
    only: flags.analyzer,
    nowMs: context.clock.nowMs(),
  });
  if (flags.verbose === true)
    context.err(
      `Analyzed ${counted(target.resources.length, "object")} in ${where} with ${counted(flags.analyzer.length === 0 ? analyzers.length : flags.analyzer.length, "analyzer")}\n`,
    );
  const shown = messages.filter((message) => reaches(message.type.level, flags.outputThreshold));
  await print(shown, flags, context);
  const unread = [...(target.unread ?? [])];
  const extent = { files, unread, where, usesCluster: flags.useKube };
  if (shown.length === 0) reportNothing(extent, context);
  end(messages, extent, flags, context);
}

function checkAnalyzers(names: readonly string[]): void {
  const known = analyzers.map(({ name }) => name);
  const unknown = names.find((name) => !known.includes(name));
  if (unknown === undefined) return;
  const near = nearestName(unknown, known);
  throw userError(
    "argument-invalid",
    `there is no analyzer "${unknown}"${near === undefined ? "" : `; did you mean ${near}?`}`,
    { hint: "serin analyze -L lists them" },
  );
}

function suppressionsOf(texts: readonly string[], context: CliContext): readonly Suppression[] {
  return texts.map((text) => {
    const [code = "", resource, ...rest] = text.split("=");
    if (resource === undefined || rest.length > 0)
      throw userError("argument-invalid", `--suppress must be CODE=Kind name.namespace, got "${text}"`, {
        hint: 'such as -S "IST0102=Namespace default"',
      });
    if (!isMessageCode(code))
      context.err(
        `Warning: ${code} is not a message code, so nothing is suppressed by "${text}"; serin analyze --list-messages lists them\n`,
      );
    return { code, resource };
  });
}

interface Target {
  readonly resources: readonly Resource[];
  readonly scope: "cluster" | "files";
  readonly namespace: string | undefined;
  readonly onlyNamespace: boolean;
  readonly defaultNamespace: string;
  readonly istioNamespace: string;
  readonly unread?: ReadonlySet<string>;
  readonly notServed?: ReadonlySet<string>;
  readonly meshConfig?: MeshConfig | undefined;
}

async function targetOf(files: ReadManifests, flags: AnalyzeFlags, context: CliContext): Promise<Target> {
  const istioNamespace = istioNamespaceOf(flags);
  const cluster = flags.useKube ? await import("../../preflight/analysed-cluster/index.ts") : undefined;
  const fromFile =
    flags.meshConfigFile === undefined
      ? undefined
      : readMeshConfig(await context.readFile(flags.meshConfigFile), flags.meshConfigFile);
  if (cluster === undefined) {
    const named = flags.allNamespaces === true ? undefined : flags.namespace;
    return {
      resources: files.resources,
      scope: "files",
      namespace: named,
      onlyNamespace: named !== undefined,
      defaultNamespace: flags.namespace ?? "default",
      istioNamespace,
      meshConfig: fromFile,
    };
  }
  const client = await context.connect(flags);
  const namespace = flags.namespace ?? (await context.defaultNamespace(flags));
  const limit = { timeoutMs: flags.timeout, hint: "pass a longer --timeout" };
  const contents = await cluster.readAnalysedCluster(client, { istioNamespace, revision: flags.revision }, limit);
  cluster.checkRevision(contents, flags.revision);
  const { objects } = contents;
  const [firstError] = contents.unread.values();
  if (objects.length === 0 && firstError !== undefined) throw firstError;
  for (const error of contents.unread.values())
    context.err(`! ${error.message}; analyze leaves out the checks that need them\n`);
  if (
    flags.allNamespaces !== true &&
    !contents.unread.has("/Namespace") &&
    !objects.some(({ kind, metadata }) => kind === "Namespace" && metadata.name === namespace) &&
    !hasNamespace(files, namespace)
  ) {
    throw userError("object-missing", `namespace "${namespace}" not found`, {
      hint: "kubectl get namespaces lists the namespaces; -A analyses all of them",
    });
  }
  return {
    resources: [...objects.map((object) => ({ object })), ...files.resources],
    scope: "cluster",
    namespace: flags.allNamespaces === true ? undefined : namespace,
    onlyNamespace: flags.allNamespaces !== true && flags.namespace !== undefined,
    defaultNamespace: namespace,
    istioNamespace,
    unread: new Set(contents.unread.keys()),
    notServed: contents.notServed,
    meshConfig: fromFile ?? cluster.meshConfigOf(contents, { istioNamespace }),
  };
}

function hasNamespace({ resources }: ReadManifests, name: string): boolean {
  return resources.some(({ object: { kind, metadata } }) => kind === "Namespace" && metadata.name === name);
}

async function print(messages: readonly Message[], flags: AnalyzeFlags, context: CliContext): Promise<void> {
  if (flags.output === "json") return context.out(`${JSON.stringify(messages.map(plainMessage), undefined, "\t")}\n`);
  if (flags.output === "yaml")
    return context.out((await import("yaml")).stringify(messages.map(plainMessage), { lineWidth: 0 }));
  const colour = flags.color ?? context.colour;
  for (const message of messages) context.out(`${formatMessage(message, { colour })}\n`);
}

interface Extent {
  readonly files: ReadManifests;
  /** The kinds that the cluster did not list, as `group/Kind`. */
  readonly unread: readonly string[];
  readonly where: string;
  readonly usesCluster: boolean;
}

function reportNothing({ files: { files, faults }, unread, where, usesCluster }: Extent, context: CliContext): void {
  const broken = new Set(faults.map(({ file }) => file)).size;
  const lacks = [
    ...(broken > 0 ? [`${broken} ${broken === 1 ? "file" : "files"} could not be parsed`] : []),
    ...(unread.length > 0 ? [`${unread.length} ${unread.length === 1 ? "kind" : "kinds"} could not be read`] : []),
  ];
  if (lacks.length > 0)
    context.err(`No validation issues found when analyzing ${where} (but ${lacks.join(" and ")}).\n`);
  else if (files.length > 1)
    context.err(`✔ No validation issues found when analyzing:\n${files.map((file) => `  - ${file}\n`).join("")}`);
  else if (files.length === 0 && !usesCluster) context.err("No file was analyzed.\n");
  else context.err(`✔ No validation issues found when analyzing ${files[0] ?? where}.\n`);
}

/**
 * Ends the command with its exit code. All messages count for the code, even hidden ones. With JSON or YAML output,
 * messages do not change the code, because the program that reads the output decides. Kinds that could not be read
 * change it in every format, because the output does not show them.
 */
function end(
  messages: readonly Message[],
  { files: { faults }, unread, where }: Extent,
  flags: AnalyzeFlags,
  context: CliContext,
): void {
  const isLog = flags.output === "log";
  if (isLog && messages.some(({ type }) => reaches(type.level, flags.failureThreshold))) {
    context.err(
      `Error: Analyzers found issues when analyzing ${where}.\nSee https://istio.io/v1.31/docs/reference/config/analysis for more information about causes and resolutions.\n`,
    );
    throw new CommandEnd("problem-found", foundExitCode);
  }
  if (isLog && faults.length > 0 && flags.ignoreUnknown !== true) {
    context.err("Error: Some files couldn't be parsed.\n");
    throw new CommandEnd("problem-found", unparsedExitCode);
  }
  if (unread.length > 0) {
    const names = unread.map((kind) => kind.replace(/^\//, "")).toSorted();
    context.err(`Error: The analysis is incomplete, because the cluster did not list ${names.join(", ")}.\n`);
    throw new CommandEnd("problem-found", incompleteExitCode);
  }
}
