import type { JSX } from "preact";
import { useMemo, useState } from "preact/hooks";
import { Icon } from "../components/index.ts";
import type { DisplayGraph } from "./display-graph.ts";
import type { GraphCanvas } from "./graph-canvas.ts";
import { GraphLegend } from "./graph-legend.tsx";
import { edgeWords, nodeWords } from "./graph-words.ts";
import { stageAct, zoomStep, type StageAct } from "./stage-keys.ts";
import { useGraphCanvas, type DrawnGraph } from "./use-graph-canvas.ts";
import { firstNode, walk, type WalkDirection } from "./walk.ts";

export type GraphStageProps = Omit<DrawnGraph, "focused">;

export function GraphStage(props: GraphStageProps): JSX.Element {
  const { graph, selected, onSelect } = props;
  const [focused, setFocused] = useState("");
  const [legend, setLegend] = useState(false);
  const { host, canvas, hovered, busy, arrangeAnew } = useGraphCanvas({ ...props, focused });

  const walkTo = (direction: WalkDirection): void => {
    const scene = canvas.current?.scene;
    if (scene === undefined) return;
    const from = focused === "" && scene.nodes.has(selected) ? selected : undefined;
    const key = from ?? (focused === "" ? firstNode(graph, scene.nodes) : walk(graph, scene.nodes, focused, direction));
    if (key === undefined) return;
    setFocused(key);
    canvas.current?.reveal(key);
  };
  const act = (wanted: StageAct): void => {
    switch (wanted.does) {
      case "walk":
        return walkTo(wanted.direction);
      case "pan":
        return canvas.current?.panBy(wanted.x, wanted.y);
      case "zoom":
        return canvas.current?.zoomBy(wanted.factor);
      case "fit":
        return canvas.current?.fit();
      case "open":
        return onSelect(focused);
      case "leave":
        return selected === "" ? setFocused("") : onSelect("");
    }
  };
  const node = graph.nodes.get(focused);
  // Screen readers read every change of this text, so it keeps the figures of the time at which the node got the focus.
  const words = useMemo(() => (node === undefined ? "" : nodeWords(graph, node)), [focused, node === undefined]);
  return (
    <div class="graph-stage">
      <div
        ref={host}
        class="graph-canvas"
        role="application"
        aria-roledescription="graph"
        aria-label={`Traffic graph: ${graph.nodes.size} nodes, ${graph.edges.length} edges. Arrow keys move from node to node along edges, and Enter opens a node. The table shows the same data.`}
        tabIndex={0}
        onKeyDown={(event) => {
          const wanted = stageAct(event);
          if (wanted === undefined) return;
          event.preventDefault();
          act(wanted);
        }}
        onBlur={() => setFocused("")}
      />
      <p class="visually-hidden" aria-live="polite">
        {words}
      </p>
      {hovered?.kind === "edge" ? <EdgeHint graph={graph} edge={hovered.key} /> : undefined}
      {busy ? (
        <p class="graph-busy" role="status">
          Arranging…
        </p>
      ) : undefined}
      <SightControls canvas={canvas} legend={legend} onArrange={arrangeAnew} onLegend={() => setLegend(!legend)} />
      {legend ? <GraphLegend onClose={() => setLegend(false)} /> : undefined}
    </div>
  );
}

function SightControls({
  canvas,
  legend,
  onArrange,
  onLegend,
}: {
  readonly canvas: { readonly current: GraphCanvas | undefined };
  readonly legend: boolean;
  readonly onArrange: () => void;
  readonly onLegend: () => void;
}): JSX.Element {
  return (
    <div class="graph-controls" role="toolbar" aria-label="Zoom and arrangement">
      <button
        type="button"
        class="button"
        aria-label="Zoom in"
        title="Zoom in (+)"
        onClick={() => canvas.current?.zoomBy(zoomStep)}
      >
        +
      </button>
      <button
        type="button"
        class="button"
        aria-label="Zoom out"
        title="Zoom out (-)"
        onClick={() => canvas.current?.zoomBy(1 / zoomStep)}
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
        onClick={onArrange}
      >
        Arrange
      </button>
      <button type="button" class="button" aria-expanded={legend} aria-label="Legend" title="Legend" onClick={onLegend}>
        <Icon name="help" size={14} />
      </button>
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
