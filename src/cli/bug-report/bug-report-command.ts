import { join, resolve } from "node:path";
import { Option, type Command } from "commander";
import { withoutSecretPaths } from "../../api/serin/index.ts";
import { counted, messageOf, transientError, userError, type Clock } from "../../base/index.ts";
import { errorOfStatus, type KubeClient } from "../../kube/index.ts";
import type { CliContext } from "../context.ts";
import { durationFlag, durationOption } from "../flags.ts";
import { checkNamespaces } from "../existing-namespaces.ts";
import { adminPortFlag } from "../proxies/proxy-admin.ts";
import { makeUserDirectory } from "../user-file.ts";
import { ArchiveWriter } from "./archive-writer.ts";
import { collectReport, namedNamespaces, type ReportFile, type ReportFlags } from "./collect-report.ts";
import { parseSelection, type PodSelection } from "./pod-selection.ts";

interface CommandFlags extends ReportFlags {
  /** Milliseconds. */
  readonly timeout: number;
  readonly outputDir?: string;
  readonly dryRun?: boolean;
}

/** The maximum size of all files of a report, before compression. */
const maxReportBytes = 512 << 20;
const maxFileBytes = 16 << 20;
/** The time limit for one file. A kubelet or a process that hangs accepts a request and never answers. */
const fileTimeoutMs = 20_000;

/**
 * Flags of istioctl that have no effect here: they set parts that a report never has, or the order in which istioctl
 * works.
 */
const flagsWithoutEffect = [
  "--skip-analyze",
  "--skip-coredumps",
  "--skip-netstat",
  "--critical-errs <patterns>",
  "--ignore-errs <patterns>",
  "--rq-concurrency <requests>",
  "--dir <directory>",
];

export function bugReportCommand(program: Command, context: CliContext): void {
  const command = program
    .command("bug-report")
    .description(
      "collect objects, logs and states of a mesh in an archive for support; the archive never contains a Secret's content",
    )
    .option(
      "--include <selection>",
      "collect only from these proxies: ns1,ns2/workload/pod/key=val/key=val/name selects by namespace, workload, pod, label, annotation and container, where * matches any text and later parts may be left out; may be repeated",
      collectSelection,
      [],
    )
    .option("--exclude <selection>", "leave out these proxies", collectSelection, [])
    .option("--duration <time>", "collect only logs of this time, such as 30m", durationFlag)
    .option("--start-time <time>", "collect only logs since this time, such as 2026-01-31T10:00:00Z", timeFlag)
    .addOption(durationOption("--timeout <time>", "the time after which the archive gets no more files", "30m"))
    .option("--tail <lines>", "the maximum number of lines of each log", linesFlag)
    .option("--skip-cluster-dump", "leave out the cluster's objects")
    .option("--skip-proxy-debug", "leave out the states of the proxies")
    .option("--output-dir <directory>", "the directory for bug-report.tar.gz (default: the current one)")
    .option("--dry-run", "print the files that would be collected, and collect nothing")
    .option(...adminPortFlag)
    .addOption(new Option("--istio-namespace <namespace>", "the same as --istioNamespace").hideHelp());
  for (const flag of flagsWithoutEffect)
    command.addOption(new Option(flag, "has no effect; exists for old scripts").hideHelp());
  command.action(async (flags: CommandFlags) => await bugReport(flags, context));
}

function collectSelection(text: string, previous: readonly PodSelection[]): readonly PodSelection[] {
  return [...previous, parseSelection(text)];
}

function timeFlag(text: string): string {
  if (/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/.test(text) && !Number.isNaN(Date.parse(text)))
    return text;
  throw userError("argument-invalid", `expected a time such as 2026-01-31T10:00:00Z, got "${text}"`);
}

function linesFlag(text: string): string {
  if (/^\d{1,9}$/.test(text)) return text;
  throw userError("argument-invalid", `expected a number of lines, got "${text}"`);
}

async function bugReport(flags: CommandFlags, context: CliContext): Promise<void> {
  const directory = resolve(flags.outputDir ?? ".");
  const path = join(directory, "bug-report.tar.gz");
  if (flags.duration !== undefined && flags.startTime !== undefined)
    throw userError("argument-invalid", "--duration and --start-time exclude each other");
  const client = await context.connect(flags);
  await checkAnswer(client);
  await checkNamespaces(client, namedNamespaces(flags.include), "--include");
  if (flags.dryRun === true) {
    let count = 0;
    for await (const { path: file } of collectReport(client, flags, context)) {
      context.out(`${file}\n`);
      count += 1;
    }
    return context.out(`${counted(count, "file")} would be in ${path}\n`);
  }
  makeUserDirectory(directory, "choose another with --output-dir");
  let files = 0;
  let bytes = 0;
  const notes: string[] = [];
  const reader = new ReportReader(context.clock, notes);
  const endMs = context.clock.nowMs() + flags.timeout;
  {
    await using archive = new ArchiveWriter(path, context.clock.nowMs());
    for await (const reportFile of collectReport(client, flags, context)) {
      const file = reportFile.path;
      if (context.signal.aborted) {
        notes.push(`${file} and later files: left out, because the command was ended`);
        break;
      }
      if (context.clock.nowMs() >= endMs) {
        notes.push(`${file} and later files: left out at the time limit; --timeout sets another`);
        break;
      }
      const content = await reader.read(reportFile);
      if (content === undefined) continue;
      if (bytes >= maxReportBytes) {
        notes.push(`${file} and later files: left out, because the report has ${maxReportBytes >> 20} MiB already`);
        break;
      }
      const shown = content.length > maxFileBytes ? content.slice(-maxFileBytes) : content;
      if (shown !== content) notes.push(`${file}: only its last ${maxFileBytes >> 20} MiB`);
      await archive.add(`bug-report/${file}`, shown);
      files += 1;
      bytes += shown.length;
    }
    notes.push(...reader.silentRespondents());
    await archive.add(
      "bug-report/notes.txt",
      notes.length === 0 ? "Everything was collected.\n" : `${notes.join("\n")}\n`,
    );
  }
  for (const note of notes) context.err(`! ${note}\n`);
  context.out(
    `✔ ${counted(files, "file")} (${(bytes / 1024 / 1024).toFixed(1)} MiB) ${files === 1 ? "is" : "are"} in ${path}; read them before you send them to anybody\n`,
  );
}

/** Throws if the API server does not answer or refuses the credentials. Otherwise the report would be empty. */
async function checkAnswer(client: KubeClient): Promise<void> {
  const { status, text } = await client.raw("GET", "/version");
  if (status === 401) throw errorOfStatus({ verb: "get", object: "/version" }, status, text);
}

interface Silent {
  readonly command: string;
  /** How many files were not requested after the first one that got no answer. */
  leftOut: number;
}

/** Reads the files of a report. A kubelet or a process that has not answered once in time gets no further requests. */
class ReportReader {
  readonly #clock: Clock;
  readonly #notes: string[];
  readonly #silent = new Map<string, Silent>();

  constructor(clock: Clock, notes: string[]) {
    this.#clock = clock;
    this.#notes = notes;
  }

  /**
   * The text of a file of the report, without the secret paths of webhook configurations. Returns undefined if it
   * cannot be read, and adds a note with the reason.
   */
  async read({ path, respondents = [], text }: ReportFile): Promise<string | undefined> {
    const [silent] = respondents.flatMap(({ name }) => this.#silent.get(name) ?? []);
    if (silent !== undefined) {
      silent.leftOut += 1;
      return undefined;
    }
    const late = Promise.withResolvers<never>();
    let isLate = false;
    using _timer = this.#clock.after(fileTimeoutMs, () => {
      isLate = true;
      late.reject(transientError("timeout", `no answer within ${fileTimeoutMs / 1000} s`));
    });
    try {
      return withoutSecretPaths(await Promise.race([text(), late.promise]));
    } catch (error) {
      const asked = respondents.at(-1);
      if (isLate && asked !== undefined) this.#silent.set(asked.name, { command: asked.command, leftOut: 0 });
      this.#notes.push(`${path}: ${messageOf(error)}`);
      return undefined;
    }
  }

  silentRespondents(): string[] {
    return [...this.#silent].map(
      ([name, { command, leftOut }]) => `${name} did not answer, so ${leftOut} more files were left out: ${command}`,
    );
  }
}
