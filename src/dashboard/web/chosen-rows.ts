/** The rows of the chosen namespaces, which are separated by commas. No name means all. */
export function chosenRows<Row>(
  rows: Readonly<Record<string, Row>>,
  chosen: string,
  namespacesOf: (row: Row) => readonly string[],
): Readonly<Record<string, Row>> {
  if (chosen === "") return rows;
  const names = new Set(chosen.split(","));
  return Object.fromEntries(
    Object.entries(rows).filter(([, row]) => namespacesOf(row).some((name) => names.has(name))),
  );
}
