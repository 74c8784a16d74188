import type { GraphEdge, GraphNode, SourceState } from "../../../api/dashboard/index.ts";

export type Head = { readonly atMs: number; readonly sources: readonly SourceState[] };
export type Given = Readonly<Record<string, string | number>>;
export type Nodes = ReadonlyMap<string, GraphNode>;
export type Edges = ReadonlyMap<string, GraphEdge>;

/** The API server is away for ten seconds in every third minute, so that pages show failures. */
export function sourcesAt(nowMs: number): readonly SourceState[] {
  const isAway = nowMs % 180_000 > 170_000;
  return [
    isAway
      ? {
          name: "kubernetes",
          ok: false,
          asOfMs: nowMs - (nowMs % 180_000) + 170_000,
          problem: "the API server does not answer; it is asked again every few seconds",
        }
      : { name: "kubernetes", ok: true, asOfMs: nowMs },
    { name: "metrics", ok: true, asOfMs: nowMs - (nowMs % 2_000) },
    { name: "pilot istiod-1-31-0-abc", ok: true, asOfMs: nowMs - (nowMs % 5_000) },
  ];
}
