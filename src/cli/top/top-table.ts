import { paint } from "../terminal/colour.ts";
import type { CliContext } from "../context.ts";
import {
  bytesText,
  latencyText,
  healthColours,
  healthMarks,
  lockText,
  rateText,
  shareText,
} from "../terminal/measure-text.ts";
import { withWhatFits } from "../terminal/with-what-fits.ts";
import type { TopRow, TopSubject } from "./top-rows.ts";

export interface TopTableOptions {
  readonly subject: TopSubject;
  readonly columns: number | undefined;
  readonly colour: boolean;
  readonly rows: number | undefined;
}

interface Column {
  readonly title: string;
  readonly cell: (row: TopRow) => string;
  readonly right?: boolean;
  /** On a narrow terminal, the column with the highest value is the first to be removed. */
  readonly spare: number;
}

const gap = 2;
const leastName = 12;
/** The maximum width of namespaces if the terminal is too narrow for whole ones. */
const narrowNamespace = 20;

function columnsOf(subject: TopSubject): Column[] {
  const all: (Column | undefined)[] = [
    { title: "", cell: ({ health }) => healthMarks[health], spare: 0 },
    subject === "namespaces" ? undefined : { title: "NAMESPACE", cell: ({ namespace }) => namespace, spare: 2 },
    { title: "NAME", cell: ({ name }) => name, spare: 0 },
    { title: subject === "namespaces" ? "WORKLOADS" : "READY", cell: ({ ready }) => ready, right: true, spare: 3 },
    { title: "RATE", cell: ({ requestRate }) => rateText(requestRate), right: true, spare: 0 },
    {
      title: "ERRORS",
      cell: ({ requestRate, errorShare }) => (requestRate === 0 ? "-" : shareText(errorShare)),
      right: true,
      spare: 0,
    },
    { title: "P99", cell: ({ p99Ms }) => latencyText(p99Ms), right: true, spare: 1 },
    { title: "BYTES", cell: ({ byteRate }) => bytesText(byteRate), right: true, spare: 4 },
    { title: "SECURED", cell: ({ mutualTlsShare }) => lockText(mutualTlsShare), spare: 1 },
    subject === "services" ? undefined : { title: "REVISION", cell: ({ revision }) => revision, spare: 5 },
    subject === "workloads"
      ? { title: "RESTARTS", cell: ({ restarts }) => String(restarts), right: true, spare: 6 }
      : undefined,
    { title: "WHY", cell: ({ reason }) => reason, spare: 7 },
  ];
  return all.filter((column) => column !== undefined);
}

/**
 * Fits the table to the terminal. If it is too wide, removes the least important columns. If it is too long, removes
 * rows at its end.
 */
export function renderTop(
  rows: readonly TopRow[],
  { subject, columns, colour, rows: height }: TopTableOptions,
): string {
  const shownRows = height === undefined ? rows : rows.slice(0, Math.max(1, height));
  const all = columnsOf(subject).filter(
    ({ title, cell }) => title !== "WHY" || shownRows.some((row) => cell(row) !== ""),
  );
  let shown = all;
  let namespaceLimit = Infinity;
  const widthOf = (column: Column): number => {
    const width = Math.max(column.title.length, ...shownRows.map((row) => column.cell(row).length));
    return column.title === "NAMESPACE" ? Math.min(width, namespaceLimit) : width;
  };
  const total = (): number => shown.reduce((sum, column) => sum + widthOf(column) + gap, -gap);
  if (columns !== undefined) {
    // Shorten namespaces before the column is removed: without it, workloads of the same name in different namespaces
    // look the same.
    if (total() > columns) namespaceLimit = narrowNamespace;
    while (total() > columns) {
      const why = shown.at(-1);
      const rest = columns - (total() - (why === undefined ? 0 : widthOf(why)));
      // The column WHY may be cut, as long as a part of it is left.
      if (why?.title === "WHY" && rest >= leastName) break;
      const last = shown.toSorted((a, b) => b.spare - a.spare)[0];
      if (last === undefined || last.spare === 0) break;
      shown = shown.filter((column) => column !== last);
    }
    shown = withWhatFits(all, shown, (column) => widthOf(column) + gap, columns - total());
  }
  const widths = shown.map(widthOf);
  const over = columns === undefined ? 0 : total() - columns;
  const shrunk =
    over > 0
      ? shown.at(-1)?.title === "WHY"
        ? shown.length - 1
        : shown.findIndex(({ title }) => title === "NAME")
      : -1;
  if (shrunk >= 0) widths[shrunk] = Math.max(leastName, (widths[shrunk] ?? 0) - over);
  const line = (cells: readonly string[], style: (text: string, column: Column) => string): string =>
    cells
      .map((cell, index) => {
        const column = shown[index];
        const width = widths[index] ?? 0;
        const text = cell.length > width ? `${cell.slice(0, Math.max(0, width - 1))}…` : cell;
        const isLast = index === cells.length - 1;
        const padded = column?.right === true ? text.padStart(width) : isLast ? text : text.padEnd(width);
        return column === undefined ? padded : style(padded, column);
      })
      .join(" ".repeat(gap))
      .trimEnd();
  const header = line(
    shown.map(({ title }) => title),
    (text) => text,
  );
  const context: Pick<CliContext, "colour"> = { colour };
  const body = shownRows.map((row) => {
    const tint = healthColours[row.health];
    return line(
      shown.map((column) => column.cell(row)),
      (text, { title }) =>
        tint !== undefined && (title === "" || title === "WHY" || (title === "ERRORS" && row.errorShare > 0))
          ? paint(context, tint, text)
          : text,
    );
  });
  const left = rows.length - shownRows.length;
  return `${[paint(context, "bold", header), ...body, ...(left > 0 ? [`and ${left} more`] : [])].join("\n")}\n`;
}
