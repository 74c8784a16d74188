import type { JSX } from "preact";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { Icon } from "../components/index.ts";
import { shownTheme } from "../theme.ts";
import { searchNodes, type DisplayGraph } from "./display-graph.ts";
import { emphasisOf } from "./emphasis.ts";
import type { EdgeLabel } from "./edge-label.ts";
import { GraphCanvas } from "./graph-canvas.ts";
import { graphColors } from "./graph-colors.ts";
import { edgeWords, nodeWords } from "./graph-words.ts";
import type { Hit } from "./hit-grid.ts";
import { GraphLegend } from "./graph-legend.tsx";
import { useLayout } from "./use-layout.ts";
import { firstNode, walk, type WalkDirection } from "./walk.ts";

export interface GraphStageProps {
  readonly graph: DisplayGraph;
  readonly label: EdgeLabel;
  readonly search: string;
  /** Rises each time the user wants to see the next search result. */
  readonly nextFound: number;
  readonly selected: string;
  readonly onSelect: (key: string) => void;
}

const directions: Readonly<Record<string, WalkDirection>> = {
  ArrowRight: "right",
  ArrowLeft: "left",
  ArrowUp: "up",
  ArrowDown: "down",
};
const panStep = 80;
const still = matchMedia("(prefers-reduced-motion: reduce)");

/** The drawing of the graph with its keyboard control. */
export function GraphStage({ graph, label, search, nextFound, selected, onSelect }: GraphStageProps): JSX.Element {
  const host = useRef<HTMLDivElement>(null);
  const canvas = useRef<GraphCanvas | undefined>(undefined);
  const [hovered, setHovered] = useState<Hit | undefined>(undefined);
  const [focused, setFocused] = useState("");
  const [legend, setLegend] = useState(false);
  const theme = shownTheme.value;
  const renderedAtMs = performance.now();
  const { places, rearranged, arrangeAnew, busy } = useLayout(graph);
  const found = useMemo(() => searchNodes(graph, search), [graph, search]);
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
    // Keep only the last measurement. An observer can collect all of them.
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

  const goTo = (key: string | undefined): void => {
    if (key === undefined) return;
    setFocused(key);
    canvas.current?.reveal(key);
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    const direction = directions[event.key];
    const scene = canvas.current?.scene;
    if (direction !== undefined && scene !== undefined) {
      event.preventDefault();
      if (event.shiftKey)
        canvas.current?.panBy(
          direction === "left" ? panStep : direction === "right" ? -panStep : 0,
          direction === "up" ? panStep : direction === "down" ? -panStep : 0,
        );
      else
        goTo(
          focused === ""
            ? selected !== "" && scene.nodes.has(selected)
              ? selected
              : firstNode(graph, scene.nodes)
            : walk(graph, scene.nodes, focused, direction),
        );
      return;
    }
    const act = {
      "+": () => canvas.current?.zoomBy(1.4),
      "=": () => canvas.current?.zoomBy(1.4),
      "-": () => canvas.current?.zoomBy(1 / 1.4),
      "0": () => canvas.current?.fit(),
      Enter: () => onSelect(focused),
      Escape: () => (selected === "" ? setFocused("") : onSelect("")),
    }[event.key];
    if (act === undefined) return;
    event.preventDefault();
    act();
  };
  const node = graph.nodes.get(focused);
  return (
    <div class="graph-stage">
      <div
        ref={host}
        class="graph-canvas"
        role="application"
        aria-roledescription="graph"
        aria-label={`Traffic graph: ${graph.nodes.size} nodes, ${graph.edges.length} edges. Arrow keys move from node to node along edges, and Enter opens a node. The table shows the same data.`}
        tabIndex={0}
        onKeyDown={onKeyDown}
        onBlur={() => setFocused("")}
      />
      <p class="visually-hidden" aria-live="polite">
        {node === undefined ? "" : nodeWords(graph, node)}
      </p>
      {hovered?.kind === "edge" ? <EdgeHint graph={graph} edge={hovered.key} /> : undefined}
      {busy ? (
        <p class="graph-busy" role="status">
          Arranging…
        </p>
      ) : undefined}
      <div class="graph-controls" role="toolbar" aria-label="Sight">
        <button
          type="button"
          class="button"
          aria-label="Zoom in"
          title="Zoom in (+)"
          onClick={() => canvas.current?.zoomBy(1.4)}
        >
          +
        </button>
        <button
          type="button"
          class="button"
          aria-label="Zoom out"
          title="Zoom out (-)"
          onClick={() => canvas.current?.zoomBy(1 / 1.4)}
        >
          −
        </button>
        <button type="button" class="button" title="Fit to view (0)" onClick={() => canvas.current?.fit()}>
          Fit
        </button>
        <button
          type="button"
          class="button"
          title="Arrange the graph again. Nodes keep their places while the mesh changes"
          onClick={arrangeAnew}
        >
          Arrange
        </button>
        <button
          type="button"
          class="button"
          aria-expanded={legend}
          aria-label="Legend"
          title="Legend"
          onClick={() => setLegend(!legend)}
        >
          <Icon name="help" size={14} />
        </button>
      </div>
      {legend ? <GraphLegend onClose={() => setLegend(false)} /> : undefined}
    </div>
  );
}

function EdgeHint({ graph, edge }: { readonly graph: DisplayGraph; readonly edge: string }): JSX.Element | null {
  const found = graph.edges.find(({ key }) => key === edge);
  return found === undefined ? null : (
    <p class="graph-hint" aria-hidden="true">
      {edgeWords(found)}
    </p>
  );
}
