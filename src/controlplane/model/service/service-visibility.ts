/** The `exportTo` with its keywords replaced: `["*"]`, a sorted list of namespaces, or an empty list for `~`. */
export function visibilityOf(exportTo: readonly string[], namespace: string): readonly string[] {
  if (exportTo.includes("*")) return ["*"];
  if (exportTo.includes("~")) return [];
  return [...new Set(exportTo.map((entry) => (entry === "." ? namespace : entry)))].sort();
}
