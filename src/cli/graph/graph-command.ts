import { Option, type Command } from "commander";
import { jsonText, userError } from "../../base/index.ts";
import { graphGroupings, type GraphGrouping, type GraphView } from "../../api/dashboard/index.ts";
import type { CliContext } from "../context.ts";
import { checkNamespaces, namesIn } from "../existing-namespaces.ts";
import type { CommonFlags } from "../flags.ts";
import { FirstLook, followViews, sourceLines } from "../mesh-views.ts";
import { screenOf } from "../terminal/screen.ts";
import { renderDot, renderGraph } from "./graph-tree.ts";

interface GraphFlags extends CommonFlags {
  readonly watch?: boolean;
  readonly output?: string;
  readonly by: GraphGrouping;
  readonly window: number;
}

const ctrlC = "\u0003";

/** `serin graph`: the mesh graph for people without a browser. */
export function graphCommand(program: Command, context: CliContext): void {
  program
    .command("graph [namespace]")
    .description(
      "show a tree of the calls between workloads, with rates from the proxies and with measured and configured weights",
    )
    .option("-w, --watch", "refresh once a second; q quits")
    .addOption(
      new Option("--by <what>", "what a node of the graph represents").choices(graphGroupings).default("workload"),
    )
    .option("--window <seconds>", "the number of seconds over which the proxies' rates are averaged", secondsFlag, 60)
    .option("-o, --output <format>", "print the graph once: json or dot")
    .action(async (namespace: string | undefined, flags: GraphFlags) => {
      if (flags.output !== undefined && flags.output !== "json" && flags.output !== "dot")
        throw userError("argument-invalid", `--output ${flags.output} is unknown: expected json or dot`);
      const namespaces = namespace ?? flags.namespace ?? "";
      if (namespaces !== "") await checkNamespaces(await context.connect(flags), namesIn([namespaces]), "graph");
      await showGraph(namespaces, flags, context);
    });
}

function secondsFlag(text: string): number {
  const seconds = Number(text);
  if (!Number.isInteger(seconds) || seconds < 5 || seconds > 7200)
    throw userError("argument-invalid", `expected a number of seconds from 5 to 7200, got "${text}"`);
  return seconds;
}

async function showGraph(namespaces: string, flags: GraphFlags, context: CliContext): Promise<void> {
  const once = flags.watch !== true || flags.output !== undefined;
  const end = new AbortController();
  const signal = AbortSignal.any([context.signal, end.signal]);
  const firstLook = new FirstLook();
  const screen = once ? undefined : screenOf(context);
  using _keys = once ? undefined : context.onKey?.((key) => (key === "q" || key === ctrlC ? end.abort() : undefined));
  const graph = {
    name: "graph",
    parameters: { namespaces, windowSeconds: flags.window, atMs: 0, by: flags.by },
  } as const;
  try {
    await followViews(
      [graph, graph],
      context,
      flags,
      {
        onViews: ({ first, isLate }) => {
          const nowMs = context.clock.nowMs();
          if (!once) return screen?.show(watchedText(first, context));
          if (!firstLook.isReady(first.head.sources, nowMs, isLate) || signal.aborted) return;
          end.abort();
          if (flags.output === "json") return context.out(jsonText(first));
          if (flags.output === "dot") return context.out(renderDot(first));
          context.out(renderGraph(first, { columns: context.columns(), colour: context.colour }));
          for (const line of sourceLines(first.head.sources, nowMs)) context.err(`${line}\n`);
        },
        problem: (text) => (screen === undefined ? context.err(`${text}\n`) : screen.show(`${text}\n`)),
      },
      signal,
    );
  } finally {
    screen?.close();
  }
}

/** Cuts the text to the terminal's height. A text that scrolls the terminal cannot be redrawn in place. */
function watchedText(view: GraphView, context: CliContext): string {
  const columns = context.columns() ?? 80;
  const nowMs = context.clock.nowMs();
  const head = `${new Date(nowMs).toISOString().slice(11, 19)}   over ${view.head.windowSeconds} s   q quits`;
  const notes = sourceLines(view.head.sources, nowMs).map((line) =>
    line.length > columns ? `${line.slice(0, columns - 1)}…` : line,
  );
  const lines = renderGraph(view, { columns, colour: context.colour }).trimEnd().split("\n");
  const room = Math.max(1, (context.rows?.() ?? 24) - 3 - notes.length);
  const shown =
    lines.length > room ? [...lines.slice(0, room - 1), `and ${lines.length - room + 1} more lines`] : lines;
  return `${[head, ...notes, ...shown].join("\n")}\n`;
}
