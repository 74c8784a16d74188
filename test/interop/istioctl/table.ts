// Reads the tables that a command prints.

/** The texts of a row's cells, by the titles of their columns. An empty cell has an empty text. */
export type Row = Readonly<Record<string, string>>;

interface Column {
  readonly title: string;
  readonly index: number;
}

// oxlint-disable-next-line no-control-regex -- what terminals take for colours
const colours = /\u001b\[[0-9;]*m/g;

/**
 * The rows below the line that begins with the first title, up to an empty line. Empty if there is no such line. If
 * only one title is given, the others are read from that line, where two spaces separate them.
 */
export function tableIn(output: string, first: string, ...more: readonly string[]): readonly Row[] {
  const lines = output.replaceAll(colours, "").split("\n");
  const at = lines.findIndex((line) => line.startsWith(first));
  if (at === -1) return [];
  const header = lines[at] ?? "";
  const columns = more.length === 0 ? apartIn(header) : namedIn(header, [first, ...more]);
  const end = lines.findIndex((line, index) => index > at && line.trim() === "");
  return lines.slice(at + 1, end === -1 ? undefined : end).map((line) => {
    const characters = Array.from(line);
    return Object.fromEntries(
      columns.map(({ title, index }, place) => [
        title,
        characters
          .slice(index, columns[place + 1]?.index)
          .join("")
          .trim(),
      ]),
    );
  });
}

function apartIn(header: string): readonly Column[] {
  return [...header.matchAll(/\S+(?: \S+)*/g)].map(({ 0: title, index }) => ({ title, index }));
}

function namedIn(header: string, titles: readonly string[]): readonly Column[] {
  let from = 0;
  return titles.map((title) => {
    const index = header.indexOf(title, from);
    if (index === -1) throw new Error(`the table has no column "${title}": ${header}`);
    from = index + title.length;
    return { title, index };
  });
}
