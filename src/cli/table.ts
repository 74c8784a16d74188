/** Rows under a header, columns padded to the widest cell and parted by three spaces, as kubectl prints. */
export function renderTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [header, ...rows];
  const widths = header.map((_, column) => Math.max(...all.map((row) => (row[column] ?? "").length)));
  return all.map((row) => `${header.map((_, column) => (row[column] ?? "").padEnd(widths[column] ?? 0)).join("   ").trimEnd()}\n`).join("");
}
