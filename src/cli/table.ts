/** Rows under a header, columns padded to the widest cell and parted by `gap` spaces: three as kubectl prints, five as istioctl does. */
export function renderTable(header: readonly string[], rows: readonly (readonly string[])[], gap = 3): string {
  const all = [header, ...rows];
  const widths = header.map((_, column) => Math.max(...all.map((row) => (row[column] ?? "").length)));
  return all.map((row) => `${header.map((_, column) => (row[column] ?? "").padEnd(widths[column] ?? 0)).join(" ".repeat(gap)).trimEnd()}\n`).join("");
}
