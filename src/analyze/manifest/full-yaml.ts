import * as yaml from "yaml";
import { isCollection, isMap, isScalar, type Node } from "yaml";
import { messageOf } from "../../base/index.ts";
import { collectionKeyFault, collectionKeyOffset, documentsForKubernetes } from "../../base/kubernetes-yaml/index.ts";
import type { Position } from "../resource.ts";
import type { PlainDocument } from "./plain-yaml.ts";
import type { Positions } from "./positions.ts";

export interface YamlFault extends Position {
  readonly message: string;
}

/** Parses any YAML, with anchors and merges. Returns the valid documents, and the faults of the others. */
export function readFullYaml(text: string): {
  readonly documents: readonly PlainDocument[];
  readonly faults: readonly YamlFault[];
} {
  const lineCounter = new yaml.LineCounter();
  const documents: PlainDocument[] = [];
  const faults: YamlFault[] = [];
  for (const document of documentsForKubernetes(yaml, text, { lineCounter, prettyErrors: false })) {
    // Report only the first error of a document. One mistake usually causes several.
    for (const error of document.errors.slice(0, 1)) {
      const { line, col } = lineCounter.linePos(error.pos[0]);
      faults.push({ line, column: col, message: error.message });
    }
    if (document.errors.length > 0 || document.contents === null) continue;
    const badKey = collectionKeyOffset(document.contents);
    if (badKey !== undefined) {
      const { line, col } = lineCounter.linePos(badKey);
      faults.push({ line, column: col, message: collectionKeyFault });
      continue;
    }
    const positions: Positions = new Map();
    let value: unknown;
    try {
      value = document.toJS({ onAnchor: () => undefined });
    } catch (error) {
      // The parser throws for an alias without its anchor, and for aliases that would fill the memory.
      const { line, col } = lineCounter.linePos(document.contents.range?.[0] ?? 0);
      faults.push({ line, column: col, message: `the aliases (*name) cannot be resolved: ${messageOf(error)}` });
      continue;
    }
    if (value === null) continue;
    note(document.contents, value, positions, (offset) => {
      const { line, col } = lineCounter.linePos(offset);
      return { line, column: col };
    });
    documents.push({ value, line: lineCounter.linePos(document.contents.range?.[0] ?? 0).line, positions });
  }
  return { documents, faults };
}

/** Records positions: walks nodes and values in parallel. Content of an alias gets the position of the alias. */
function note(node: unknown, value: unknown, positions: Positions, positionAt: (offset: number) => Position): void {
  if (!isCollection(node) || typeof value !== "object" || value === null) return;
  const own = new Map<string | number, Position>();
  positions.set(value, own);
  const record = value as Record<string | number, unknown>;
  for (const [index, item] of node.items.entries()) {
    const pair = isMap(node) ? (item as { readonly key: unknown; readonly value: unknown }) : undefined;
    const key = pair === undefined ? index : isScalar(pair.key) ? String(pair.key.value) : undefined;
    const place = (pair?.key ?? item) as Node | null;
    if (key === undefined) continue;
    if (place?.range !== undefined && place.range !== null) own.set(key, positionAt(place.range[0]));
    note(pair === undefined ? item : pair.value, record[key], positions, positionAt);
  }
}
