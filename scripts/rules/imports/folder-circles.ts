// Finds circles of imports between the units of a folder. A unit is a subfolder with everything below it, or a file of
// the folder itself. An import belongs to the deepest folder that contains both of its files. A circle of files alone
// is not reported, because `refused-imports.ts` reports it.
import { entangledUnits, shortestCircle } from "./circles.ts";
import { importsOf, lineOfImport } from "./imports-of.ts";

export interface CircleStep {
  readonly from: string;
  readonly line: number;
  readonly to: string;
}

export interface FolderCircle {
  readonly folder: string;
  /** The units of a shortest circle, by name. */
  readonly units: readonly string[];
  /**
   * One import for each arrow of the circle: the first leads from the first unit to the second, the last leads back to
   * the first.
   */
  readonly steps: readonly CircleStep[];
  /**
   * All units of the circle's strongly connected component, in which every unit imports every other one, directly or
   * not.
   */
  readonly entangled: readonly string[];
}

/** The imports between the units of one folder: by the importing unit, then by the imported unit. */
type UnitGraph = Map<string, Map<string, CircleStep>>;

/**
 * Returns one circle for every set of units that reach each other. Leaves out tests and `testing` folders. Includes
 * imports of types.
 */
export function folderCircles(texts: ReadonlyMap<string, string>): FolderCircle[] {
  const circles: FolderCircle[] = [];
  for (const [folder, graph] of unitGraphs(texts)) {
    for (const entangled of entangledUnits(graph)) {
      const units = shortestCircle(graph, entangled);
      const steps = units.flatMap((unit, index) => graph.get(unit)?.get(units[(index + 1) % units.length] ?? "") ?? []);
      circles.push({ folder, units, steps, entangled });
    }
  }
  return circles.toSorted((one, other) => (one.folder < other.folder ? -1 : 1));
}

/** Describes a circle in a message: its units, and then an import for each arrow. */
export function describeCircle({ folder, units, steps, entangled }: FolderCircle): string {
  const way = [...units, units[0]].join(" -> ");
  const others = entangled.filter((unit) => !units.includes(unit));
  return [
    `${folder}: ${way}`,
    ...steps.map(({ from, line, to }) => `  ${from}:${line} imports ${to}`),
    ...(others.length === 0 ? [] : [`  in circles with them: ${others.join(", ")}`]),
  ].join("\n");
}

function unitGraphs(texts: ReadonlyMap<string, string>): Map<string, UnitGraph> {
  const graphs = new Map<string, UnitGraph>();
  for (const [from, text] of texts) {
    if (!counts(from)) continue;
    for (const found of importsOf(from, text)) {
      const { to } = found;
      if (to === from || !texts.has(to) || !counts(to)) continue;
      const [folder, importing, imported] = whereTheyPart(from, to);
      const graph = graphs.get(folder) ?? new Map<string, Map<string, CircleStep>>();
      graphs.set(folder, graph);
      const imports = graph.get(importing) ?? new Map<string, CircleStep>();
      graph.set(importing, imports);
      if (!imports.has(imported)) imports.set(imported, { from, line: lineOfImport(text, found), to });
    }
  }
  return graphs;
}

const counts = (file: string): boolean => !/\.test\.tsx?$|\/testing\//.test(file);

/** Returns the deepest folder that contains both files, and the unit of each file in it. */
function whereTheyPart(from: string, to: string): [folder: string, importing: string, imported: string] {
  const [own, other] = [from.split("/"), to.split("/")];
  let depth = 0;
  while (own[depth] === other[depth]) depth += 1;
  return [own.slice(0, depth).join("/"), own[depth] ?? "", other[depth] ?? ""];
}
