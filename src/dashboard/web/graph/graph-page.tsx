import { computed, signal } from "@preact/signals";
import type { JSX } from "preact";
import { useCallback, useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { GraphView } from "../../../api/dashboard/index.ts";
import { chosenTime, Empty, Notice, Page } from "../components/index.ts";
import { countOf } from "../format.ts";
import { useLive, type Live } from "../live/index.ts";
import { chosenNamespaces, place, setQuery } from "../router.ts";
import { displayGraph, searchNodes, type DisplayGraph } from "./display-graph.ts";
import { GraphPanel } from "./graph-panel.tsx";
import { GraphStage } from "./graph-stage.tsx";
import { graphState, type GraphState } from "./graph-state.ts";
import { GraphTable } from "./graph-table.tsx";
import { GraphTools } from "./graph-tools.tsx";
import { TimeTravel } from "./time-travel.tsx";

/** A narrow window first shows the tables. */
const narrow = matchMedia("(max-width: 640px)");

/** The graph of calls, as a drawing or as tables, at present or at an earlier moment. */
export function GraphPage(): JSX.Element {
  const state = graphState(place.value.query);
  const { live, view, waiting } = useGraph(state);
  const isNarrow = useMatch(narrow);
  const mode = state.mode ?? (isNarrow ? "table" : "graph");
  const [nextFound, setNextFound] = useState(0);
  const filterKey = JSON.stringify([
    state.by,
    [...state.filters.protocols],
    [...state.filters.health],
    state.filters.hideIdle,
    state.filters.minimumRate,
    state.filters.showHops,
  ]);
  const graph = useMemo(
    () => (view === undefined ? undefined : displayGraph(view, state.by, state.filters)),
    [view, filterKey],
  );
  const found = useMemo(
    () => (graph === undefined ? 0 : searchNodes(graph, state.search).length),
    [graph, state.search],
  );
  return (
    <Page
      title="Graph"
      live={live}
      subtitle={graph === undefined ? undefined : <Counts graph={graph} />}
      tools={
        <GraphTools
          state={state}
          mode={mode}
          protocols={graph?.protocols ?? []}
          found={found}
          onNextFound={() => setNextFound(nextFound + 1)}
        />
      }
    >
      {view === undefined || graph === undefined ? undefined : (
        <>
          {view.head.omitted === 0 ? undefined : (
            <Notice tone="info">
              {countOf(view.head.omitted, "node or edge", "nodes and edges")} {view.head.omitted === 1 ? "is" : "are"}{" "}
              left out, the quietest first: choose namespaces to see all of theirs.
            </Notice>
          )}
          <GraphFrame graph={graph} view={view} state={state} mode={mode} nextFound={nextFound} waiting={waiting} />
        </>
      )}
    </Page>
  );
}

function GraphFrame({
  graph,
  view,
  state,
  mode,
  nextFound,
  waiting,
}: {
  readonly graph: DisplayGraph;
  readonly view: GraphView;
  readonly state: GraphState;
  readonly mode: "graph" | "table";
  readonly nextFound: number;
  readonly waiting: boolean;
}): JSX.Element {
  const select = useCallback((key: string) => setQuery({ sel: key }), []);
  return (
    <div class={`graph-frame card${state.selected === "" ? "" : " with-panel"}`} data-mode={mode}>
      <div class="graph-main" aria-busy={waiting}>
        {graph.nodes.size === 0 ? (
          <NothingToShow view={view} />
        ) : mode === "graph" ? (
          <GraphStage
            graph={graph}
            label={state.label}
            search={state.search}
            nextFound={nextFound}
            selected={state.selected}
            onSelect={select}
          />
        ) : (
          <div class="stack graph-tables">
            <GraphTable graph={graph} onSelect={select} />
          </div>
        )}
      </div>
      <GraphPanel graph={graph} routes={view.tables.routes} selected={state.selected} onSelect={select} />
      <TimeTravel oldestMs={view.head.oldestMs} shownAtMs={view.head.shownAtMs} loading={waiting} />
    </div>
  );
}

/**
 * Follows the graph. The view of the last moment or grouping stays until that of the next has arrived, so that nothing
 * flickers.
 */
function useGraph(state: GraphState): {
  readonly live: Live<"graph">;
  readonly view: GraphView | undefined;
  readonly waiting: boolean;
} {
  const { windowSeconds, atMs } = chosenTime();
  const topic = useLive("graph", { namespaces: chosenNamespaces.value, windowSeconds, atMs, by: state.by });
  const head = topic.head.value;
  const nodes = topic.table("nodes").value;
  const edges = topic.table("edges").value;
  const routes = topic.table("routes").value;
  const fresh = useMemo(
    () => (head === undefined ? undefined : { head, tables: { nodes, edges, routes } }),
    [head, nodes, edges, routes],
  );
  // Ages change every second. Keep the same view object unless something else has changed, because each new one is
  // drawn.
  const drawn = useRef<{ readonly by: string; readonly view: GraphView } | undefined>(undefined);
  if (
    fresh !== undefined &&
    (drawn.current === undefined ||
      drawn.current.view.tables.nodes !== nodes ||
      drawn.current.view.tables.edges !== edges ||
      drawn.current.view.tables.routes !== routes)
  )
    drawn.current = { by: state.by, view: fresh };
  const shownHead = useMemo(() => signal<GraphView["head"] | undefined>(undefined), []);
  shownHead.value = head ?? drawn.current?.view.head;
  const live = useMemo<Live<"graph">>(() => ({ ...topic, head: computed(() => shownHead.value) }), [topic]);
  const view = drawn.current?.view;
  return {
    live,
    view: view === undefined || head === undefined ? view : headOf(view, head),
    waiting: fresh === undefined,
  };
}

/** The view with a new head. If only ages differ, returns the same object, because each new one is drawn. */
function headOf(view: GraphView, head: GraphView["head"]): GraphView {
  if (
    view.head.omitted === head.omitted &&
    view.head.oldestMs === head.oldestMs &&
    view.head.shownAtMs === head.shownAtMs
  )
    return view;
  (view as { head: GraphView["head"] }).head = head;
  return view;
}

function Counts({ graph }: { readonly graph: DisplayGraph }): JSX.Element {
  const hidden = graph.nodeCount - graph.nodes.size + (graph.edgeCount - graph.edges.length);
  return (
    <span>
      {countOf(graph.nodes.size, "node")}, {countOf(graph.edges.length, "edge")}
      {hidden === 0 ? "" : ` · ${hidden} hidden by filters`}
    </span>
  );
}

function NothingToShow({ view }: { readonly view: GraphView }): JSX.Element {
  const filtered = Object.keys(view.tables.nodes).length > 0;
  if (filtered) {
    return (
      <Empty title="The filters hide everything">
        <button type="button" class="button" onClick={() => setQuery({ health: "", protocol: "", idle: "", min: "" })}>
          Show all
        </button>
      </Empty>
    );
  }
  return (
    <Empty title="No workloads in the mesh">
      Label a namespace with istio.io/dataplane-mode=ambient or istio-injection=enabled, and send a request: it is drawn
      within two seconds.
    </Empty>
  );
}

function useMatch(query: MediaQueryList): boolean {
  const [matches, setMatches] = useState(query.matches);
  useEffect(() => {
    const onChange = (): void => setMatches(query.matches);
    query.addEventListener("change", onChange);
    return () => query.removeEventListener("change", onChange);
  }, [query]);
  return matches;
}
