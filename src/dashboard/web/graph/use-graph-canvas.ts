import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { shownTheme } from "../theme.ts";
import { searchNodes, type DisplayGraph } from "./display-graph.ts";
import type { EdgeLabel } from "./edge-label.ts";
import { emphasisOf } from "./emphasis.ts";
import { GraphCanvas } from "./graph-canvas.ts";
import { graphColors } from "./graph-colors.ts";
import type { Hit } from "./hit-grid.ts";
import { useLayout } from "./use-layout.ts";

const still = matchMedia("(prefers-reduced-motion: reduce)");

export interface DrawnGraph {
  readonly graph: DisplayGraph;
  readonly label: EdgeLabel;
  readonly search: string;
  /** Rises each time the user wants to see the next search result. */
  readonly nextFound: number;
  readonly selected: string;
  readonly focused: string;
  readonly onSelect: (key: string) => void;
}

/** Draws the graph into the element `host`, and draws again after changes. */
export function useGraphCanvas({ graph, label, search, nextFound, selected, focused, onSelect }: DrawnGraph): {
  readonly host: { readonly current: HTMLDivElement | null };
  readonly canvas: { readonly current: GraphCanvas | undefined };
  readonly hovered: Hit | undefined;
  readonly busy: boolean;
  readonly arrangeAnew: () => void;
} {
  const host = useRef<HTMLDivElement>(null);
  const canvas = useRef<GraphCanvas | undefined>(undefined);
  const [hovered, setHovered] = useState<Hit | undefined>(undefined);
  const renderedAtMs = performance.now();
  const { places, rearranged, arrangeAnew, busy } = useLayout(graph);
  const found = useMemo(() => searchNodes(graph, search), [graph, search]);
  const theme = shownTheme.value;
  const colors = useMemo(() => graphColors(), [theme]);
  const focus = hovered?.key ?? selected;
  const look = useMemo(() => {
    const emphasis = emphasisOf(graph, found, search.trim() !== "", focus);
    return {
      colors,
      label,
      selected,
      hovered: hovered?.key ?? "",
      focused,
      emphasized: emphasis.nodes,
      emphasizedEdges: emphasis.edges,
    };
  }, [graph, found, search, focus, colors, label, selected, focused]);
  const choose = useRef(onSelect);
  choose.current = onSelect;

  useLayoutEffect(() => {
    if (host.current === null) return undefined;
    const made = new GraphCanvas({
      host: host.current,
      look,
      animated: !still.matches,
      onHover: setHovered,
      onChoose: (hit) => choose.current(hit?.key ?? ""),
      onZoom: () => undefined,
    });
    canvas.current = made;
    const onMotion = (): void => made.setAnimated(!still.matches);
    still.addEventListener("change", onMotion);
    return () => {
      still.removeEventListener("change", onMotion);
      made.close();
    };
  }, []);
  useLayoutEffect(() => canvas.current?.setLook(look), [look]);
  useLayoutEffect(() => {
    canvas.current?.show(graph, places, rearranged);
    // Keep only the last measurement in the browser's timeline. An observer still gets all.
    performance.clearMeasures("graph-update");
    performance.measure("graph-update", { start: renderedAtMs, end: performance.now() });
  }, [graph, places]);
  useEffect(() => {
    if (rearranged) canvas.current?.fit();
  }, [places]);
  useEffect(() => {
    const key = found[nextFound % Math.max(1, found.length)];
    if (search.trim() !== "" && key !== undefined) canvas.current?.reveal(key);
  }, [search, nextFound]);
  useEffect(() => {
    if (selected !== "") canvas.current?.reveal(selected);
  }, [selected, places.size > 0]);
  return { host, canvas, hovered, busy, arrangeAnew };
}
