import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { LayoutRequest, Places } from "./arrange.ts";
import type { DisplayGraph } from "./display-graph.ts";
import { edgeKey, keepPlaces, mayKeepPlaces, type KnownLayout } from "./keep-places.ts";
import { LayoutClient } from "./layout-worker-client.ts";
import { layoutNodes } from "./scene.ts";

export interface UsedLayout {
  readonly places: Places;
  /** Whether everything was arranged anew, so that the view should adapt. */
  readonly rearranged: boolean;
  readonly arrangeAnew: () => void;
  readonly busy: boolean;
}

const nothing: Places = new Map();
const leastAwoken = 4;

/** The places of a graph's cards. They stay if little has changed. Otherwise, a worker arranges everything anew. */
export function useLayout(graph: DisplayGraph): UsedLayout {
  const known = useRef<KnownLayout>({ places: nothing, edges: new Set() });
  const asked = useRef<LayoutRequest | undefined>(undefined);
  const [arranged, setArranged] = useState<Places>(nothing);
  const [busy, setBusy] = useState(false);
  const last = useRef<{ readonly structure: string; readonly from: Places; readonly places: Places }>({
    structure: "",
    from: nothing,
    places: nothing,
  });
  const client = useMemo(
    () =>
      new LayoutClient((places) => {
        known.current = { places, edges: new Set(asked.current?.edges.map(({ from, to }) => edgeKey(from, to))) };
        asked.current = undefined;
        setBusy(false);
        setArranged(places);
      }),
    [],
  );
  useEffect(() => () => client.close(), [client]);

  const ask = (request: LayoutRequest): void => {
    asked.current = request;
    setBusy(true);
    client.arrange(request);
  };
  const requestOf = (): LayoutRequest => ({
    nodes: layoutNodes(graph),
    edges: graph.edges.map(({ edge }) => ({ from: edge.from, to: edge.to })),
  });

  const structure = [...graph.nodes.keys()].join("\n");
  let wanted: LayoutRequest | undefined;
  // A mesh that was arranged before it had calls is arranged again when they come.
  const awoken =
    asked.current === undefined &&
    known.current.places.size > 0 &&
    graph.edges.length > leastAwoken &&
    graph.edges.length > known.current.edges.size * 2;
  if (awoken) wanted = requestOf();
  else if (structure !== last.current.structure || arranged !== last.current.from) {
    const request = requestOf();
    const keep = known.current.places.size > 0 && mayKeepPlaces(known.current, request);
    if (keep || request.nodes.length === 0) {
      const places = keepPlaces(known.current, request);
      known.current = { places, edges: known.current.edges };
      last.current = { structure, from: arranged, places };
    } else wanted = request;
  }
  useEffect(() => {
    if (wanted !== undefined && (asked.current === undefined || asked.current.nodes.length !== wanted.nodes.length))
      ask(wanted);
  }, [structure, arranged, awoken]);

  const before = useRef<Places>(nothing);
  const rearranged = before.current !== arranged;
  useEffect(() => {
    before.current = arranged;
  }, [arranged]);
  return { places: last.current.places, rearranged, arrangeAnew: () => ask(requestOf()), busy };
}
