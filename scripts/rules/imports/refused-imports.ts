import { entangledUnits, shortestCircle } from "./circles.ts";
import { importRules } from "./import-rules.ts";
import { importsOf, lineOfImport, type ImportOfFile } from "./imports-of.ts";

/** Takes the texts of the sources by path. Returns a message for each refused import, and for each circle. */
export function refusedImports(texts: ReadonlyMap<string, string>): string[] {
  const problems: string[] = [];
  const graph = new Map<string, Map<string, ImportOfFile>>();
  for (const [from, text] of texts) {
    const imports = new Map<string, ImportOfFile>();
    for (const found of importsOf(from, text)) if (!imports.has(found.to)) imports.set(found.to, found);
    graph.set(from, imports);
    for (const found of imports.values()) {
      for (const { name, comment, refuses } of importRules)
        if (refuses(from, found.to))
          problems.push(`${from}:${lineOfImport(text, found)} imports ${found.to}: ${comment} (${name})`);
    }
  }
  for (const entangled of entangledUnits(graph)) {
    const circle = shortestCircle(graph, entangled);
    problems.push(`these files import each other in a circle: ${[...circle, circle[0]].join(" -> ")}`);
  }
  return problems;
}
