import { Option, type Command } from "commander";
import { jsonText, userError } from "../../base/index.ts";
import type { SourceState, TopicName } from "../../api/dashboard/index.ts";
import type { CliContext } from "../context.ts";
import { checkNamespaces, namesIn } from "../existing-namespaces.ts";
import type { CommonFlags } from "../flags.ts";
import { FirstLook, followViews, sourceLines, type Followed } from "../mesh-views.ts";
import { rateText, shareText } from "../terminal/measure-text.ts";
import { screenOf } from "../terminal/screen.ts";
import { sortedRows, topRows, topSorts, topSubjects, type TopRow, type TopSort, type TopSubject } from "./top-rows.ts";
import { renderTop } from "./top-table.ts";

interface TopFlags extends CommonFlags {
  readonly sort: TopSort;
  readonly once?: boolean;
  readonly output?: string;
}

/** The time over which rates are measured. It is the same as in the dashboard's tables. */
const windowSeconds = 60;
const ctrlC = "\u0003";

/** `serin top`: like `top`, for a mesh. */
export function topCommand(program: Command, context: CliContext): void {
  program
    .command("top [subject]")
    .description(
      "show workloads, services or namespaces by their requests, errors and latency, and refresh every second; the keys r, e, p, n and t sort, and q quits",
    )
    .addOption(new Option("--sort <by>", "the order of the rows").choices(topSorts).default("rate"))
    .option("--once", "measure for some seconds, and print the result once")
    .option("-o, --output <format>", "json prints the result once, as one JSON object")
    .action(async (subject: string | undefined, flags: TopFlags) => {
      const known = topSubjects.find((candidate) => candidate === (subject ?? "workloads"));
      if (known === undefined)
        throw userError(
          "argument-invalid",
          `"${subject ?? ""}" is not a subject of top: expected ${topSubjects.join(", ")}`,
        );
      if (flags.output !== undefined && flags.output !== "json")
        throw userError("argument-invalid", `--output ${flags.output} is unknown: expected json`);
      const { namespace = "" } = flags;
      if (namespace !== "") await checkNamespaces(await context.connect(flags), namesIn([namespace]), "--namespace");
      await showTop(known, flags, context);
    });
}

async function showTop(subject: TopSubject, flags: TopFlags, context: CliContext): Promise<void> {
  const once = flags.once === true || flags.output === "json" || context.columns() === undefined;
  const end = new AbortController();
  const signal = AbortSignal.any([context.signal, end.signal]);
  const namespaces = flags.namespace ?? "";
  const graph: Followed<"graph"> = {
    name: "graph",
    parameters: { namespaces, windowSeconds, atMs: 0, by: subject === "services" ? "service" : "workload" },
  };
  const firstLook = new FirstLook();
  const screen = once ? undefined : screenOf(context);
  let sort = flags.sort;
  let last: { rows: TopRow[]; sources: readonly SourceState[]; problem: string } | undefined;
  const draw = (): void => {
    if (last === undefined || screen === undefined) return;
    screen.show(topText(subject, { ...last, rows: sortedRows(last.rows, sort) }, sort, context));
  };
  using _keys = once
    ? undefined
    : context.onKey?.((key) => {
        if (key === "q" || key === ctrlC) end.abort();
        sort = ({ r: "rate", e: "errors", p: "p99", n: "name", t: "restarts" }[key] as TopSort | undefined) ?? sort;
        draw();
      });
  try {
    const table: Followed<Exclude<TopicName, "graph">> =
      subject === "namespaces" ? { name: "overview", parameters: {} } : { name: subject, parameters: { namespaces } };
    await followViews(
      [table, graph],
      context,
      flags,
      {
        onViews: ({ first, second, isLate }) => {
          const nowMs = context.clock.nowMs();
          const sources = mergedSources(first.head.sources, second.head.sources);
          const rows = topRows(first as Parameters<typeof topRows>[0], second).filter(
            ({ name }) => subject !== "namespaces" || namespaces === "" || namespaces.split(",").includes(name),
          );
          last = { rows, sources, problem: "" };
          if (!once) return draw();
          if (!firstLook.isReady(sources, nowMs, isLate) || signal.aborted) return;
          end.abort();
          const sorted = sortedRows(rows, sort);
          if (flags.output === "json")
            context.out(jsonText({ subject, atMs: nowMs, windowSeconds, sources, rows: sorted }));
          else {
            context.out(
              renderTop(sorted, { subject, columns: context.columns(), colour: context.colour, rows: undefined }),
            );
            for (const line of sourceLines(sources, nowMs)) context.err(`${line}\n`);
          }
        },
        problem: (text) => {
          if (last === undefined) {
            if (screen === undefined) context.err(`${text}\n`);
            else screen.show(`${text}\n`);
          } else {
            last = { ...last, problem: text };
            draw();
          }
        },
      },
      signal,
    );
  } finally {
    screen?.close();
  }
}

function mergedSources(...lists: readonly (readonly SourceState[])[]): readonly SourceState[] {
  return [...new Map(lists.flat().map((source) => [source.name, source])).values()];
}

function topText(
  subject: TopSubject,
  {
    rows,
    sources,
    problem,
  }: { readonly rows: readonly TopRow[]; readonly sources: readonly SourceState[]; readonly problem: string },
  sort: TopSort,
  context: CliContext,
): string {
  const columns = context.columns() ?? 80;
  const rate = rows.reduce((sum, row) => sum + row.requestRate, 0);
  const failed = rows.reduce((sum, row) => sum + row.requestRate * row.errorShare, 0);
  const time = new Date(context.clock.nowMs()).toISOString().slice(11, 19);
  const summary = `${rows.length} ${subject}, ${rate === 0 ? "no requests" : `${rateText(rate)}, ${shareText(failed / rate)} fail`}, by ${sort}   ${time}   q quits; r e p n t sort`;
  const notes = [...(problem === "" ? [] : [problem]), ...sourceLines(sources, context.clock.nowMs())];
  const cut = (line: string): string => (line.length > columns ? `${line.slice(0, columns - 1)}…` : line);
  // Besides the rows, the terminal needs lines for the header, the summary, the notes, the count of hidden rows, and
  // the cursor.
  const height = Math.max(1, (context.rows?.() ?? 24) - 4 - notes.length);
  return `${[cut(summary), ...notes.map(cut)].join("\n")}\n${renderTop(rows, { subject, columns, colour: context.colour, rows: height })}`;
}
